"""Adapters: the canonical record of each platform's own words. Pure: no database."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing_platform.errors import Malformed
from cdr.adapters import ADAPTERS, generic, native
from cdr.messages import CallMessage, Payload, Rejection
from tests.cdr.desk import MARCH, call

SAMPLES = json.loads((Path(__file__).parents[1] / "payloads" / "cdr" / "native.json").read_text())
CHINA = ZoneInfo("Asia/Shanghai")


def shown(message: CallMessage) -> dict[str, Any]:
    """As the canonical record is written down; what only our own call row knows is left out."""

    def instant(value: datetime | None) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")

    return {
        "provider": message.provider, "provider_call_id": message.provider_call_id, "leg": message.leg,
        "call_id": message.call_id, "call_type": message.call_type, "caller": message.caller,
        "called": message.called, "display_number": message.display_number or None,
        "start_time": instant(message.start_time), "a_answer_time": instant(message.a_answer_time),
        "answer_time": instant(message.answer_time), "end_time": instant(message.end_time),
        "duration_seconds": message.duration_seconds, "billable_seconds": message.billable_seconds,
        "answer_basis": message.answer_basis, "hangup_cause": message.hangup_cause,
        "hangup_by": message.hangup_by or None, "recording_url": message.recording_url or None,
        "provider_cost": message.provider_cost or None, "complete": message.complete,
        "warnings": list(message.warnings),
    }  # fmt: skip


@pytest.mark.parametrize("adapter", ["native", "generic"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["id"])
def test_sample_gives_the_canonical_record(sample: dict[str, Any], adapter: str) -> None:
    payload = Payload(json.dumps(sample["body"]).encode(), sample["content_type"], UTC)

    (message,) = ADAPTERS[adapter].parse(payload)

    wanted = dict(sample["canonical"][0])
    del wanted["organization_id"]
    assert isinstance(message, CallMessage)
    assert shown(message) == wanted


def read(record: object, *, content_type: str = "application/json") -> Any:
    return native.parse(Payload(json.dumps(record).encode(), content_type, UTC))


def test_escaped_text_is_read_like_plain_text() -> None:
    record = call(start=MARCH, user_data="回拨")
    bodies = [json.dumps(record, ensure_ascii=False).encode(), json.dumps(record).encode()]

    plain, escaped = (native.parse(Payload(body, "application/json", UTC))[0] for body in bodies)

    assert isinstance(plain, CallMessage)
    assert plain == escaped
    assert plain.user_data == "回拨"


def test_seconds_are_cut_and_not_rounded() -> None:
    times = {
        "start_time": "2026-03-02T10:00:00+08:00", "agent_answer_time": None,
        "answer_time": "2026-03-02T10:00:12.900+08:00", "end_time": "2026-03-02T10:01:47.100+08:00",
    }  # fmt: skip

    (message,) = read(call(start=MARCH) | times)

    assert (message.billable_seconds, message.duration_seconds) == (95, 107)


def test_leg_a_counts_no_talk() -> None:
    (message,) = read(call(start=MARCH, leg="a"))

    assert (message.answer_basis, message.a_answer_time is not None, message.complete) == ("a_answer", True, False)


@dataclass(frozen=True)
class Odd:
    """A push of the generic platform with one odd value, and what is read."""

    name: str
    value: object
    read: object
    warning: str = ""


@pytest.mark.parametrize(
    "odd",
    [
        Odd("hangup_cause", "went_home", "unknown", "hangup_cause_unknown"),
        Odd("hangup_by", 7, "", "hangup_by_unknown"),
        Odd("answer_time", "yesterday", None, "time_unreadable"),
        Odd("answer_time", "1970-01-01T00:00:00Z", None),
        Odd("answer_time", "0", None),
        Odd("recording_url", "https://x/" + "a" * 400, "https://x/" + "a" * 245),
        Odd("version", "two", 1),
        Odd("user_data", "a\0b", "ab"),
    ],
    ids=lambda odd: f"{odd.name}={str(odd.value)[:12]}",
)
def test_generic_push_is_read_leniently(odd: Odd) -> None:
    body = json.dumps(call(start=MARCH, extra={"a": [1]}) | {odd.name: odd.value}).encode()

    (message,) = generic.parse(Payload(body, "", CHINA))

    assert isinstance(message, CallMessage)
    assert getattr(message, odd.name) == odd.read
    assert message.warnings == ((odd.warning,) if odd.warning else ())


def test_generic_push_reads_naive_times_in_the_zone_of_the_provider() -> None:
    body = json.dumps(call(start=MARCH) | {"start_time": "2026-03-02 10:00:00"}).encode()

    (message,) = generic.parse(Payload(body, "", CHINA))

    assert isinstance(message, CallMessage)
    assert message.start_time == datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff{}", b"[" * 100_000, b'"text"', b'{"leg":' + b"[" * 30])
def test_generic_push_that_is_no_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(Malformed):
        generic.parse(Payload(body, "", UTC))


def test_generic_push_without_a_call_id_is_rejected() -> None:
    (message,) = generic.parse(Payload(b'{"caller": "13800000001"}', "", UTC))

    assert isinstance(message, Rejection)
    assert message.code == "no_call_id"
