"""A rate's arithmetic: its tiers, fees and limits as integers over one common denominator.

    free_first_n N        first increment          next increments       listed tiers
    (0, 0, N)         →   (N, first_rate)      →   (…, rate)         →   (from, rate), …

Quantities are integers: nanoseconds for calls, plain units for other kinds. Everything is exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

from billing_platform.money import exact_fraction, rounder_over
from rating.terms import CAP_DISCONNECT, CAP_FREE, FREE_FIRST_N, FREE_IF_SHORTER_THAN, RateTerms
from rating.timetable import FOREVER

UNLIMITED = 10**60  # above every total
# Holds prices of eight decimals per minute or hour. What nearly all rates share can be added without thinking.
DENOMINATOR = 60 * 10**8


class TermsRefused(ValueError):
    """The terms of a row cannot be priced; `code` is that of the deck check (E_TIER, E_INCREMENT, E_UNIT)."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


@dataclass(slots=True, eq=False)
class Tier:
    """From `start` to `end`, every started `increment` costs `cost` (over the ladder's denominator)."""

    start: int
    end: int
    increment: int
    cost: int
    price: Decimal
    unit: int


class Ladder:
    """The compiled arithmetic of one rate for one kind of quantity. Integers over `denominator`."""

    __slots__ = ("cap", "connect_fee", "cutoff", "denominator", "free_below", "minimum", "rounder", "scale", "tiers")

    def __init__(self, row: RateTerms, *, scale: int, rounding: str, decimals: int) -> None:
        tiers = _merged(list(_tiers(row, scale)))
        ends = [*(tier[0] for tier in tiers[1:]), FOREVER]
        costs = [_ratio(price, increment, unit) for _, price, unit, increment in tiers]
        fee, least = _ratio(row.connect_fee), _ratio(row.min_charge)
        limit = None if row.cap is None else _ratio(row.cap)
        common = lcm(DENOMINATOR, *(denominator for _, denominator in (*costs, fee, least, limit or fee)))
        self.scale, self.denominator = scale, common
        self.tiers = tuple(
            Tier(start, end, increment, _over(common, cost), price, unit)
            for (start, price, unit, increment), end, cost in zip(tiers, ends, costs, strict=True)
        )
        self.connect_fee = _over(common, fee)
        self.cap = _over(common, limit) if limit is not None and row.cap_kind == CAP_FREE else UNLIMITED
        self.minimum = min(_over(common, least), self.cap)  # the cap has the last word
        self.cutoff = Fraction(*limit) if limit is not None and row.cap_kind == CAP_DISCONNECT else None
        self.free_below = _scaled(row.free_seconds, scale) if row.free_kind == FREE_IF_SHORTER_THAN else 0
        self.rounder = rounder_over(common, rounding, decimals)

    @property
    def first_cost(self) -> Fraction:
        """What the first increment costs."""
        return Fraction(self.tiers[0].cost, self.denominator)


def _ratio(price: Decimal | int, times: int = 1, per: int = 1) -> tuple[int, int]:
    """price × times / per in lowest terms: Fraction's arithmetic without its objects, for decks of many prices."""
    numerator, denominator = exact_fraction(price).as_integer_ratio()
    numerator, denominator = numerator * times, denominator * per
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


def _over(denominator: int, ratio: tuple[int, int]) -> int:
    """The ratio's numerator over a multiple of its denominator."""
    return ratio[0] * (denominator // ratio[1])


Step = tuple[int, Decimal, int, int]  # start, price, unit, increment


def _tiers(row: RateTerms, scale: int) -> Iterator[Step]:
    unit = _length(row.rate_unit, scale)
    first, following = _length(row.first_increment, scale), _length(row.next_increment, scale)
    free = _scaled(row.free_seconds, scale) if row.free_kind == FREE_FIRST_N else 0
    if free:
        yield 0, Decimal(0), unit, free
    yield free, row.rate if row.first_rate is None else row.first_rate, unit, first
    listed = [
        (
            _scaled(tier.start, scale),
            tier.rate,
            unit if tier.rate_unit is None else _length(tier.rate_unit, scale),
            following if tier.increment is None else _length(tier.increment, scale),
        )
        for tier in sorted(row.tiers, key=lambda tier: tier.start)
    ]
    if listed and listed[0][0] < free + first:
        raise TermsRefused("E_TIER", f"a tier starts inside the first increment of {row.prefix!r}")
    if not listed or listed[0][0] > free + first:
        yield free + first, row.rate, unit, following
    yield from listed


def _merged(tiers: list[Step]) -> list[Step]:
    """Without the tiers that only repeat the one before: where neither price nor increment changes, nothing does."""
    kept = tiers[:1]
    for tier in tiers[1:]:
        if tier[1:] != kept[-1][1:]:
            kept.append(tier)
    return kept


def counts_whole(row: RateTerms, scale: int) -> bool:
    """Are all lengths of the row whole numbers of units at this scale?"""
    lengths = [row.rate_unit, row.first_increment, row.next_increment, row.free_seconds]
    for tier in row.tiers:
        lengths += [tier.start, tier.increment or 0, tier.rate_unit or 0]
    return all((exact_fraction(length) * scale).denominator == 1 for length in lengths)


def _length(value: Decimal | int, scale: int) -> int:
    length = _scaled(value, scale)
    if length <= 0:
        raise TermsRefused("E_INCREMENT", f"a unit or increment of {value}")
    return length


@lru_cache(maxsize=4096, typed=True)  # equal lengths become one object, which keeps compiled decks small
def _scaled(value: Decimal | int, scale: int) -> int:
    exact = exact_fraction(value) * scale
    if exact.denominator != 1 or exact < 0:
        raise TermsRefused("E_UNIT", f"{value} is no whole number of base units")
    return exact.numerator
