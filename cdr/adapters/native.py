"""Our own format, read strictly: one object, an array of up to 1,000, or NDJSON.

What the parser lets through is judged on the bytes first (depth, size, exponents, a name twice) and on the values
afterwards (control characters, one form of time). A body that cannot be read at all raises; a record that makes no
sense is a Rejection in its place. The quick way costs about 10 microseconds a record.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from billing_platform.errors import Malformed, TooLarge
from billing_platform.strict_json import parse_json
from cdr.messages import Adapter, CallMessage, Knock, Parsed, Payload, Rejection, contradiction, whole_seconds

BYTES_ONE, BYTES_MANY = 256 * 1024, 5 * 1024 * 1024
DEPTH_MAX, RECORDS_MAX = 8, 1000
NDJSON: Final = "application/x-ndjson"
DURATION_TOLERANCE: Final = 1  # seconds
BASIS_OF_LEG = {"call": "b_answer", "a": "a_answer", "b": "b_answer"}

Text = Annotated[str, Meta(max_length=255)]
Name = Annotated[str, Meta(max_length=64)]
Number = Annotated[str, Meta(max_length=21)]
Time = Annotated[str, Meta(max_length=40)]
CallType = Literal[
    "callback", "direct", "softphone", "inbound", "outbound", "ivr", "notify", "internal", "axb", "call400", "unknown"
]
Cause = Literal[
    "normal_clearing", "busy", "no_answer", "rejected", "cancelled", "unreachable", "power_off", "invalid_number",
    "failed", "time_limit", "insufficient_balance", "unknown",
]  # fmt: skip


class Body(Struct, forbid_unknown_fields=True, gc=False):
    """The fields as they are sent; UNSET tells a missing field from a null one, so that fields can be counted."""

    provider: Name
    provider_call_id: Name
    caller: Number
    called: Number
    start_time: Time
    end_time: Time
    call_id: Name | UnsetType | None = UNSET
    call_type: CallType | UnsetType | None = UNSET
    leg: Literal["call", "a", "b"] | UnsetType = UNSET
    display_number: Number | UnsetType | None = UNSET
    organization_id: Name | UnsetType | None = UNSET
    agent_answer_time: Time | UnsetType | None = UNSET
    answer_time: Time | UnsetType | None = UNSET
    hangup_cause: Cause | UnsetType | None = UNSET
    hangup_by: Literal["agent", "customer", "platform"] | UnsetType | None = UNSET
    recording_url: Text | UnsetType | None = UNSET
    version: Annotated[int, Meta(ge=1, le=32767)] | UnsetType = UNSET
    duration: Annotated[int, Meta(ge=0, le=86_400)] | UnsetType | None = UNSET
    trunk: Name | UnsetType | None = UNSET
    carrier: Name | UnsetType | None = UNSET
    user_data: Text | UnsetType | None = UNSET


FIELDS: Final = len(Body.__struct_fields__)
_one = msgspec.json.Decoder(Body).decode
_many = msgspec.json.Decoder(list[Body]).decode
_raw_many = msgspec.json.Decoder(list[msgspec.Raw]).decode

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_PAIRS = re.compile(rb"\{\}|\[\]")
_ODD_NUMBER = re.compile(rb"[0-9.][eE]|[0-9]{41}")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_IDS = re.compile(r"[A-Za-z0-9._:@-]{1,64}\n[A-Za-z0-9._:@-]{1,64}\n[A-Za-z0-9._:@-]{0,64}").fullmatch
_NUMBERS = re.compile(r"(?:\+?[0-9]{3,20})?\n(?:\+?[0-9]{3,20})?\n(?:\+?[0-9]{3,20})?").fullmatch
_MOMENT = (
    r"(?:20[0-9]{2}|2100)-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
)
_MOMENTS = re.compile(rf"{_MOMENT}\n(?:{_MOMENT})?\n(?:{_MOMENT})?\n{_MOMENT}").fullmatch


def parse(payload: Payload) -> Sequence[Parsed]:
    """The records of a body, in order. Raises Malformed or TooLarge when it cannot be read as a whole."""
    body = payload.body
    if payload.content_type == NDJSON:
        return _parse_lines(body)
    if body[:64].lstrip(b" \t\r\n")[:1] == b"[":
        return _parse_array(body)
    return [_parse_object(body)]


def _parse_object(body: bytes) -> Parsed:
    """One record. Raises Malformed for what is no JSON object at all."""
    if len(body) > BYTES_ONE:
        raise TooLarge(limit=BYTES_ONE)
    names = count_names(body)
    if b"\\u" in body:
        parse_json(body, depth_max=DEPTH_MAX)  # an escape may hide NUL, half a character, or the name of a field
    try:
        fields = _one(body)
    except msgspec.ValidationError as error:
        return _invalid(body, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None
    if names != FIELDS - msgspec.structs.astuple(fields).count(UNSET):
        raise Malformed("a name stands twice in one object")
    return message_of(fields)


def _parse_array(body: bytes) -> Sequence[Parsed]:
    if len(body) > BYTES_MANY:
        raise TooLarge(limit=BYTES_MANY)
    names = count_names(body)
    if b"\\u" in body:
        return _parse_one_by_one(body)
    try:
        records = _many(body)
    except msgspec.ValidationError:
        return _parse_one_by_one(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None
    if len(records) > RECORDS_MAX:
        raise TooLarge(limit=RECORDS_MAX, unit="records")
    given = sum([FIELDS - msgspec.structs.astuple(fields).count(UNSET) for fields in records])
    if names != given:
        return _parse_one_by_one(body)
    return [message_of(fields) for fields in records]


def _parse_one_by_one(body: bytes) -> Sequence[Parsed]:
    """The slow way: some record is bad, and only that one may suffer."""
    try:
        records = _raw_many(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None
    if len(records) > RECORDS_MAX:
        raise TooLarge(limit=RECORDS_MAX, unit="records")
    return [_parse_alone(bytes(record)) for record in records]


def _parse_lines(body: bytes) -> Sequence[Parsed]:
    """NDJSON: a line is a record, whatever the line before it was."""
    if len(body) > BYTES_MANY:
        raise TooLarge(limit=BYTES_MANY)
    lines = [line for line in body.split(b"\n") if line.strip(b" \t\r")]
    if len(lines) > RECORDS_MAX:
        raise TooLarge(limit=RECORDS_MAX, unit="records")
    if not lines:
        raise Malformed("there is no record in the body")
    return [_parse_alone(line) for line in lines]


def _parse_alone(record: bytes) -> Parsed:
    try:
        return _parse_object(record)
    except (Malformed, TooLarge) as refusal:
        return Rejection(refusal.code, refusal.detail or str(refusal.title), refusal.http_status)


def count_names(body: bytes, *, depth_max: int = DEPTH_MAX) -> int:
    """How many names (of fields) the body holds. Raises Malformed for what no value may look like.

    Without a backslash every second piece between quotes stands outside of strings: no loop, no parser.
    """
    outside = b"".join(body.split(b'"')[::2]) if b"\\" not in body else _STRINGS.sub(b"", body)
    brackets = outside.translate(None, _NOT_BRACKETS)
    for _ in range(depth_max):
        if not brackets:
            break
        brackets = _PAIRS.sub(b"", brackets)
    if brackets:
        raise Malformed(f"nested deeper than {depth_max}, or brackets that do not match")
    if _ODD_NUMBER.search(outside):
        raise Malformed("write numbers without exponent and with at most 40 digits")
    return outside.count(b":")


def _unreadable(error: Exception) -> Malformed:
    return Malformed("not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error))


def _invalid(record: bytes, error: msgspec.ValidationError) -> Parsed:
    """Readable but senseless. Only the strict reader sees whether it is readable to its end: raises Malformed."""
    parse_json(record, depth_max=DEPTH_MAX)
    return Rejection("validation", str(error))


def message_of(fields: Body) -> Parsed:
    """The canonical record of a decoded body, or what is wrong with its values."""
    given: list[Any] = [None if value is UNSET else value for value in msgspec.structs.astuple(fields)]
    (
        provider, provider_call_id, caller, called, start, end, call_id, call_type, leg, display, organization,
        agent_answer, answer, cause, hangup_by, recording, version, duration, trunk, carrier, user_data,
    ) = given  # fmt: skip
    if not _IDS(f"{provider}\n{provider_call_id}\n{call_id or ''}"):
        return Rejection("validation", "ids are 1 to 64 of A-Z a-z 0-9 . _ : @ - (provider, provider_call_id, call_id)")
    if not _NUMBERS(f"{caller}\n{called}\n{display or ''}"):
        return Rejection("validation", "numbers are 3 to 20 digits, with or without + (caller, called, display_number)")
    free = f"{recording or ''}{trunk or ''}{carrier or ''}{user_data or ''}{organization or ''}"
    if not free.isprintable():
        return Rejection("validation", "text holds characters that cannot be printed")
    if not _MOMENTS(f"{start}\n{agent_answer or ''}\n{answer or ''}\n{end}"):
        return Rejection("validation", "times are ISO 8601 with offset, 2000 to 2100: 2026-03-02T10:00:00+08:00")
    try:
        started, ended = datetime.fromisoformat(start), datetime.fromisoformat(end)
        a_answered = datetime.fromisoformat(agent_answer) if agent_answer else None
        answered = datetime.fromisoformat(answer) if answer else None
    except ValueError as error:
        return Rejection("validation", f"a time does not exist: {error}")
    leg = leg or "call"
    message = CallMessage(
        provider, provider_call_id, leg, call_id or "", call_type or "", caller, called, display or "", started,
        answered if leg == "a" and a_answered is None else a_answered, answered, ended,
        max(0, whole_seconds(answered, ended)) if answered is not None else 0, BASIS_OF_LEG[leg], cause or "unknown",
        hangup_by or "", recording or "", leg == "call", organization or "", "", "", version or 1, trunk or "",
        carrier or "", user_data or "",
    )  # fmt: skip
    wrong = contradiction(message) or _wrong_duration(message, duration)
    return Rejection("contradiction", wrong, for_review=True) if wrong else message


def _wrong_duration(message: CallMessage, duration: int | None) -> str:
    if duration is None or abs(duration - message.billable_seconds) <= DURATION_TOLERANCE:
        return ""
    return "duration_mismatch"


def _never(_knock: Knock, _key_name: str, _secrets: Sequence[str], _at: datetime) -> bool:
    """Our own format comes through the API, where the key is the proof; it has no webhook."""
    return False


def acknowledge(result: str, cdr_id: str) -> tuple[str, str]:
    """The short form of our answer, for senders that only want to know that we have it."""
    return "application/json", json.dumps({"result": result, "cdr_id": cdr_id or None})


ADAPTER = Adapter(parse, _never, acknowledge)
