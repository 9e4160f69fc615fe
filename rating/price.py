"""An answer of the engine: the amount, and everything needed to redo it by hand."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import msgspec

from billing_platform.money import amount_text, ratio_text
from rating.call import Call
from rating.explaining import explanation
from rating.explaining.explanation import Climb, Json
from rating.ladder import Ladder
from rating.lookup import Found
from rating.terms import VOICE


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
        winner: Json = self.explanation()["winner"]
        return winner

    @property
    def steps(self) -> list[Json]:
        """The sum line by line; the exact values add up to that of the last line, the rounding."""
        steps: list[Json] = self.explanation()["steps"]
        return steps

    @property
    def versions(self) -> list[tuple[str, int]]:
        """The decks and versions used, in the order of their use."""
        head = self.first.link.version.head
        if not self.climbs or self.climbs[-1][0] is self.first:  # looked up once: the usual call
            return [(head.deck, head.version)]
        heads = [head, *(found.link.version.head for found, *_ in self.climbs)]
        return list(dict.fromkeys((head.deck, head.version) for head in heads))

    @property
    def day_classes(self) -> dict[date, str]:
        """The dates whose class the bands of the decks used asked for, with the classes."""
        start = self.call.start()
        segment = self.first.link.timetable.at(start)
        classes = dict(segment.classes)
        for found, tier, pos, count in self.climbs if self.call.kind == VOICE else ():
            last = start + pos + (count - 1) * tier.increment
            if last >= segment.end or found is not self.first:
                classes |= found.link.timetable.classes_used(start + pos, last)
        return classes

    @property
    def calendar_provisional(self) -> bool:
        """True when a day class that was used is not yet official."""
        calendar = self.first.link.timetable.calendar
        return any(calendar.is_provisional(day) for day in self.day_classes)

    def explanation(self) -> Json:
        """The price as a JSON object: plain decimal strings, exact values as "n/d"."""
        read: Json = msgspec.json.decode(self.explanation_text())
        return read

    def explanation_text(self) -> str:
        """The explanation as JSON text, as a charge keeps it."""
        first, ladder, amount = self.first, self.ladder, amount_text(self.amount)
        steps = explanation.steps(self.call, first, self.climbs, denominator=self.denominator)
        rounding = explanation.rounding(ladder.rounder, self.numerator, self.denominator)
        steps.append(f'{{{rounding},"amount":"{amount}"}}')
        calendar = first.link.timetable.calendar
        days = explanation.days(calendar, tuple(self.day_classes.items()))
        versions = explanation.versions(tuple(self.versions), calendar.revision)
        return (
            f'{{"amount":"{amount}","currency":{explanation.text(self.currency)},'
            f'"winner":{explanation.winner(first, self.call)},"steps":[{",".join(steps)}],'
            f'"billed":"{ratio_text(self.billed, ladder.scale)}",{days},"versions":{versions}}}'
        )


class LegsPrice(NamedTuple):
    """A call with several charged legs: one line per leg, each rounded by its own rate, and their sum."""

    amount: Decimal
    currency: str
    lines: tuple[tuple[str, Price], ...]
