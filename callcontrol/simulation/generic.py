import hashlib
import hmac
import io
import json
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from callcontrol.simulation.calls import Call, CallOrder
from callcontrol.simulation.clock import iso_millisecond, wall_now
from callcontrol.simulation.courier import Message
from callcontrol.simulation.exchange import CANCEL_BEFORE, Exchange, Placement
from callcontrol.simulation.scenarios import Quirk
from callcontrol.simulation.web import BadBody, Request, Response, json_object, json_response, refusal

PREFIX: Final = "generic"
PROOF_SECONDS_MAX: Final = 300
TEXT_CHARACTERS_MAX: Final = 64

_PROOF: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9._:@-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key id and the shared secret, used in both directions."""

    key: str
    secret: str


def sign(body: bytes, *, secret: str, at_seconds: int) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 of t, a dot and the raw body>`."""
    digest = hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, hashlib.sha256)
    return f"t={at_seconds},v1={digest.hexdigest()}"


def is_genuine(request: Request, *, credentials: Credentials, at_seconds: int) -> bool:
    key = request.headers.get("X-Key", "")
    given = request.headers.get("X-Signature", "")
    if (proof := _PROOF.fullmatch(given)) is None or abs(int(proof[1]) - at_seconds) > PROOF_SECONDS_MAX:
        return False
    wanted = sign(request.body, secret=credentials.secret, at_seconds=int(proof[1]))
    return hmac.compare_digest(key.encode(), credentials.key.encode()) and hmac.compare_digest(given, wanted)


class Generic:
    """The wire format `generic`: JSON both ways, signed both ways, our own state names and native call records."""

    def __init__(
        self, exchange: Exchange, *, credentials: Credentials, hooks: str, provider: str, own_address: str
    ) -> None:
        self._exchange = exchange
        self._credentials = credentials
        self._hooks = hooks
        self._provider = provider
        self._own_address = own_address

    # What we are asked.

    def answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", ("recordings", _):
                return Response(200, _one_second_of_silence(), "audio/wav")
            case _ if not is_genuine(request, credentials=self._credentials, at_seconds=_unix_seconds()):
                return refusal(401, "bad_signature")
            case "POST", ("calls",):
                return self._place(request)
            case "GET", ("calls",):
                return self._find(request.query.get("reference", ""))
            case "GET", ("calls", provider_call_id):
                return self._with_call(provider_call_id, lambda call: json_response(200, self._tell(call)))
            case "POST", ("calls", provider_call_id, "cancel"):
                return self._with_call(provider_call_id, lambda call: self._cancel(call, request))
        return refusal(404, "not_found")

    def _place(self, request: Request) -> Response:
        try:
            order = parse_order(json_object(request.body))
        except BadBody as error:
            return json_response(400, {"accepted": False, "code": "validation", "detail": str(error)})
        return self._placed(self._exchange.place(order, wire=self, prefix=PREFIX))

    def _placed(self, placement: Placement) -> Response:
        if placement.refusal is not None:
            return json_response(200, {"accepted": False, "code": placement.refusal})
        accepted = json_response(200, {"accepted": True, "provider_call_id": placement.provider_call_id})
        if placement.quirk == Quirk.PLACE_LATE:
            return replace(accepted, after_seconds=self._exchange.knobs.slow_answer_seconds)
        return replace(accepted, cut=placement.quirk == Quirk.PLACE_CUT)

    def _find(self, reference: str) -> Response:
        call = self._exchange.find_by_reference(reference, prefix=PREFIX)
        return json_response(200, {"calls": [] if call is None else [self._tell(call)]})

    def _cancel(self, call: Call, request: Request) -> Response:
        try:
            policy = json_object(request.body).get("policy", "always")
        except BadBody as error:
            return refusal(400, "validation", detail=str(error))
        if not isinstance(policy, str) or policy not in CANCEL_BEFORE:
            return refusal(400, "validation", detail=f"policy is one of {', '.join(CANCEL_BEFORE)}")
        code = self._exchange.cancel(call, policy=policy)
        return json_response(200, {"accepted": True} if code is None else {"accepted": False, "code": code})

    def _with_call(self, provider_call_id: str, answer: Callable[[Call], Response]) -> Response:
        call = self._exchange.find(provider_call_id)
        return refusal(404, "unknown_call") if call is None else answer(call)

    def _tell(self, call: Call) -> dict[str, object]:
        return self._exchange.tell(call, words=self._told)

    def _told(self, call: Call) -> dict[str, object]:
        if not call.over:
            return call.as_json() | {"cdr": None}
        url = self._recording_url(call) if call.is_recorded else None
        return call.as_json() | {"cdr": self._record(call, end=call.plan.end, version=call.record_version, url=url)}

    # What we tell.

    def status(self, call: Call) -> Message:
        event: dict[str, object] = {
            "event_id": f"{call.provider_call_id}-{call.index + 1}",
            "provider_call_id": call.provider_call_id,
            "reference": call.order.reference,
            "state": call.state,
            "at": iso_millisecond(call.reached_at),
        }
        return self._message(call, kind="status", label=call.state, content=event)

    def cdr(self, call: Call, *, end: int, version: int) -> Message:
        record = self._record(call, end=end, version=version, url=None)
        return self._message(call, kind="cdr", label=f"v{version}", content=record)

    def recording(self, call: Call, *, version: int) -> Message:
        record = self._record(call, end=call.plan.end, version=version, url=self._recording_url(call))
        return self._message(call, kind="recording", label=f"v{version}", content=record)

    def _record(self, call: Call, *, end: int, version: int, url: str | None) -> dict[str, object]:
        return {
            "provider": self._provider,
            "provider_call_id": call.provider_call_id,
            "call_id": call.order.reference,
            "call_type": "callback",
            "leg": "call",
            "caller": call.order.agent_number,
            "called": call.order.customer_number,
            "display_number": call.order.display_to_customer,
            "start_time": call.time_of(0),
            "agent_answer_time": call.time_of(call.plan.agent_answer),
            "answer_time": call.time_of(call.plan.answer),
            "end_time": call.time_of(end),
            "hangup_cause": call.plan.cause,
            "hangup_by": call.plan.hangup_by,
            "recording_url": url,
            "version": version,
        }

    def _recording_url(self, call: Call) -> str:
        return f"{self._own_address}/{PREFIX}/recordings/{call.provider_call_id}.wav"

    def _message(self, call: Call, *, kind: str, label: str, content: dict[str, object]) -> Message:
        body = json.dumps(content, ensure_ascii=False).encode()
        secret = self._credentials.secret + ("?" if Quirk.FORGED in call.quirks else "")
        headers = partial(_headers, body, key=self._credentials.key, secret=secret)
        return Message(kind, label, f"{self._hooks}/{kind}", body, headers, _is_acknowledged)


def parse_order(content: dict[str, object]) -> CallOrder:
    """The order in a body of `POST /calls`; fields that we do not know are ignored. Raises BadBody."""
    order = CallOrder(
        reference=_text(content, "reference"),
        agent_number=_text(content, "agent_number"),
        customer_number=_text(content, "customer_number"),
        display_to_agent=_optional_text(content, "display_to_agent"),
        display_to_customer=_optional_text(content, "display_to_customer"),
        max_seconds=_seconds(content, "max_seconds", default=None),
        ring_timeout=_seconds(content, "ring_timeout", default=45) or 45,
        warn_before_seconds=_seconds(content, "warn_before_seconds", default=None),
        dial_first=_optional_text(content, "dial_first") or "agent",
        record=content.get("record") is True,
    )
    if not _REFERENCE.fullmatch(order.reference):
        raise BadBody("reference: up to 64 of A-Z a-z 0-9 . _ : @ -")
    if order.dial_first not in ("agent", "customer"):
        raise BadBody("dial_first is agent or customer")
    return order


def _text(content: dict[str, object], name: str) -> str:
    if not (value := _optional_text(content, name)):
        raise BadBody(f"{name} is missing")
    return value


def _optional_text(content: dict[str, object], name: str) -> str | None:
    value = content.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX):
        raise BadBody(f"{name} is not a short text")
    return value


def _seconds(content: dict[str, object], name: str, *, default: int | None) -> int | None:
    value = content.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 86400:
        raise BadBody(f"{name} is not a number of seconds")
    return value


def _headers(body: bytes, *, key: str, secret: str) -> dict[str, str]:
    proof = sign(body, secret=secret, at_seconds=_unix_seconds())
    return {"Content-Type": "application/json", "X-Key": key, "X-Signature": proof}


def _is_acknowledged(status: int, answer: bytes) -> bool:
    """Any 2xx whose JSON object has a `result`."""
    try:
        return 200 <= status < 300 and "result" in json_object(answer)
    except BadBody:
        return False


def _unix_seconds() -> int:
    return int(wall_now().timestamp())


def _one_second_of_silence() -> bytes:
    """What every recording plays: 8 kHz, mono, 16 bit."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8000)
        recording.writeframes(bytes(16000))
    return sound.getvalue()
