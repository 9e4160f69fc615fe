"""Re-rating: charges made are priced again by today's tariffs, and replaced where they come out otherwise.

Promise: nothing is edited. A changed charge is reversed in full and charged anew in one transaction, both linked to
each other; what comes out the same writes nothing. So a second run changes nothing, and one that was killed in the
middle is completed by running again. Order of locks as in metering: records by id, wallets by id.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from billing_platform import clock
from billing_platform.closing import closed_periods
from billing_platform.runs import VerificationMismatch
from billing_platform.transactions import repeated
from counter.charged import Charged, Scope, id_ranges, read_charged
from counter.errors import CounterError
from counter.items import Mode, Opening, find_openings, load_items, opening_at
from counter.pricer import Pricer
from counter.pricing import price_use
from counter.replacing import Replaced, Replacement, moved_by, replace_charges
from counter.repricing import question_again
from counter.sidebyside import side_by_side
from rating.caching.periods import PeriodTariffs

ZERO = Decimal(0)
BATCH = 200
LISTED = 50
APPLY_SECONDS = 30.0


class Difference(NamedTuple):
    """A charge that comes out otherwise; amounts in `currency`. `closed`: its period's documents were issued."""

    record_id: int
    account_id: int
    accno: str
    start: datetime
    finish: datetime
    currency: str
    old: Decimal
    new: Decimal
    closed: bool = False


@dataclass(slots=True)
class Sum:
    """Changed charges together."""

    calls: int = 0
    old: Decimal = ZERO
    new: Decimal = ZERO

    @property
    def difference(self) -> Decimal:
        """What the customers pay more; less than 0: what they get back."""
        return self.new - self.old

    def include(self, one: Difference) -> None:
        self.calls += 1
        self.old += one.old
        self.new += one.new


@dataclass(frozen=True, slots=True)
class Order:
    """Which charges, and whether those of closed periods are adjusted in the open one."""

    scope: Scope
    include_closed: bool = False
    processes: int = 1

    def token(self, outcome: "Outcome") -> str:
        """What a person confirms: this scope with these sums."""
        sums = sorted((currency, sum_.calls, str(sum_.difference)) for currency, sum_ in outcome.totals.items())
        return sha256(repr((replace(self, processes=1), sums)).encode()).hexdigest()[:12]


@dataclass(slots=True)
class Outcome:
    """What a run found, or did: counts, sums by currency and by account, the first of the differences."""

    counts: "Counter[str]" = field(default_factory=Counter)
    totals: dict[str, Sum] = field(default_factory=dict)
    accounts: dict[tuple[str, str], Sum] = field(default_factory=dict)
    listed: list[Difference] = field(default_factory=list)
    skipped: list[Difference] = field(default_factory=list)

    def include(self, one: Difference) -> None:
        """Count a charge that changes."""
        self.counts["changed"] += 1
        self.totals.setdefault(one.currency, Sum()).include(one)
        self.accounts.setdefault((one.accno, one.currency), Sum()).include(one)
        if len(self.listed) < LISTED:
            self.listed.append(one)

    def skip(self, one: Difference) -> None:
        """Count a charge whose period is closed."""
        self.counts["skipped_closed"] += 1
        if len(self.skipped) < LISTED:
            self.skipped.append(one)


Progress = Callable[[int, int], None]


def compare(order: Order, *, progress: Progress) -> Outcome:
    """What would change. Writes nothing; `progress` is told how many ids of how many are done."""
    outcome = Outcome()
    for found in _compared(order, outcome, progress=progress):
        for one in found:
            if one.closed and not order.include_closed:
                outcome.skip(one)
            else:
                outcome.include(one)
    return outcome


def apply(order: Order, *, cause: str, progress: Progress) -> Outcome:
    """Replace what changes, batch by batch. `cause` names the run; with it the replacements are found again.

    Raises VerificationMismatch when what the ledger holds is not what is told; Unavailable when it cannot decide.
    """
    outcome = Outcome()
    for found in _compared(replace(order, processes=1), outcome, progress=progress):  # a range at a time
        for one in found:
            if one.closed and not order.include_closed:
                outcome.skip(one)
        chosen = [one for one in found if order.include_closed or not one.closed]
        for begin in range(0, len(chosen), BATCH):
            _apply(chosen[begin : begin + BATCH], outcome, cause=cause)
    return outcome


def _apply(batch: Sequence[Difference], outcome: Outcome, *, cause: str) -> None:
    """One transaction, then a look at what the ledger made of it."""
    at = clock.now()
    wanted = [Replacement(one.record_id, at if one.closed else one.finish) for one in batch]
    made = repeated(partial(replace_charges, wanted, cause=cause, at=at), seconds=APPLY_SECONDS)
    by_id = {one.record_id: one for one in batch}
    for one in made:
        outcome.include(by_id[one.record_id]._replace(old=one.old, new=one.new))
    outcome.counts["changed_meanwhile"] += len(batch) - len(made)
    _verify(made, cause=cause)


def _verify(made: Sequence[Replaced], *, cause: str) -> None:
    told: dict[str, Decimal] = {}
    for one in made:
        told[one.currency] = told.get(one.currency, ZERO) + one.old - one.new
    moved = moved_by([number for one in made for number in one.transfer_ids])
    if moved != told:
        raise VerificationMismatch("the ledger's new transfers do not add up to the differences", cause=cause)


def _compared(order: Order, outcome: Outcome, *, progress: Progress) -> Iterator[list[Difference]]:
    """The differences of each range of ids."""
    ranges = id_ranges(order.scope)
    total = sum(beyond - first for first, beyond in ranges)
    done = 0
    for (first, beyond), found in side_by_side(_Comparing, order.scope, ranges, processes=order.processes):
        outcome.counts["calls"] += found.calls
        outcome.counts["unpriced"] += found.unpriced
        yield _with_closed(found.differences)
        done += beyond - first
        progress(done, total)


def _with_closed(differences: list[Difference]) -> list[Difference]:
    """The same, those in closed periods marked."""
    if not differences:
        return differences
    accounts = {one.account_id for one in differences}
    begins, ends = min(one.finish for one in differences), max(one.finish for one in differences)
    closed = closed_periods(accounts, begins=begins, ends=ends)
    if not closed:
        return differences
    return [
        one._replace(closed=any(c.begins <= one.finish < c.ends for c in closed.get(one.account_id, ())))
        for one in differences
    ]


class _Found(NamedTuple):
    """What the comparison of a range answers. `unpriced`: no deck has a price any more, the charge stays."""

    calls: int
    unpriced: int
    differences: list[Difference]


class _Comparing:
    """Compares ranges of one scope; kept by a process from range to range."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._items = {item.id: item for item in load_items().values()}
        self._pricer = Pricer(PeriodTariffs(scope.begins, scope.ends), self._items)

    def __call__(self, ids: tuple[int, int]) -> _Found:
        """The differences among the uses with these ids."""
        pieces = [self._compare([use for use in uses if use.why.answered]) for uses in read_charged(self._scope, *ids)]
        return _Found(
            sum(piece.calls for piece in pieces), sum(piece.unpriced for piece in pieces),
            [one for piece in pieces for one in piece.differences],
        )  # fmt: skip

    def _compare(self, uses: Sequence[Charged]) -> _Found:
        self._pricer.learn(uses)
        amounts = self._amounts(uses)
        differences = [
            Difference(
                use.id, use.account_id, self._pricer.parties[use.account_id].accno, use.start, use.finish, use.currency,
                use.cost, amount,
            )
            for use, amount in zip(uses, amounts, strict=True)
            if amount is not None and amount != use.cost
        ]  # fmt: skip
        return _Found(len(uses), sum(amount is None for amount in amounts), differences)

    def _amounts(self, uses: Sequence[Charged]) -> list[Decimal | None]:
        """Calls by deck by the period's tariffs, all else by the item's prices and the account's openings."""
        others = [use for use in uses if use.why.mode != Mode.BY_DECK]
        openings = find_openings({(use.account_id, use.item_id) for use in others}) if others else {}
        amounts: list[Decimal | None] = []
        for use in uses:
            if use.why.mode == Mode.BY_DECK:
                amounts.append(self._pricer.sale(use).amount)
            else:
                opening = opening_at(openings[use.account_id, use.item_id], use.start)
                amounts.append(self._amount(use, opening))
        return amounts

    def _amount(self, use: Charged, opening: Opening | None) -> Decimal | None:
        organization = self._pricer.parties[use.account_id].organization
        try:
            return price_use(question_again(use, self._items[use.item_id], opening, organization=organization)).cost
        except CounterError:
            return None
