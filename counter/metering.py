"""Metering: usage becomes money. Promise: every use that has happened is charged exactly once, or visibly refused.

`end_services` settles a whole batch in one transaction of a few statements; a single use is a batch of one. Each item
is answered alone: a receipt or a refusal. Order of locks: records by id, holds by id, packs by id, wallets by id.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from billing_platform.transactions import limit_waiting
from counter import metered, records
from counter.content import CONTENT_FIELDS, require_same
from counter.errors import (
    AccountClosed,
    AccountNotFound,
    CounterError,
    IdempotencyConflict,
    Invalid,
    ServiceUnknown,
    WrongChargeMode,
)  # fmt: skip
from counter.items import Mode, find_openings, opening_at, recent_items
from counter.metered import Metered, Outcome, Submission
from counter.packs import NOTHING, PackTable, find_meters_with_units
from counter.pricing import Question, price_use, warm_tariffs
from counter.records import State
from counter.uses import UseReceipt
from ledger import accounts

LONGEST_USE = timedelta(hours=24)
FUTURE_TOLERANCE = timedelta(minutes=5)
YEAR_MIN = 2000


def end_service(submission: Submission, *, at: datetime) -> UseReceipt:
    """A batch of one. Raises the refusal."""
    (outcome,) = end_services([submission], at=at)
    if isinstance(outcome, CounterError):
        raise outcome
    return outcome


def end_services(submissions: Sequence[Submission], *, at: datetime) -> list[Outcome]:
    """Settle a batch: charge what is new, answer what is known. Same length and order as given.

    Raises records.Overtaken when another transaction committed one of the keys meanwhile (run again), and what the
    database raises when it cannot decide; then nothing of the batch happened.
    """
    uses = [Metered(submission.use) for submission in submissions]
    _find_parties(uses, [submission.organizations for submission in submissions])
    firsts = _first_of_each_key(uses)
    warm_tariffs(((use.account.organization, use.item, use.account.accno) for use in firsts), at=at)
    _settle(firsts, at=at)
    return [use.outcome or _answer_of_twin(use, firsts) for use in uses]


@transaction.atomic(durable=True)  # record, transfer, hold, packs and events of a use commit together
def _settle(uses: Sequence[Metered], *, at: datetime) -> None:
    limit_waiting()
    _find_stored(_open(uses), at=at)
    _each(_open(uses), _settle_times, at)
    _find_openings(_open(uses))
    _each(_open(uses), _price_without_units, at)
    _price_with_units(_open(uses), at=at)
    chargeable = _open(uses)
    fresh = [use for use in chargeable if use.stored is None]
    for use, record_id in zip(fresh, records.new_ids(len(fresh)), strict=True):
        use.record_id = record_id
    metered.move_money(chargeable, at=at)
    metered.write_records(chargeable, at=at)


def _open(uses: Sequence[Metered]) -> list[Metered]:
    return [use for use in uses if use.outcome is None]


def _each(uses: Sequence[Metered], step: Callable[[Metered, datetime], None], at: datetime) -> None:
    """Take the step with each use; a refusal is that use's answer alone."""
    for use in uses:
        try:
            step(use, at)
        except CounterError as refusal:
            use.outcome = refusal


def _find_parties(uses: Sequence[Metered], organizations: Sequence[frozenset[str] | None]) -> None:
    """Account and item of each use; an account that the sender may not see does not exist for it."""
    found = accounts.find_accounts(use.use.accno for use in uses)
    items = recent_items()
    for use, allowed in zip(uses, organizations, strict=True):
        account, item = found.get(use.use.accno), items.get(use.use.label)
        if account is None or (allowed is not None and account.organization not in allowed):
            use.outcome = AccountNotFound()
        elif item is None:
            use.outcome = ServiceUnknown()
        elif item.mode == Mode.RESOURCE:
            use.outcome = WrongChargeMode()
        else:
            use.account, use.item = account, item


def _first_of_each_key(uses: Sequence[Metered]) -> list[Metered]:
    firsts: dict[tuple[int, str], Metered] = {}
    for use in _open(uses):
        firsts.setdefault(use.key, use)
    return list(firsts.values())


def _answer_of_twin(use: Metered, firsts: Sequence[Metered]) -> Outcome:
    """The second of two items with one key: a repeat of the first, or a conflict with it."""
    first = next(one for one in firsts if one.key == use.key)
    try:
        require_same(first.content, use.content, CONTENT_FIELDS)
    except IdempotencyConflict as conflict:
        return conflict
    assert first.outcome is not None
    return replace(first.outcome, duplicate=True) if isinstance(first.outcome, UseReceipt) else first.outcome


# --- what is stored already -------------------------------------------------------------------------------------------


def _find_stored(uses: Sequence[Metered], *, at: datetime) -> None:
    """Answer plain repeats without a lock; lock every other record that exists, then decide about it."""
    if not uses:
        return
    by_key = records.find_by_keys(use.key for use in uses)
    by_id = records.find_by_ids([use.named_record_id for use in uses if use.named_record_id])
    present: list[Metered] = []
    for use in uses:
        use.stored = metered.started_record(use, by_id.get(use.named_record_id), by_key.get(use.key))
        if use.stored is None:
            continue
        if metered.is_repeat(use, use.stored):
            use.outcome = metered.repeat_receipt(use, use.stored)
        else:
            present.append(use)
    locked = records.lock_records(use.stored.id for use in present if use.stored)
    for use in present:
        assert use.stored is not None
        use.stored = locked[use.stored.id]
        use.record_id = use.stored.id
    _each(present, _decide_about_stored, at)


def _decide_about_stored(use: Metered, _: datetime) -> None:
    """A started use is ended; an ended one is a repeat, is replaced by a truer one, or conflicts."""
    stored = use.stored
    assert stored is not None
    if stored.account_id != use.account.id:
        raise IdempotencyConflict("differs in: accno", fields=["accno"])
    if stored.state != State.ENDED:
        return
    if use.use.correction:
        metered.decide_about_correction(use, stored)
    elif metered.is_repeat(use, stored):
        use.outcome = metered.repeat_receipt(use, stored)
    elif stored.estimated and not use.use.estimated:
        use.replaces = "estimate"
    else:
        require_same(stored.content, use.content, CONTENT_FIELDS)


# --- times and prices -------------------------------------------------------------------------------------------------


def _settle_times(use: Metered, at: datetime) -> None:
    """Start and finish that the charge is for. Raises Invalid."""
    given, item = use.use, use.item
    start = given.start or (use.stored.start_at if use.stored else None) or (at if item.mode == Mode.PER_USE else None)
    if start is None:
        raise Invalid("start_time is needed", fields={"start_time": "missing"})
    finish = given.finish or at
    if finish < start:
        raise Invalid("the use ends before it starts", fields={"finish_time": "before start_time"})
    if finish - start > LONGEST_USE:
        raise Invalid("longer than 24 hours", fields={"finish_time": "more than 24 h after start_time"})
    if finish > at + FUTURE_TOLERANCE or start.year < YEAR_MIN:
        raise Invalid("out of time", fields={"finish_time": "more than 5 min ahead, or before 2000"})
    use.start, use.finish = start, finish


def _find_openings(uses: Sequence[Metered]) -> None:
    openings = find_openings((use.account.id, use.item.id) for use in uses)
    for use in uses:
        use.opening = opening_at(openings[use.account.id, use.item.id], use.start)
        if use.opening is None:
            use.warn("service_not_open")
        if use.account.state == "suspended":
            use.warn("account_suspended")
        if use.account.state == "closed" and not use.replaces:
            use.outcome = AccountClosed()


def _question(use: Metered) -> Question:
    return Question(
        use.item, use.opening, use.account.organization, use.account.accno, use.start, use.finish, use.use.count,
        use.use.call, use.use.rate_policy,
    )  # fmt: skip


def _price_without_units(use: Metered, _: datetime) -> None:
    use.charge = price_use(_question(use))


def _price_with_units(uses: Sequence[Metered], *, at: datetime) -> None:
    """Draw package units before money, for the few accounts that have some; what is left is priced as a later slice."""
    meters = find_meters_with_units(((use.account.id, use.item.label) for use in uses), at=at)
    packed = [use for use in uses if (use.account.id, use.item.label) in meters and use.is_answered]
    if not packed:
        return
    table = PackTable(meters, [use.record_id for use in packed if use.stored])
    for use in packed:
        table.free(use.record_id)
        seconds = -(-((use.finish - use.start) // timedelta(microseconds=1)) // 1_000_000)
        use.drawn = table.take(use.account.id, use.item.label, at=use.start, seconds=seconds, uses=use.use.count)
        if use.drawn is not NOTHING:
            use.charge = price_use(
                replace(_question(use), covered_seconds=use.drawn.seconds, covered_uses=use.drawn.uses)
            )
    metered.note_units(packed)
    table.save()
