"""Re-rating: charges made are priced again by today's tariffs, and replaced where they come out otherwise.

Promise: nothing is edited. A changed charge is reversed in full and charged anew in one transaction, both linked to
each other; what comes out the same writes nothing. So a second run changes nothing, and one that was killed in the
middle is completed by running again: a run that is taken up under its own cause tells the same sums as an undisturbed
one. Order of locks as in metering: records by id, wallets by id.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from hashlib import blake2b, sha256
from typing import NamedTuple

from billing_platform import clock
from billing_platform.closing import closed_periods
from billing_platform.failpoints import failpoint
from billing_platform.runs import GuardRail, VerificationMismatch
from billing_platform.transactions import repeated
from counter.charged import Charged, Scope, id_ranges, read_charged
from counter.errors import CounterError
from counter.items import Mode, Opening, find_openings, load_items, opening_at
from counter.pricer import Pricer
from counter.pricing import price_use
from counter.replacing import Difference, Replaced, Replacement, moved_by, replace_charges, replaced_by
from counter.repricing import question_again
from counter.sidebyside import side_by_side
from rating.caching.periods import PeriodTariffs

ZERO = Decimal(0)
BATCH = 200
LISTED = 50
APPLY_SECONDS = 30.0


@dataclass(slots=True)
class Sum:
    """Changed charges together. Margins are over the calls whose supplier's cost is known; the others are counted."""

    calls: int = 0
    old: Decimal = ZERO
    new: Decimal = ZERO
    margin_old: Decimal = ZERO
    margin_new: Decimal = ZERO
    cost_unknown: int = 0

    @property
    def difference(self) -> Decimal:
        """What the customers pay more; less than 0: what they get back."""
        return self.new - self.old

    def include(self, one: Difference) -> None:
        """Add a charge that changes."""
        self.calls += 1
        self.old += one.old
        self.new += one.new
        if one.supplier_old is None or one.supplier_new is None:
            self.cost_unknown += 1
        else:
            self.margin_old += one.old - one.supplier_old
            self.margin_new += one.new - one.supplier_new


@dataclass(frozen=True, slots=True)
class Order:
    """Which charges, and whether those of closed periods are adjusted in the open one."""

    scope: Scope
    include_closed: bool = False
    processes: int = 1

    def token(self, outcome: "Outcome") -> str:
        """What a person confirms: this scope with these very differences, call by call."""
        return sha256(repr((replace(self, processes=1), outcome.fingerprint)).encode()).hexdigest()[:12]


@dataclass(slots=True)
class Outcome:
    """What a run found, or did: counts, sums by currency and by account, the largest of the differences."""

    counts: "Counter[str]" = field(default_factory=Counter)
    totals: dict[str, Sum] = field(default_factory=dict)
    accounts: dict[tuple[str, str], Sum] = field(default_factory=dict)
    fingerprint: int = 0  # of every difference, in whatever order they were found
    ranges: dict[int, int] = field(default_factory=dict)  # first id of a range: the fingerprint of what changes there
    _changed: list[Difference] = field(default_factory=list)
    _skipped: list[Difference] = field(default_factory=list)

    def include(self, one: Difference) -> None:
        """Count a charge that changes."""
        self.counts["changed"] += 1
        self.totals.setdefault(one.currency, Sum()).include(one)
        self.accounts.setdefault((one.accno, one.currency), Sum()).include(one)
        self.fingerprint += _fingerprint(one)
        _keep(self._changed, one)

    def skip(self, one: Difference) -> None:
        """Count a charge whose period is closed."""
        self.counts["skipped_closed"] += 1
        _keep(self._skipped, one)

    @property
    def changed(self) -> list[Difference]:
        """The 50 charges that change most, the same ones in whatever order they were found."""
        return sorted(self._changed, key=_by_size)[:LISTED]

    @property
    def skipped(self) -> list[Difference]:
        """The 50 charges in closed periods that would change most."""
        return sorted(self._skipped, key=_by_size)[:LISTED]

    @property
    def moved(self) -> Decimal:
        """What the accounts get and pay together, whatever the sign, in the currency where that is most."""
        moved: dict[str, Decimal] = {}
        for (_, currency), sum_ in self.accounts.items():
            moved[currency] = moved.get(currency, ZERO) + abs(sum_.difference)
        return max(moved.values(), default=ZERO)


def _by_size(one: Difference) -> tuple[Decimal, int]:
    return -abs(one.new - one.old), one.record_id


def _fingerprint(one: Difference) -> int:
    """Which use, and from what to what it changes; those of several add up."""
    told = f"{one.record_id} {one.old:.6f} {one.new:.6f}".encode()
    return int.from_bytes(blake2b(told, digest_size=16).digest())


def _keep(kept: list[Difference], one: Difference) -> None:
    """Few are ever listed, so few are kept."""
    kept.append(one)
    if len(kept) > 2 * LISTED:
        kept.sort(key=_by_size)
        del kept[LISTED:]


Progress = Callable[[int, int], None]


def compare(order: Order, *, progress: Progress, cause: str = "") -> Outcome:
    """What would change. Writes nothing; `progress` is told how many ids of how many are done.

    `cause` names a run that is going to apply it: what that run has changed already counts too.
    """
    outcome, made = _taken_up(cause)
    for step in _compared(order, outcome):
        chosen = _chosen(step, order, outcome, made)
        for one in chosen:
            outcome.include(one)
        outcome.ranges[step.first] = sum(map(_fingerprint, chosen))
        progress(step.done, step.total)
    return outcome


def apply(
    order: Order, *, cause: str, progress: Progress, reason: str = "", seen: Mapping[int, int] | None = None
) -> Outcome:
    """Replace what changes, batch by batch. `cause` names the run; with it the replacements are found again, and a run
    that was cut off counts what it had made. A use is replaced once under one cause.

    `seen`: the ranges as `compare` found them; a range that has come to differ is not begun. Raises GuardRail then,
    VerificationMismatch when what the ledger holds is not what is told; Unavailable when it cannot decide.
    """
    outcome, made = _taken_up(cause)
    for step in _compared(replace(order, processes=1), outcome):  # a range at a time
        chosen = _chosen(step, order, outcome, made)
        if seen is not None and seen.get(step.first, 0) != sum(map(_fingerprint, chosen)):
            raise GuardRail("charges or prices have changed since they were compared")
        for begin in range(0, len(chosen), BATCH):
            progress(step.done - step.size + step.size * begin // len(chosen), step.total)
            _apply(chosen[begin : begin + BATCH], outcome, cause=cause, reason=reason)
        progress(step.done, step.total)
    return outcome


def _chosen(step: "_Step", order: Order, outcome: Outcome, made: set[int]) -> list[Difference]:
    """Those of a range that are to be changed; those of closed periods are told."""
    chosen = []
    for one in step.differences:
        if one.closed and not order.include_closed:
            outcome.skip(one)
        elif one.record_id not in made:
            chosen.append(one)
    return chosen


def _taken_up(cause: str) -> tuple[Outcome, set[int]]:
    """Where a run begins: with what it made before it was cut off, and the ids of that."""
    outcome, made = Outcome(), set()
    for one in replaced_by(cause) if cause else ():
        outcome.include(one)
        made.add(one.record_id)
    return outcome, made


def _apply(batch: Sequence[Difference], outcome: Outcome, *, cause: str, reason: str) -> None:
    """One transaction, then a look at what the ledger made of it."""
    at = clock.now()
    wanted = [Replacement(one.record_id, at if one.closed else one.finish, one.new) for one in batch]
    made = repeated(partial(replace_charges, wanted, cause=cause, at=at, reason=reason), seconds=APPLY_SECONDS)
    failpoint("counter.replacing.after_commit")
    by_id = {one.record_id: one for one in batch}
    for one in made:
        found = by_id[one.record_id]._replace(old=one.old, new=one.new)
        outcome.include(found._replace(supplier_old=one.supplier_old, supplier_new=one.supplier_new))
    outcome.counts["changed_meanwhile"] += len(batch) - len(made)
    _verify(made, cause=cause)


def _verify(made: Sequence[Replaced], *, cause: str) -> None:
    told: dict[str, Decimal] = {}
    for one in made:
        told[one.currency] = told.get(one.currency, ZERO) + one.old - one.new
    moved = moved_by([number for one in made for number in one.transfer_ids])
    if moved != told:
        raise VerificationMismatch("the ledger's new transfers do not add up to the differences", cause=cause)


class _Step(NamedTuple):
    """The differences among `size` ids from `first` on; `done` of `total` are done with them."""

    differences: list[Difference]
    first: int
    size: int
    done: int
    total: int


def _compared(order: Order, outcome: Outcome) -> Iterator[_Step]:
    """The differences of each range of ids."""
    ranges = id_ranges(order.scope)
    total = sum(beyond - first for first, beyond in ranges)
    done = 0
    for (first, beyond), found in side_by_side(_Comparing, order.scope, ranges, processes=order.processes):
        outcome.counts["calls"] += found.calls
        outcome.counts["unpriced"] += found.unpriced
        done += beyond - first
        yield _Step(_with_closed(found.differences), first, beyond - first, done, total)


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
                use.cost, amount, use.supplier_cost, self._supplier_cost(use),
            )
            for use, amount in zip(uses, amounts, strict=True)
            if amount is not None and amount != use.cost
        ]  # fmt: skip
        return _Found(len(uses), sum(amount is None for amount in amounts), differences)

    def _supplier_cost(self, use: Charged) -> Decimal | None:
        """As the charge would be written: a cost that is no longer known stays."""
        found = self._pricer.cost(use) if use.why.mode == Mode.BY_DECK else None
        return use.supplier_cost if found is None else found

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
