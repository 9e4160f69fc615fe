"""What the metrics tell of call records: counted a batch at a time, after it is committed; the backlog when asked.

A label is a word of ours: a carrier that rating does not know counts as `other`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from billing_platform import clock, metrics
from billing_platform.metrics import Reading
from cdr.records import CHARGED, ORPHAN, PENDING, QUARANTINED, REVIEW, WAITING, CallRow
from rating.numbers.carrier_codes import known_carriers

COUNTED_MAX = 100_000
PRICED_BY = 1000  # newest charges whose average estimates what waits
BACKLOG = (PENDING, WAITING, ORPHAN, REVIEW, QUARANTINED)
OTHER = "other"
_NO_CALL_YET = frozenset({WAITING, QUARANTINED})  # the talk record of a waiting leg is the call


class Stored(NamedTuple):
    """A record as it was written: who sent it, what came of it, and is it a new one?"""

    row: CallRow
    adapter: str
    result: str
    is_new: bool


def count_stored(stored: Iterable[Stored]) -> None:
    """The calls that these new records tell of, and how long after its end the oldest of each kind was stored."""
    at, oldest, new = clock.now(), dict[tuple[str, str], datetime](), list[CallRow]()
    for row, adapter, result, is_new in stored:
        if row.end_time is not None:
            kind = adapter, result
            oldest[kind] = min(row.end_time, oldest.get(kind, row.end_time))
        if is_new:
            new.append(row)
    for kind, end in oldest.items():
        metrics.cdr_age.labels(*kind).observe(_seconds(at, end))
    _count_calls(new)


def _count_calls(rows: Iterable[CallRow]) -> None:
    numbers, seconds, known = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]](), known_carriers()
    for row in rows:
        if row.state not in _NO_CALL_YET:
            carrier = row.carrier if not row.carrier or row.carrier in known else OTHER
            kind = carrier, row.call_type, "yes" if row.is_answered else "no"
            numbers[kind] += 1
            seconds[kind] += row.billable_seconds
    for kind, number in numbers.items():
        metrics.calls.labels(*kind).inc(number)
        metrics.call_seconds.labels(*kind).inc(seconds[kind])


def count_attempts(rows: Iterable[CallRow]) -> None:
    """Each of these was asked for at the counter: how it stands, and the code of what was refused."""
    for outcome, number in Counter(map(_outcome, rows)).items():
        metrics.charge_attempts.labels(*outcome).inc(number)


def count_settled(rows: Iterable[CallRow]) -> None:
    """How long the oldest took of those whose charge is decided: from received to committed."""
    at, oldest = clock.now(), dict[tuple[str, str], datetime]()
    for row in rows:
        if row.state in {CHARGED, REVIEW}:
            outcome = _outcome(row)
            oldest[outcome] = min(row.received_at, oldest.get(outcome, row.received_at))
    for outcome, received_at in oldest.items():
        metrics.charge_duration.labels(*outcome).observe(_seconds(at, received_at))


def _outcome(row: CallRow) -> tuple[str, str]:
    return row.state, row.bill_error.partition(":")[0]


def _seconds(at: datetime, before: datetime) -> float:
    return max(0.0, (at - before).total_seconds())


# --- the backlog ------------------------------------------------------------------------------------------------------


class _Waiting(NamedTuple):
    """Records of one state and service: how many, the first received, the seconds talked in all of them."""

    state: str
    label: str
    number: int
    received_at: datetime
    seconds: int


def backlog_readings() -> list[Reading]:
    """What waits for its charge by state, the age of the oldest that waits for the counter, and what it may bring."""
    waiting = _waiting()
    numbers = Counter(dict.fromkeys(BACKLOG, 0))
    for group in waiting:
        numbers[group.state] += group.number
    pending = [group.received_at for group in waiting if group.state == PENDING]
    age = _seconds(clock.now(), min(pending)) if pending else 0.0
    return [
        *(Reading(metrics.charge_backlog, number, (state,)) for state, number in numbers.items()),
        Reading(metrics.charge_oldest, age),
        *(
            Reading(metrics.charge_at_risk, metrics.rounded(amount), (currency,))
            for currency, amount in _at_risk(waiting).items()
        ),
    ]


def _waiting() -> list[_Waiting]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, label, count(*), min(received_at), sum(billable_seconds)"
            " FROM (SELECT state, label, received_at, billable_seconds FROM call_records"
            "        WHERE NOT billed AND NOT state = 'filtered' AND state = ANY(%s) LIMIT %s) AS waiting"
            " GROUP BY state, label",
            [list(BACKLOG), COUNTED_MAX],
        )
        return [_Waiting(*row) for row in cursor.fetchall()]


def _at_risk(waiting: Sequence[_Waiting]) -> dict[str, Decimal]:
    """Seconds that are to be charged, at what a second of the same service brought lately; by currency."""
    seconds = Counter[str]()
    for group in waiting:
        if group.label and group.state in {PENDING, REVIEW}:
            seconds[group.label] += group.seconds
    amounts: dict[str, Decimal] = {}
    for label, currency, price in _prices_of_late() if seconds else ():
        amounts[currency] = amounts.get(currency, Decimal(0)) + price * seconds[label]
    return amounts


def _prices_of_late() -> list[tuple[str, str, Decimal]]:
    """What a talked second of each service cost on average in the newest charges."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT label, currency, sum(cost) / sum(billable_seconds)"
            " FROM (SELECT label, currency, cost, billable_seconds FROM call_records"
            "        WHERE billed AND billable_seconds > 0 ORDER BY id DESC LIMIT %s) AS newest"
            " GROUP BY label, currency",
            [PRICED_BY],
        )
        return list(cursor.fetchall())
