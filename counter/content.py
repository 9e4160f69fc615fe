"""The canonical content of a use: what a repeat under the same key must equal, however its times are spelt."""

from datetime import date, datetime
from functools import lru_cache

import msgspec

from counter.errors import IdempotencyConflict, Invalid
from counter.uses import CallFacts, ServiceUse, UseRequest
from rating.numbers import dialling
from rating.segments import Number, NumberContext, read_number

SVCNO_DAY = "%Y%m%d"
SVCNO_MAX = 27  # the day and 18 digits: no id is longer

CONTENT_FIELDS = (
    "accno", "label", "start_time", "finish_time", "count", "organization", "caller", "called", "call_type",
    "agent_answer_time", "answered", "answer_basis", "trunk", "carrier",
)  # fmt: skip
START_FIELDS = (
    "accno", "label", "start_time", "count", "organization", "expire", "caller", "called", "call_type", "max_seconds",
    "ring_timeout", "max_seconds_step",
)  # fmt: skip

NUMBERS_KEPT = 8192
DAYS_KEPT = 64

_encoder = msgspec.json.Encoder()


def instant(at: datetime | None) -> int | None:
    """An instant as whole microseconds since 1970, so that spelling and zone do not matter."""
    if at is None:
        return None
    return round(at.timestamp() * 1_000_000)  # exact: a double holds microseconds until the year 2255


def plain_number(text: str) -> Number:
    """The number that a text means wherever it is dialled; kept, since both content and price of a use ask for it."""
    return _read(text, dialling.anywhere())


@lru_cache(maxsize=NUMBERS_KEPT)
def _read(text: str, context: NumberContext) -> Number:
    return read_number(text, context)


def number_key(text: str) -> str:
    """The number as compared: its key, or the text itself when it cannot be read."""
    return (plain_number(text).key or text) if text else ""


def use_content(use: ServiceUse) -> str:
    """The canonical content of a use: what a repeat under the same key must equal."""
    call = use.call or CallFacts()
    values = (
        use.accno, use.label, instant(use.start), instant(use.finish), use.count, use.organization,
        number_key(call.caller), number_key(call.called), call.call_type, instant(call.agent_answer_at),
        call.answered, call.answer_basis, call.trunk, call.carrier,
    )  # fmt: skip
    return _encoder.encode(values).decode()


def start_content(request: UseRequest) -> str:
    """The canonical content of a start."""
    call = request.call or CallFacts()
    values = (
        request.accno, request.label, instant(request.start), request.count, request.organization,
        instant(request.expire), number_key(call.caller), number_key(call.called), call.call_type,
        request.max_seconds, request.ring_timeout, request.step,
    )  # fmt: skip
    return _encoder.encode(values).decode()


def started_call(content: str) -> CallFacts | None:
    """The call as the start told it; None when it told nothing."""
    given = dict(zip(START_FIELDS, msgspec.json.decode(content), strict=True))
    facts = {name: given[name] for name in ("caller", "called", "call_type")}
    return CallFacts(**facts) if any(facts.values()) else None


def require_same(stored: str, given: str, names: tuple[str, ...]) -> None:
    """Raises IdempotencyConflict that names the differing fields, never their values."""
    if stored == given:
        return
    old, new = msgspec.json.decode(stored), msgspec.json.decode(given)
    differing = [name for name, before, after in zip(names, old, new, strict=True) if before != after]
    raise IdempotencyConflict(f"differs in: {', '.join(differing)}", fields=differing)


def svcno_of(record_id: int, created_at: datetime) -> str:
    """The service number of a record: S, the UTC day of its making, its id."""
    return f"S{_day(created_at.toordinal())}{record_id:08d}"


@lru_cache(maxsize=DAYS_KEPT)
def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).strftime(SVCNO_DAY)


def record_id_of(svcno: str) -> int:
    """The record behind a service number. Raises Invalid when it is none of ours."""
    if not (svcno.isascii() and svcno[:1] == "S" and svcno[1:].isdigit() and 17 <= len(svcno) <= SVCNO_MAX):
        raise Invalid("svcno is not one of ours", fields={"svcno": "unknown form"})
    return int(svcno[9:])
