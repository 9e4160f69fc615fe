"""Intake: one promise. Whatever a sender was told, its delivery is stored, and every record in it becomes, exactly
once, a call record that is charged, filtered, waiting with a deadline, or on a list that people see.

A delivery is committed first: that is what an acknowledgement promises. Then, for all deliveries that came meanwhile
together: read, match, compare with what is stored, filter, ask the counter once, write every record once in its final
state. What dies in between is taken up again from the stored delivery; repeating any step changes nothing.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from billing_platform import clock, metrics
from billing_platform.failpoints import failpoint
from billing_platform.gathering import Gatherer
from billing_platform.transactions import limit_waiting
from cdr import history
from cdr.charging import charge_records
from cdr.deliveries import Delivery, Received, close_deliveries, store_deliveries
from cdr.entries import Entry, read_entries
from cdr.errors import RecordChanged, TooManyProviders
from cdr.figures import Stored, count_settled, count_stored
from cdr.filters import Decision
from cdr.history import Change, Review
from cdr.judging import current_terms, judge
from cdr.matching import dispute_window, find_our_calls, find_providers, row_of
from cdr.messages import Rejection, quarantine_reason
from cdr.models import CallDetail
from cdr.numbering import new_ids
from cdr.receipts import ACCEPTED, CONFLICT, DUPLICATE, PENDING, UPDATED, RecordOutcome, outcome_of, rejected
from cdr.records import CallRow, find_by_keys, insert_records, update_records
from cdr.repeats import Comparison, Verdict, compare, merge

WEIGHT_MAX, THREADS = 1000, 2  # records together; batches side by side: one waits for the counter or the disk
ROUNDS_MAX = 20  # beyond them the rest is left to the sweeper
RESULTS = {Verdict.ENRICHED: UPDATED, Verdict.REPLACED: UPDATED, Verdict.CONFLICT: CONFLICT}
_log = logging.getLogger(__name__)


def accept(received: Received) -> list[RecordOutcome]:
    """Store a delivery and settle its records: outcomes in their order; an unreadable body is one rejected record.

    Raises Unavailable, or what the database raises, when it could not be stored: then nothing was promised.
    """
    return _gatherer.submit(received, weight=max(1, len(received.parsed or ())))


def accept_deliveries(batch: Sequence[Received]) -> list[list[RecordOutcome]]:
    """The same for many deliveries in one go."""
    until = time.monotonic() + settings.CDR_INLINE_BUDGET
    return settle_deliveries(store_deliveries(batch, at=clock.now()), until=until)


_gatherer: Gatherer[Received, list[RecordOutcome]] = Gatherer(
    "intake", accept_deliveries, weight_max=WEIGHT_MAX, threads=THREADS
)


def keep_unreadable(received: Received, *, detail: str) -> None:
    """Store a push that is no record and cannot be read, and show it to people."""
    (delivery,) = store_deliveries([received], at=clock.now())
    _write([], [Review.unparsed(delivery, detail)], closing=[delivery.id])


def settle_deliveries(deliveries: Sequence[Delivery], *, until: float) -> list[list[RecordOutcome]]:
    """Write the records of stored deliveries, asking the counter until `until` (monotonic).

    What the database cannot take now stays stored and queued, and is answered as pending; what was refused as it was
    read is refused all the same.
    """
    try:
        return _settle_together(deliveries, until=until)
    except (OperationalError, InterfaceError, RecordChanged) as error:
        _log.warning("%d deliveries stay queued: %s", len(deliveries), type(error).__name__)
    except DatabaseError:  # the database refuses a value: find the one delivery that holds it
        if len(deliveries) > 1:
            return [settle_deliveries([delivery], until=until)[0] for delivery in deliveries]
        _log.exception("delivery %d stays queued", deliveries[0].id)
    return [[entry.outcome or PENDING for entry in read_entries(delivery)[0]] for delivery in deliveries]


@dataclass(slots=True)
class _Case:
    """A record on its way: `new` is the row that it makes, `known` the one that its key has, `row` what is written."""

    entry: Entry
    new: CallRow
    key: str
    row: CallRow
    known: CallRow | None = None
    comparison: Comparison | None = None
    decision: Decision | None = None

    @property
    def is_open(self) -> bool:
        """Is its state still to be judged: new, or with other facts than before?"""
        return self.comparison is None or self.comparison.verdict is Verdict.REPLACED

    @property
    def is_conflict(self) -> bool:
        return self.comparison is not None and self.comparison.verdict is Verdict.CONFLICT


def _settle_together(deliveries: Sequence[Delivery], *, until: float) -> list[list[RecordOutcome]]:
    groups: list[list[Entry]] = []
    reviews: list[Review] = []
    for delivery in deliveries:
        entries, shown = read_entries(delivery)
        groups.append(entries)
        reviews += shown
    remaining = _cases([entry for entries in groups for entry in entries if entry.message is not None])
    closing = [delivery.id for delivery in deliveries]
    for _ in range(ROUNDS_MAX):
        now, later = _compare_with_stored(remaining)
        _judge_and_charge(now, until=until)
        try:
            _write(now, reviews, closing=[] if later else closing)
        except RecordChanged:  # another process wrote one of these keys in this moment: now it is a repeat
            continue
        for case in now:
            case.entry.outcome = outcome_of(_result(case), case.row)
        _count_written(now)
        remaining, reviews = later, []
        if not remaining:
            break
    else:
        raise RecordChanged
    outcomes = [[entry.outcome for entry in entries if entry.outcome is not None] for entries in groups]
    _count(deliveries, outcomes)
    return outcomes


def _result(case: _Case) -> str:
    return ACCEPTED if case.comparison is None else RESULTS[case.comparison.verdict]


def _count(deliveries: Sequence[Delivery], outcomes: Sequence[Sequence[RecordOutcome]]) -> None:
    """What came of whom."""
    told = Counter(
        (delivery.received.adapter, outcome.result)
        for delivery, group in zip(deliveries, outcomes, strict=True)
        for outcome in group
    )
    for (adapter, result), number in told.items():
        metrics.cdr_received.labels(adapter, result).inc(number)


def _count_written(cases: Sequence[_Case]) -> None:
    """What a round has committed."""
    count_stored(
        Stored(case.row, case.entry.delivery.received.adapter, _result(case), case.known is None)
        for case in cases
        if not case.is_conflict
    )
    count_settled(case.row for case in cases if case.is_open)


# --- the steps of a round ---------------------------------------------------------------------------------------------


def _cases(entries: Sequence[Entry]) -> list[_Case]:
    """Match each record with our own calls and its provider, and make its row. At most 1,000 records."""
    messages = [(entry.delivery, entry.message) for entry in entries if entry.message is not None]
    calls, providers, numbers = find_our_calls(messages), find_providers(messages), new_ids(len(entries))
    cases = []
    for entry, (delivery, message), call, provider_id, number in zip(
        entries, messages, calls, providers, numbers, strict=True
    ):
        if provider_id is None:
            entry.outcome = rejected(Rejection(TooManyProviders.code, str(TooManyProviders.title)))
            continue
        row = row_of(message, delivery, provider_id, number=number, call=call)
        cases.append(_Case(entry, row, row.key, row))
    return cases


def _compare_with_stored(cases: Sequence[_Case]) -> tuple[list[_Case], list[_Case]]:
    """Which to write now, and which after a neighbour with the same key. Repeats that say nothing new are answered."""
    stored = find_by_keys([case.key for case in cases]) if cases else {}
    now: dict[str, _Case] = {}
    later: list[_Case] = []
    for case in cases:
        case.known = stored.get(case.key)
        if case.known is not None:
            case.comparison = compare(case.known, case.new)
            if case.comparison.verdict is Verdict.DUPLICATE:
                case.entry.outcome = outcome_of(DUPLICATE, case.known)
                continue
            case.row = merge(case.known, case.new, case.comparison)
        if case.key in now:
            later.append(case)
        else:
            now[case.key] = case
    return list(now.values()), later


def _judge_and_charge(cases: Sequence[_Case], *, until: float) -> None:
    """Give each row its state; those to be charged are asked for in one question."""
    terms = current_terms(at=clock.now())
    for case in cases:
        if case.is_open:
            received_at = case.entry.delivery.received_at
            quarantine = quarantine_reason(case.row, at=received_at, oldest=dispute_window(received_at))
            case.decision = judge(case.row, quarantine=quarantine, terms=terms)
    charge_records([case.row for case in cases if case.is_open], at=terms.at, seconds=until - time.monotonic())


@transaction.atomic(durable=True)  # keys, records, history, events and the end of the delivery are one fact
def _write(cases: Sequence[_Case], reviews: Sequence[Review], *, closing: Sequence[int]) -> None:
    """Write a round. Raises RecordChanged when another transaction wrote one of the keys or records meanwhile."""
    at = clock.now()
    limit_waiting()
    for _ in cases:
        failpoint("cdr.intake.mid_batch")
    insert_records([case.row for case in cases if case.known is None])
    changed = [case for case in cases if case.comparison is not None]
    if changed:
        _write_changes(changed, at=at)
    history.record_reviews(reviews)
    decisions = [(case.row.id, case.decision) for case in cases if case.decision is not None]
    history.record_settled([case.row for case in cases if case.is_open], decisions, at=at)
    close_deliveries(closing)


def _write_changes(cases: Sequence[_Case], *, at: datetime) -> None:
    """Stored records that a later delivery is about: their new values, or the conflict that a person must decide."""
    conflicts = [case for case in cases if case.is_conflict]
    updates = [case for case in cases if not case.is_conflict]
    moved = {
        case.row.id: case.known.start_time
        for case in updates
        if case.known is not None and case.known.start_time != case.row.start_time
    }
    update_records([case.row for case in updates], from_starts=moved)
    kinds = [(CallDetail.Kind.UPDATE, updates), (CallDetail.Kind.CONFLICT, conflicts)]
    history.record_changes(
        [
            Change(case.row.id, case.entry.delivery.id, kind.value, case.comparison)
            for kind, group in kinds
            for case in group
            if case.comparison is not None
        ],
        at=at,
    )
    history.record_conflicts(
        [
            Review.conflict(case.row, case.comparison, case.entry.delivery)
            for case in conflicts
            if case.comparison is not None
        ],
        [case.row for case in conflicts],
    )
