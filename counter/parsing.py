"""From the wire to plain values: every field bounded, times aware, text printable. Raises Invalid naming the field."""

import re
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from billing_platform import metrics
from counter.errors import Invalid
from counter.uses import CallFacts, ServiceUse, UseRequest

LABEL_BYTES, PROVIDERNO_BYTES, TEXT_MAX, SUMMARY_MAX, ACCNO_MAX = 64, 128, 64, 512, 20
COUNT_MAX = 1_000_000
SECONDS_MAX = 86_400
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ACCNO = re.compile(r"[PC][0-9]{8,18}", re.ASCII).fullmatch
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
).fullmatch


def parse_instant(text: str, name: str) -> datetime | None:
    """ISO 8601 with offset, at most 6 decimals; "" is None. Naive times are refused unless the settings say UTC."""
    if not text:
        return None
    if len(text) > 40 or _INSTANT(text) is None:
        raise _invalid(name, "not an ISO 8601 time with offset")
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = _naive(at, name)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _invalid(name, "no such time") from error
    if at.year < 2000 or at.year > 2100:
        raise _invalid(name, "between 2000 and 2100")
    return at


def _naive(at: datetime, name: str) -> datetime:
    if settings.COUNTER_NAIVE_TIMES != "utc":
        raise _invalid(name, "has no offset")
    metrics.counter_naive_times.inc()
    return at.replace(tzinfo=UTC)


def parse_text(text: str, name: str, *, bytes_max: int = TEXT_MAX) -> str:
    """Printable text of bounded length."""
    if len(text) <= bytes_max and text.isascii() and text.isprintable():  # the usual one, "" too
        return text
    if _CONTROL.search(text):
        raise _invalid(name, "control characters")
    if len(text) > bytes_max or (not text.isascii() and len(text.encode()) > bytes_max):
        raise _invalid(name, f"longer than {bytes_max} bytes")
    return text


def parse_accno(text: str, name: str = "accno") -> str:
    """An account number's form; an impossible one simply does not exist."""
    return text if _ACCNO(text) else parse_text(text, name, bytes_max=64)


def parse_label(text: str) -> str:
    """A label that is given."""
    if not text:
        raise _invalid("label", "missing")
    return parse_text(text, "label", bytes_max=LABEL_BYTES)


def parse_count(count: int, name: str = "count") -> int:
    """0 means 1."""
    if not 0 <= count <= COUNT_MAX:
        raise _invalid(name, f"between 0 and {COUNT_MAX}")
    return count or 1


def parse_seconds(seconds: int, name: str) -> int:
    """A limit in seconds; 0 = none."""
    if not 0 <= seconds <= SECONDS_MAX:
        raise _invalid(name, f"between 0 and {SECONDS_MAX}")
    return seconds


def _summary(text: str) -> str:
    """Cut, not refused, when long."""
    return parse_text(text[:SUMMARY_MAX], "summary", bytes_max=SUMMARY_MAX * 4)


def parse_call(call: Any) -> CallFacts:  # generated messages are untyped
    """What a call is."""
    return CallFacts(
        caller=parse_text(call.caller, "caller"),
        called=parse_text(call.called, "called"),
        call_type=parse_text(call.call_type, "call_type"),
        ring_at=parse_instant(call.ring_time, "ring_time"),
        agent_answer_at=parse_instant(call.agent_answer_time, "agent_answer_time"),
        answered=call.answered if call.HasField("answered") else True,
        answer_basis=parse_text(call.answer_basis, "answer_basis"),
        trunk=parse_text(call.trunk, "trunk"),
        carrier=parse_text(call.carrier, "carrier"),
        record_ref=parse_text(call.record_ref, "record_ref"),
    )


def parse_use(request: Any) -> ServiceUse:
    """A use that has happened. Raises Invalid."""
    providerno = parse_text(request.providerno, "providerno", bytes_max=PROVIDERNO_BYTES)
    svcno = parse_text(request.svcno, "svcno", bytes_max=32)
    if not providerno and not svcno:
        raise _invalid("providerno", "missing")
    if request.rate_policy not in {"", "highest"}:
        raise _invalid("rate_policy", "unknown")
    return ServiceUse(
        accno=parse_accno(request.accno),
        label=parse_label(request.label),
        providerno=providerno,
        start=parse_instant(request.start_time, "start_time"),
        finish=parse_instant(request.finish_time, "finish_time"),
        count=parse_count(request.count),
        svcno=svcno,
        summary=_summary(request.summary),
        application=parse_text(request.application, "application"),
        organization=parse_text(request.organization, "organization"),
        call=parse_call(request.call) if request.HasField("call") else None,
        estimated=request.estimated,
        rate_policy=request.rate_policy,
        correction=parse_text(request.correction, "correction"),
    )


def parse_use_request(request: Any) -> UseRequest:
    """A use that may begin (StartService). Raises Invalid."""
    return UseRequest(
        accno=parse_accno(request.accno),
        label=parse_label(request.label),
        providerno=parse_text(request.providerno, "providerno", bytes_max=PROVIDERNO_BYTES),
        start=parse_instant(request.start_time, "start_time"),
        count=parse_count(request.count),
        summary=_summary(request.summary),
        application=parse_text(request.application, "application"),
        organization=parse_text(request.organization, "organization"),
        expire=parse_instant(request.expire, "expire"),
        check_quota=request.check_quota,
        call=parse_call(request.call) if request.HasField("call") else None,
        max_seconds=parse_seconds(request.max_seconds, "max_seconds"),
        ring_timeout=parse_seconds(request.ring_timeout, "ring_timeout"),
        step=parse_seconds(request.max_seconds_step, "max_seconds_step"),
    )


def parse_quote(request: Any) -> UseRequest:
    """A question before a use (Quote). Raises Invalid."""
    return UseRequest(
        accno=parse_accno(request.accno),
        label=parse_label(request.label),
        start=parse_instant(request.start_time, "start_time"),
        count=parse_count(request.count),
        call=parse_call(request.call) if request.HasField("call") else None,
        max_seconds=parse_seconds(request.max_seconds, "max_seconds"),
        ring_timeout=parse_seconds(request.ring_timeout, "ring_timeout"),
        step=parse_seconds(request.max_seconds_step, "max_seconds_step"),
    )


def _invalid(name: str, why: str) -> Invalid:
    return Invalid(f"{name}: {why}", fields={name: why})
