"""An answer of the engine: the amount, and everything needed to redo it by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import gcd
from typing import Any, NamedTuple

from billing_platform.money import amount_text, ratio_text
from rating.call import Call
from rating.ladder import Ladder, Tier
from rating.lookup import Found
from rating.terms import VOICE
from rating.timetable import datetime_of

Json = dict[str, Any]


# A rate, its tier, the position in the slice and how many increments are charged there. A plain tuple: several a call.
Climb = tuple[Found, Tier, int, int]


@dataclass(slots=True, eq=False)
class Price:
    """What a call costs. `numerator / denominator` is the exact total after minimum and cap; `amount` rounds it once.

    Only what the arithmetic needed is kept; texts are made when somebody asks for them. `denominator` is a
    multiple of that of every ladder used.
    """

    amount: Decimal
    call: Call
    first: Found
    climbs: list[Climb]
    numerator: int
    denominator: int

    @property
    def currency(self) -> str:
        return self.first.link.version.currency

    @property
    def exact(self) -> Fraction:
        """The exact total, before the rounding."""
        return Fraction(self.numerator, self.denominator)

    @property
    def billed(self) -> int:
        """The quantity paid for: whole increments, so it may exceed the call. Nanoseconds or units."""
        if not self.climbs:
            return 0
        _, tier, pos, count = self.climbs[-1]
        return pos + count * tier.increment

    @property
    def ladder(self) -> Ladder:
        """The arithmetic of the first increment's rate."""
        return self.first.ladder

    @property
    def winner(self) -> Json:
        """The first increment's rate: connect fee, minimum, cap and rounding are its."""
        term, link = self.first.term, self.first.link
        head, prefix = link.version.head, self.first.prefix(self.call)
        rate_id, destination = link.version.row_of(prefix, term)
        return {
            "deck": head.deck,
            "version": head.version,
            "rate_id": rate_id,
            "prefix": prefix,
            "destination": destination,
            "band": term.band.name if term.band else None,
            "priority": ratio_text(*term.priority.as_integer_ratio()),
            "carrier": term.carrier or head.carrier or None,
            "subject": link.subject,
        }

    @property
    def steps(self) -> list[Json]:
        """The sum line by line; the exact values add up to that of the last line, the rounding."""
        return list(_steps(self))

    @property
    def versions(self) -> list[tuple[str, int]]:
        """The decks and versions used, in the order of their use."""
        heads = (found.link.version.head for found, *_ in self.climbs)
        return list(dict.fromkeys((head.deck, head.version) for head in (self.first.link.version.head, *heads)))

    @property
    def day_classes(self) -> dict[date, str]:
        """The dates whose class the bands of the decks used asked for, with the classes."""
        start = self.call.start()
        classes = self.first.link.timetable.classes_used(start, start)
        for found, tier, pos, count in self.climbs if self.call.kind == VOICE else ():
            last = start + pos + (count - 1) * tier.increment
            classes |= found.link.timetable.classes_used(start + pos, last)
        return classes

    @property
    def calendar_provisional(self) -> bool:
        """True when a day class that was used is not yet official."""
        calendar = self.first.link.timetable.calendar
        return any(calendar.is_provisional(day) for day in self.day_classes)

    def explanation(self) -> Json:
        """The price as a JSON object: plain decimal strings, exact values as "n/d"."""
        calendar, classes = self.first.link.timetable.calendar, self.day_classes
        return {
            "amount": amount_text(self.amount),
            "currency": self.currency,
            "winner": self.winner,
            "steps": self.steps,
            "billed": ratio_text(self.billed, self.ladder.scale),
            "day_classes": {day.isoformat(): name for day, name in classes.items()},
            "calendar_provisional": any(calendar.is_provisional(day) for day in classes),
            "versions": {"decks": _version_numbers(self.versions), "calendar": calendar.revision},
        }


class LegsPrice(NamedTuple):
    """A call with several charged legs: one line per leg, each rounded by its own rate, and their sum."""

    amount: Decimal
    currency: str
    lines: tuple[tuple[str, Price], ...]


def _version_numbers(versions: list[tuple[str, int]]) -> dict[str, int | list[int]]:
    """Per deck its version; a list where the call met more than one."""
    numbers: dict[str, list[int]] = {}
    for deck, version in versions:
        numbers.setdefault(deck, []).append(version)
    return {deck: met if len(met) > 1 else met[0] for deck, met in numbers.items()}


def _steps(price: Price) -> Iterator[Json]:
    first, ladder, denominator = price.first, price.ladder, price.denominator
    total = 0
    if price.climbs and ladder.connect_fee and not price.call.is_continued:
        total = ladder.connect_fee * (denominator // ladder.denominator)
        yield {"what": "connect_fee", "rate_id": first.rate_id(price.call), **_value(total, denominator)}
    for climb in _joined(price.climbs):
        found, tier, _, count = climb
        cost = count * tier.cost * (denominator // found.ladder.denominator)
        total += cost
        yield {**_increments(climb, price.call), **_value(cost, denominator)}
    if price.climbs:
        for what, total_before, total_after in _limits(ladder, total, denominator):
            if total_after != total_before:
                yield {"what": what, **_value(total_after - total_before, denominator)}
    exact = _value(price.numerator, denominator)["exact"]
    rounder = ladder.rounder
    rounding = {"what": "round", "method": rounder.method, "decimals": rounder.decimals}
    yield {**rounding, "exact": exact, "amount": amount_text(price.amount)}


def _limits(ladder: Ladder, total: int, denominator: int) -> Iterator[tuple[str, int, int]]:
    """The total before and after the minimum, then before and after the cap."""
    factor = denominator // ladder.denominator
    at_least = max(total, ladder.minimum * factor)
    yield "min_charge", total, at_least
    yield "cap", at_least, min(at_least, ladder.cap * factor)


def _joined(climbs: list[Climb]) -> Iterator[Climb]:
    """Neighbours at the same rate and tier as one: a boundary that changed nothing is no line of the sum."""
    pending: Climb | None = None
    for climb in climbs:
        if pending is None:
            pending = climb
        elif pending[1] is climb[1] and pending[0].term is climb[0].term and pending[0].size == climb[0].size:
            pending = (*pending[:3], pending[3] + climb[3])
        else:
            yield pending
            pending = climb
    if pending is not None:
        yield pending


def _increments(climb: Climb, call: Call) -> Json:
    found, tier, pos, count = climb
    term, scale = found.term, found.ladder.scale
    timed = call.kind == VOICE
    begins = call.elapsed + pos
    return {
        "what": "increments",
        "rate_id": found.rate_id(call),
        "band": term.band.name if term.band else None,
        "at": datetime_of(call.start() + (pos if timed else 0), found.link.version.zone).isoformat(),
        "from": ratio_text(begins, scale),
        "to": ratio_text(begins + count * tier.increment, scale),
        "count": count,
        "increment": ratio_text(tier.increment, scale),
        "price": ratio_text(*tier.price.as_integer_ratio()),
        "per": ratio_text(tier.unit, scale),
    }


def _value(numerator: int, denominator: int) -> Json:
    common = gcd(numerator, denominator)
    top, bottom = numerator // common, denominator // common
    return {"exact": f"{top}/{bottom}", "amount": ratio_text(top, bottom)}
