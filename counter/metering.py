"""Metering: usage becomes money. Promise: every use that has happened is charged exactly once, or visibly refused.

`end_services` settles a whole batch in one transaction of a few statements; a single use is a batch of one. Each item
is answered alone: a receipt or a refusal. Order of locks: records by id, packs by id, holds by id, wallets by id.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from msgspec.structs import replace

from billing_platform.transactions import limit_waiting
from counter import metered, records
from counter.content import CONTENT_FIELDS, record_id_of, require_same
from counter.errors import (
    AccountClosed,
    AccountNotFound,
    CounterError,
    IdempotencyConflict,
    Invalid,
    RecordNotFound,
    ServiceUnknown,
    WrongChargeMode,
)  # fmt: skip
from counter.figures import count_charged, counted_rating
from counter.items import Mode, items_of, opening_at
from counter.metered import Metered, Outcome, Submission
from counter.packs import NOTHING, PackTable, find_drawing, find_meters_with_units
from counter.parties import Directory, present_directory
from counter.pricing import Question, price_use, recall_carriers, warm_tariffs
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
    uses, directory = [Metered(submission.use) for submission in submissions], present_directory()
    _find_parties(uses, [submission.organizations for submission in submissions], directory)
    _each(_open(uses), _read_svcno, at)
    waiting = _open(uses)
    recall_carriers(use.use.call for use in waiting)
    parties = ((use.account.organization, use.item, use.account.accno) for use in waiting)
    warm_tariffs(parties, at=at, calls=(use.use.call for use in waiting))
    while waiting:  # more than one round only where items of the batch mean the same use
        firsts = _first_of_each_use(waiting)
        count_charged(_settle(list(firsts.values()), directory, at=at))
        for use in _open(waiting):
            _answer_as_twin(use, firsts[use.identity])
        waiting = _open(waiting)
    _tell_balances(uses)
    return [use.outcome for use in uses if use.outcome is not None]


@transaction.atomic(durable=True)  # record, transfer, hold, packs and events of a use commit together
def _settle(uses: Sequence[Metered], directory: Directory, *, at: datetime) -> list[Metered]:
    """Those of the uses that were charged here and now."""
    limit_waiting()
    taken = _find_stored(uses, at=at)
    _each(_open(taken), _settle_times, at)
    _find_openings(_open(taken), directory)
    priced = _open(taken)
    with counted_rating(priced):
        _each(priced, _price_without_units, at)
    _price_with_units(_open(taken))
    chargeable = _open(taken)
    fresh = [use for use in chargeable if use.stored is None]
    for use, record_id in zip(fresh, records.new_ids(len(fresh)), strict=True):
        use.record_id = record_id
    metered.move_money(chargeable, at=at)
    metered.write_records(chargeable, at=at)
    return chargeable


def _open(uses: Sequence[Metered]) -> list[Metered]:
    return [use for use in uses if use.outcome is None]


def _each(uses: Sequence[Metered], step: Callable[[Metered, datetime], None], at: datetime) -> None:
    """Take the step with each use; a refusal is that use's answer alone."""
    for use in uses:
        try:
            step(use, at)
        except CounterError as refusal:
            use.outcome = refusal


def _find_parties(
    uses: Sequence[Metered], organizations: Sequence[frozenset[str] | None], directory: Directory
) -> None:
    """Account and item of each use; an account that the sender may not see does not exist for it."""
    found = directory.parties({use.use.accno for use in uses})
    items = items_of({use.use.label for use in uses})
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


def _read_svcno(use: Metered, _: datetime) -> None:
    if use.use.svcno:
        use.named_record_id = record_id_of(use.use.svcno)


def _tell_balances(uses: Sequence[Metered]) -> None:
    """Receipts of uses that moved no money tell the account as it is now."""
    told = ((use, use.outcome) for use in uses if isinstance(use.outcome, UseReceipt))
    untold = [(use, receipt) for use, receipt in told if not receipt.account_state]
    found = accounts.read_accounts(use.account.id for use, _ in untold) if untold else {}
    for use, receipt in untold:
        account = found[use.account.id]
        use.outcome = replace(receipt, balance=account.balance, account_state=account.state)


def _first_of_each_use(uses: Sequence[Metered]) -> dict[tuple[int, str, str], Metered]:
    firsts: dict[tuple[int, str, str], Metered] = {}
    for use in uses:
        firsts.setdefault(use.identity, use)
    return firsts


def _answer_as_twin(use: Metered, first: Metered) -> None:
    """A later item with the key of an earlier one: its repeat, or in conflict with it. What may replace it waits."""
    given, earlier = use.use, first.use
    if first.outcome is None or given.correction or earlier.correction or given.estimated != earlier.estimated:
        return
    if use.content == first.content:
        receipt = first.outcome
        use.outcome = replace(receipt, duplicate=True) if isinstance(receipt, UseReceipt) else receipt
    elif isinstance(first.outcome, UseReceipt):
        try:
            require_same(first.content, use.content, CONTENT_FIELDS)
        except IdempotencyConflict as conflict:
            use.outcome = conflict


# --- what is stored already -------------------------------------------------------------------------------------------


def _find_stored(uses: Sequence[Metered], *, at: datetime) -> list[Metered]:
    """Answer plain repeats without a lock; lock every other record that exists, then decide about it.

    Answers the uses of this round: of those that mean the same record only the first.
    """
    by_key = records.find_by_keys(use.key for use in uses if use.use.providerno)
    named = [use.named_record_id for use in uses if use.named_record_id]
    by_id = records.find_by_ids(named) if named else {}
    taken: list[Metered] = []
    present: dict[int, Metered] = {}
    for use in uses:
        use.stored = metered.started_record(use, by_id.get(use.named_record_id), by_key.get(use.key))
        if use.stored is None:
            taken.append(use)
        elif metered.is_repeat(use, use.stored):
            use.outcome = use.stored.receipt(duplicate=True)
        elif use.stored.id not in present:
            present[use.stored.id] = use
            taken.append(use)
    for record_id, stored in records.lock_records(present).items():
        present[record_id].stored, present[record_id].record_id = stored, record_id
    _each(taken, _decide_about_stored, at)
    return taken


def _decide_about_stored(use: Metered, _: datetime) -> None:
    """A started use is ended; an ended one is a repeat, is replaced by a truer one, or conflicts."""
    stored = use.stored
    if stored is None:
        if not use.use.providerno:
            raise RecordNotFound
        return
    if stored.account_id != use.account.id:
        raise IdempotencyConflict("differs in: accno", fields=["accno"])
    if stored.state != State.ENDED:
        return
    if use.use.correction:
        metered.decide_about_correction(use, stored)
    elif metered.is_repeat(use, stored):
        use.outcome = stored.receipt(duplicate=True)
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
    finish = given.finish or max(start, at)
    if finish < start:
        raise Invalid("the use ends before it starts", fields={"finish_time": "before start_time"})
    if finish - start > LONGEST_USE:
        raise Invalid("longer than 24 hours", fields={"finish_time": "more than 24 h after start_time"})
    if finish > at + FUTURE_TOLERANCE or start.year < YEAR_MIN:
        raise Invalid("out of time", fields={"finish_time": "more than 5 min ahead, or before 2000"})
    use.start, use.finish = start, finish


def _find_openings(uses: Sequence[Metered], directory: Directory) -> None:
    openings = directory.openings({(use.account.id, use.item.id) for use in uses})
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


def _price_with_units(uses: Sequence[Metered]) -> None:
    """Draw package units before money, for the few accounts that have some; what is left is priced as a later slice.

    What a use reserved when it started, or drew for the charge that is replaced, returns first.
    """
    if not uses:
        return
    earliest = min(use.start for use in uses)
    meters = find_meters_with_units(((use.account.id, use.item.label) for use in uses), at=earliest)
    drawing = find_drawing([use.record_id for use in uses if use.stored])
    packed = [use for use in uses if use.record_id in drawing or (use.account.id, use.item.label) in meters]
    if not packed:
        return
    table = PackTable(meters, drawing, at=earliest)
    for use in packed:
        table.give_back(use.record_id)
        if use.is_answered:
            _draw_units(use, table)
    table.save()


def _draw_units(use: Metered, table: PackTable) -> None:
    """Uses for what is priced per use, minutes for what lasts; each of `count` takes its own."""
    count, per_use = use.use.count, use.item.mode == Mode.PER_USE
    minutes = -(-(use.finish - use.start) // timedelta(minutes=1))
    use.drawn = table.take(
        use.account.id, use.item.label, at=use.start,
        minutes=0 if per_use else minutes * count, uses=count if per_use else 0,
    )  # fmt: skip
    if use.drawn is not NOTHING:
        covered = replace(_question(use), covered_seconds=use.drawn.seconds // count, covered_uses=use.drawn.uses)
        use.charge = price_use(covered)
