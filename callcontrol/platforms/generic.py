"""The wire format `generic`: JSON both ways, signed with a shared secret, our own state names."""

import hashlib
import hmac
import json
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from billing_platform import clock
from billing_platform.errors import Malformed
from billing_platform.strict_json import parse_json
from callcontrol.models.calls import RANKS, State
from callcontrol.platforms import wire
from callcontrol.platforms.adapter import (
    Account,
    Adapter,
    Answer,
    BodyUnreadable,
    CallNamed,
    Order,
    Placement,
    PlatformSilent,
    StatusEvent,
)  # fmt: skip

NO_CAPACITY = frozenset({"no_capacity"})
TOLD_STATES = RANKS.keys() - {State.CREATED, State.UNKNOWN, State.EXPIRED}  # the others are ours to say
TEXT_MAX = 128


def sign(body: bytes, *, secret: str, at_seconds: int) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 of t, a dot and the body>`."""
    digest = hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, hashlib.sha256)
    return f"t={at_seconds},v1={digest.hexdigest()}"


def place(account: Account, order: Order) -> Placement:
    """Order the call; the same reference again is answered as the first time."""
    body = {
        "reference": order.reference, "agent_number": order.agent_number, "customer_number": order.customer_number,
        "display_to_agent": order.display_to_agent or None, "display_to_customer": order.display_to_customer or None,
        "max_seconds": order.max_seconds, "ring_timeout": order.ring_timeout,
        "warn_before_seconds": order.warn_before_seconds, "dial_first": order.dial_first, "record": order.record,
    }  # fmt: skip
    try:
        status, answer = _ask(account, "POST", "/calls", body)
    except wire.NotSent as error:
        return Placement(Answer.NOT_SENT, code=str(error))
    except PlatformSilent as error:
        return Placement(Answer.UNKNOWN, code=str(error))
    return _placement(status, answer)


def _placement(status: int, answer: dict[str, Any]) -> Placement:
    accepted, call_id = answer.get("accepted"), answer.get("provider_call_id")
    if accepted is True and isinstance(call_id, str) and 0 < len(call_id) <= TEXT_MAX:
        return Placement(Answer.ACCEPTED, provider_call_id=call_id)
    if accepted is False:
        code = str(answer.get("code", ""))[:64]
        return Placement(Answer.NO_CAPACITY if code in NO_CAPACITY else Answer.REFUSED, code=code)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Placement(Answer.REFUSED, code=str(answer.get("code", f"http_{status}"))[:64])
    return Placement(Answer.UNKNOWN, code=f"http_{status}")


def cancel(account: Account, provider_call_id: str, policy: str) -> str | None:
    """Ask to end the call. None, or the code of the refusal. Raises PlatformSilent."""
    path = f"/calls/{quote(provider_call_id, safe='')}/cancel"
    status, answer = _ask(account, "POST", path, {"policy": policy})
    if answer.get("accepted") is True:
        return None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise PlatformSilent(f"http_{status}")
    return str(answer.get("code", f"http_{status}"))[:64]


def find(account: Account, reference: str, provider_call_id: str) -> StatusEvent | None:
    """What the platform says about the call now. None: it does not know it. Raises PlatformSilent."""
    status, answer = _ask(account, "GET", f"/calls?reference={quote(reference, safe='')}", None)
    calls = answer.get("calls")
    if status != HTTPStatus.OK or not isinstance(calls, list):
        raise PlatformSilent(f"http_{status}")
    known = [call for call in calls if isinstance(call, dict) and call.get("reference") == reference]
    if not known:
        return None
    end = known[0].get("end_time")
    at = datetime.fromisoformat(end) if isinstance(end, str) else clock.now()
    try:
        return read_status({**known[0], "at": at.isoformat()})
    except BodyUnreadable as error:
        raise PlatformSilent(str(error)) from error


def read_status(body: Any) -> StatusEvent:
    """A status push. Raises BodyUnreadable."""
    if not isinstance(body, dict):
        raise BodyUnreadable("not an object")
    state = _text(body, "state")
    if state not in TOLD_STATES:
        raise BodyUnreadable(f"unknown state {state[:20]!r}")
    try:
        at = datetime.fromisoformat(_text(body, "at"))
    except ValueError:
        raise BodyUnreadable("at is not a time") from None
    if at.tzinfo is None:
        raise BodyUnreadable("at has no offset")
    event_id = body.get("event_id")
    return StatusEvent(
        _text(body, "provider_call_id"), str(body.get("reference") or "")[:TEXT_MAX], state, at,
        event_id if isinstance(event_id, str) and len(event_id) <= TEXT_MAX else "",
    )  # fmt: skip


def read_auth(body: Any) -> CallNamed:
    """The question whether a call may go on. Raises BodyUnreadable."""
    if not isinstance(body, dict):
        raise BodyUnreadable("not an object")
    return CallNamed(_text(body, "provider_call_id"), str(body.get("reference") or "")[:TEXT_MAX])


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
        raise BodyUnreadable(f"{name} is missing or too long")
    return value


def _ask(account: Account, method: str, path: str, content: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of the reply ({} when it is none). Raises PlatformSilent."""
    body = b"" if content is None else json.dumps(content).encode()
    proof = sign(body, secret=account.credentials["secret"], at_seconds=int(clock.now().timestamp()))
    headers = {"Content-Type": "application/json", "X-Key": account.credentials["key"], "X-Signature": proof}
    reply = wire.ask(method, account.base_url.rstrip("/") + path, body=body, headers=headers)
    try:
        answer = parse_json(reply.body)
    except Malformed:
        answer = None
    return reply.status, answer if isinstance(answer, dict) else {}


ADAPTER = Adapter(
    name="generic",
    max_seconds_step=1,
    max_seconds_bound=0,
    reference_field="reference",
    reference_bytes=64,
    cancel_policies=frozenset({"always", "not_after_agent_ring", "not_after_agent_answer"}),
    reports_after_cancel=True,
    can_find=True,
    place=place,
    cancel=cancel,
    find=find,
    read_status=read_status,
    read_auth=read_auth,
)
