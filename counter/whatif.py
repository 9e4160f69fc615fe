"""What if a version had been in force: a period's charged calls priced again, by account, destination and carrier.

Nothing is written. Ranges of ids are priced side by side by processes of their own; what they answer are sums, so that
memory does not grow with the number of calls.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from counter.charged import Charged, Scope, id_ranges, read_charged
from counter.items import load_items
from counter.pricer import Pricer
from counter.sidebyside import side_by_side
from rating.caching.periods import PeriodTariffs, stand_in

ZERO = Decimal(0)
ACCOUNT, DESTINATION, CARRIER = "account", "destination", "carrier"
MOVERS = 20


@dataclass(slots=True)
class Tally:
    """Sums over calls in one currency. `now` as charged, `then` as it would have been.

    Margins are over the calls whose cost is known; `unknown_*` counts the others. `lost` would have no rate of their
    own any more: the default deck prices them then, and where there is none they are `unpriced` and bring nothing.
    """

    calls: int = 0
    seconds: int = 0
    revenue_now: Decimal = ZERO
    revenue_then: Decimal = ZERO
    cost_now: Decimal = ZERO
    cost_then: Decimal = ZERO
    margin_now: Decimal = ZERO
    margin_then: Decimal = ZERO
    unknown_now: int = 0
    unknown_then: int = 0
    lost: int = 0
    unpriced: int = 0

    @property
    def change(self) -> Decimal:
        """By how much the revenue would move."""
        return self.revenue_then - self.revenue_now

    def include(self, other: "Tally") -> None:
        """Add the other's sums."""
        self.calls += other.calls
        self.seconds += other.seconds
        self.revenue_now += other.revenue_now
        self.revenue_then += other.revenue_then
        self.cost_now += other.cost_now
        self.cost_then += other.cost_then
        self.margin_now += other.margin_now
        self.margin_then += other.margin_then
        self.unknown_now += other.unknown_now
        self.unknown_then += other.unknown_then
        self.lost += other.lost
        self.unpriced += other.unpriced


class Row(NamedTuple):
    """A line of the report: all calls of one account, one destination or one carrier in a currency."""

    by: str
    name: str
    currency: str
    tally: Tally


Key = tuple[str, str, str]  # by, name, currency


@dataclass(slots=True)
class Report:
    """The sums of a what-if, total and by account, destination and carrier."""

    totals: dict[str, Tally] = field(default_factory=dict)
    tallies: dict[Key, Tally] = field(default_factory=dict)

    def include(self, tallies: dict[Key, Tally]) -> None:
        """Add the sums of one range; every call stands in them three times, once in each way of counting."""
        for (by, name, currency), tally in tallies.items():
            self.tallies.setdefault((by, name, currency), Tally()).include(tally)
            if by == CARRIER:
                self.totals.setdefault(currency, Tally()).include(tally)

    def rows(self) -> Iterator[Row]:
        """Every line, account by account, then destinations, then carriers; the largest movers first."""
        order = {ACCOUNT: 0, DESTINATION: 1, CARRIER: 2}
        found = [Row(*key, tally) for key, tally in self.tallies.items()]
        return iter(sorted(found, key=lambda row: (order[row.by], -abs(row.tally.change), row.name, row.currency)))

    def movers(self) -> list[Row]:
        """The largest movers in each way of counting."""
        counted: dict[str, int] = {}
        movers = []
        for row in self.rows():
            counted[row.by] = counted.get(row.by, 0) + 1
            if counted[row.by] <= MOVERS:
                movers.append(row)
        return movers


@dataclass(frozen=True, slots=True)
class Question:
    """What if this version of this deck had been in force for the calls of the scope?"""

    scope: Scope
    deck: str
    version: int


def what_if(question: Question, *, processes: int, progress: Callable[[int, int], None]) -> Report:
    """The report. `progress` is told how many ids of how many are done. Raises DeckUnknown."""
    stand_in(question.deck, question.version)  # refused here, and not in every process
    ranges = id_ranges(question.scope)
    total = sum(beyond - first for first, beyond in ranges)
    report, done = Report(), 0
    for (first, beyond), tallies in side_by_side(_Pricing, question, ranges, processes=processes):
        report.include(tallies)
        done += beyond - first
        progress(done, total)
    return report


class _Pricing:
    """Prices ranges of one question; kept by a process from range to range."""

    def __init__(self, question: Question) -> None:
        self._scope = question.scope
        instead = stand_in(question.deck, question.version)
        self._is_cost = instead.is_cost
        tariffs = PeriodTariffs(question.scope.begins, question.scope.ends, instead=instead)
        self._pricer = Pricer(tariffs, {item.id: item for item in load_items().values()})

    def __call__(self, ids: tuple[int, int]) -> dict[Key, Tally]:
        """The sums over the uses with these ids."""
        tallies: dict[Key, Tally] = {}
        for uses in read_charged(self._scope, *ids):
            self._pricer.learn(uses)
            for use in uses:
                if use.why.lines:
                    self._count(use, tallies)
        return tallies

    def _count(self, use: Charged, tallies: dict[Key, Tally]) -> None:
        sale, cost = use.cost, use.supplier_cost
        lost = unpriced = 0
        if self._is_cost:
            cost = self._pricer.cost(use)
        else:
            found = self._pricer.sale(use)
            lost = 1 if found.error and use.why.error is None else 0
            unpriced = 0 if found.amount is not None else 1
            sale = found.amount or ZERO
        line = use.why.lines[-1]  # leg B, where it is charged
        keys = (
            (ACCOUNT, self._pricer.parties[use.account_id].accno, use.currency),
            (DESTINATION, line.winner.destination or line.winner.prefix, use.currency),
            (CARRIER, line.number.carrier, use.currency),
        )
        charged, seconds = use.cost, (use.finish - use.start).seconds
        no_costs = cost is None and use.supplier_cost is None
        for key in keys:  # three times a call, a million calls: what is usual comes first
            tally = tallies.get(key)
            if tally is None:
                tally = tallies[key] = Tally()
            tally.calls += 1
            tally.seconds += seconds
            tally.revenue_now += charged
            tally.revenue_then += sale
            if lost or unpriced:
                tally.lost += lost
                tally.unpriced += unpriced
            if no_costs:
                tally.unknown_now += 1
                tally.unknown_then += 1
            else:
                _count_costs(tally, use, sale=sale, cost=cost)


def _count_costs(tally: Tally, use: Charged, *, sale: Decimal, cost: Decimal | None) -> None:
    if use.supplier_cost is None:
        tally.unknown_now += 1
    else:
        tally.cost_now += use.supplier_cost
        tally.margin_now += use.cost - use.supplier_cost
    if cost is None:
        tally.unknown_then += 1
    else:
        tally.cost_then += cost
        tally.margin_then += sale - cost
