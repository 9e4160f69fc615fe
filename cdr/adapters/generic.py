"""The generic platform: our native body as others send it. Read leniently: unknown fields and odd values do no harm.

What the record needs is taken, what is odd becomes a warning, and only a body that is no such object is unreadable.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec
from msgspec import Struct

from billing_platform.errors import Malformed, TooLarge
from cdr.adapters.native import BASIS_OF_LEG, acknowledge, count_names
from cdr.messages import (
    CALL_TYPES,
    CAUSES,
    LEGS,
    PARTIES,
    Adapter,
    CallMessage,
    Knock,
    Parsed,
    Payload,
    Rejection,
    whole_seconds,
)  # fmt: skip

BYTES_MAX, DEPTH_MAX = 256 * 1024, 20
TEXT_MAX, ID_MAX = 255, 128  # characters
BEFORE_CALLS = datetime(2000, 1, 1, tzinfo=UTC)  # an earlier time is a platform's way to say "none"

Loose = str | int | float | bool | None


class Body(Struct, gc=False):
    """The native fields, each of any simple type; what else is sent is skipped."""

    provider_call_id: Loose = None
    caller: Loose = None
    called: Loose = None
    start_time: Loose = None
    end_time: Loose = None
    call_id: Loose = None
    call_type: Loose = None
    leg: Loose = None
    display_number: Loose = None
    agent_answer_time: Loose = None
    answer_time: Loose = None
    hangup_cause: Loose = None
    hangup_by: Loose = None
    recording_url: Loose = None
    version: Loose = None
    trunk: Loose = None
    carrier: Loose = None
    user_data: Loose = None
    provider: Loose = None


PROOF_SECONDS = 300  # both ways: stock libraries accept the future
_PROOF = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
_decode = msgspec.json.Decoder(Body).decode
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def parse(payload: Payload) -> Sequence[Parsed]:
    """The one record of a push. Raises Malformed or TooLarge when it is no object of this form."""
    if len(payload.body) > BYTES_MAX:
        raise TooLarge(limit=BYTES_MAX)
    count_names(payload.body, depth_max=DEPTH_MAX)
    try:
        body = _decode(payload.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None
    return [_message(body, payload.zone)]


def _message(body: Body, zone: tzinfo) -> Parsed:
    provider_call_id = _text(body.provider_call_id, ID_MAX)
    if not provider_call_id:
        return Rejection("no_call_id", "the record does not name its call")
    warnings: list[str] = []
    start, end = _instant(body.start_time, zone, warnings), _instant(body.end_time, zone, warnings)
    answer = _instant(body.answer_time, zone, warnings)
    leg = _known(body.leg, LEGS, warnings, "leg") or "call"
    a_answer = _instant(body.agent_answer_time, zone, warnings) or (answer if leg == "a" else None)
    return CallMessage(
        _text(body.provider, 64), provider_call_id, leg, _text(body.call_id, 64),
        _known(body.call_type, CALL_TYPES, warnings, "call_type"), _text(body.caller, 64), _text(body.called, 64),
        _text(body.display_number, 64), start, a_answer, answer, end,
        max(0, whole_seconds(answer, end)) if answer is not None and end is not None else 0, BASIS_OF_LEG[leg],
        _known(body.hangup_cause, CAUSES, warnings, "hangup_cause") or "unknown",
        _known(body.hangup_by, PARTIES, warnings, "hangup_by"), _text(body.recording_url, TEXT_MAX), leg == "call",
        version=_version(body.version), trunk=_text(body.trunk, 64), carrier=_text(body.carrier, 64),
        user_data=_text(body.user_data, TEXT_MAX), warnings=tuple(warnings),
    )  # fmt: skip


def _text(value: Loose, characters_max: int) -> str:
    """As text that can be stored: cut, without NUL and halves of characters."""
    if value is None or isinstance(value, bool):
        return ""
    return _UNSTORABLE.sub("", str(value))[:characters_max]


def _known(value: Loose, words: Collection[str], warnings: list[str], name: str) -> str:
    text = _text(value, TEXT_MAX)
    if text and text not in words:
        warnings.append(f"{name}_unknown")
        return ""
    return text


def _version(value: Loose) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 32_767 else 1


def _instant(value: Loose, zone: tzinfo, warnings: list[str]) -> datetime | None:
    """An instant; naive text is read in the provider's zone, what lies before 2000 means none."""
    text = _text(value, 40)
    if text in {"", "0"}:
        return None
    try:
        instant = datetime.fromisoformat(text)
        instant = (instant if instant.tzinfo is not None else instant.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        warnings.append("time_unreadable")
        return None
    return instant if instant >= BEFORE_CALLS else None


def verify(knock: Knock, key_name: str, secrets: Sequence[str], at: datetime) -> bool:
    """`X-Key` names the sender; `X-Signature: t=<unix>,v1=<hex HMAC-SHA256(secret, t + "." + body)>`, ± 300 s."""
    proof = _PROOF.fullmatch(knock.headers.get("x-signature", ""))
    if proof is None or abs(int(proof[1]) - at.timestamp()) > PROOF_SECONDS:
        return False
    signed = proof[1].encode() + b"." + knock.body
    matched = False
    for secret in secrets:
        matched |= hmac.compare_digest(hmac.digest(secret.encode(), signed, hashlib.sha256).hex(), proof[2])
    named = hmac.compare_digest(knock.headers.get("x-key", "").encode("utf-8", "replace"), key_name.encode())
    return matched and named and bool(key_name)


ADAPTER = Adapter(parse, verify, acknowledge)
