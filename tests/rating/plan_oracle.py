"""The price of a use by a tariff plan's folder, increment by increment, in fractions: slow, and written from the files.

It shares nothing with the engine, not even the reading of a cell. Whenever the time paid for is over it looks for the
rate afresh, among all rows of the folder, and buys one increment.
"""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

NS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9}
DEPTH = 4
ROUNDED = ("*middle", 4)  # what a deck does where the plan leaves it open


@dataclass(frozen=True)
class Rate:
    """What the winning row says; `tiers` are (start, price, unit, increment), the last first."""

    deck: str
    subject: str
    prefix: str
    fee: Fraction
    tiers: tuple
    rounding: tuple
    most: Fraction | None

    def tier(self, position):
        return next(tier for tier in self.tiers if tier[0] <= position)


class NoPrice(Exception):
    pass


class Plan:
    def __init__(self, folder: Path, zone: str) -> None:
        self.name, self.zone = folder.name, ZoneInfo(zone)
        self.destinations = defaultdict(list, {"*any": [""]})
        for name, prefix in rows(folder / "Destinations.csv"):
            self.destinations[name].append(prefix)
        self.timings = {"*any": ((), (), (), (), 0)}
        for name, *dates, start in rows(folder / "Timings.csv"):
            hours, minutes, seconds = map(int, start.split(":"))
            self.timings[name] = *(numbers(cell) for cell in dates), hours * 3600 + minutes * 60 + seconds
        self.rates = defaultdict(list)
        for name, fee, price, unit, increment, start in rows(folder / "Rates.csv"):
            tier = units(start), Fraction(price), units(unit) or 1, units(increment)
            self.rates[name].append((tier, Fraction(fee)))
        self.destination_rates = defaultdict(list)
        for name, *rest in rows(folder / "DestinationRates.csv"):
            self.destination_rates[name].append(rest)
        self.entries = defaultdict(list)
        for name, *rest in rows(folder / "RatingPlans.csv"):
            self.entries[name].append(rest)
        self.profiles = defaultdict(list)
        for tenant, category, subject, since, plan, others in rows(folder / "RatingProfiles.csv"):
            begins = datetime.fromisoformat(since) if since else datetime(1900, 1, 1, tzinfo=UTC)
            self.profiles[tenant, category, subject].append((begins, plan, others.split(";") if others else []))

    def answer(self, question):
        """(amount, deck, prefix, subject) or the error's code."""
        try:
            return self._price(question)
        except NoPrice as reason:
            return str(reason)

    def _price(self, question):
        begins = datetime.fromisoformat(question["answer_time"]).astimezone(UTC)
        counted = question.get("units")
        quantity = units(question["duration"]) if counted is None else counted
        first = self.rate_at(question, begins)
        total, paid = first.fee, 0
        while paid < quantity:
            rate = first  # what is counted is no time: it all happens at the beginning
            if counted is None:
                rate = self.rate_at(question, begins + timedelta(microseconds=paid // 1000))
            _, price, unit, increment = rate.tier(paid)
            total += price * increment / unit
            paid += increment
        if quantity == 0:
            total = Fraction(0)
        if first.most is not None:
            total = min(total, first.most)
        return rounded(total, *first.rounding), first.deck, first.prefix, first.subject

    def rate_at(self, question, at):
        whose = question["tenant"], question["category"]
        subject = question.get("subject", "*any")
        if not self.profiles[*whose, subject]:
            subject = "*any"
        if not self.profiles[*whose, subject]:
            raise NoPrice("no_tariff")
        met, some = set(), []
        found = self.rate_of((whose, question["destination"], at), subject, DEPTH, met, some)
        if found is None:
            raise NoPrice("band_gap" if some else "no_rate")
        return found

    def rate_of(self, asked, subject, depth, met, some):
        """The rate of a subject or, where it has none, of those named after it, each asked once."""
        whose, destination, at = asked
        met.add(subject)
        profiles = sorted(self.profiles[*whose, subject])
        begun = [profile for profile in profiles if profile[0] <= at]
        _, plan, others = begun[-1] if begun else (None, None, profiles[0][2])  # not begun: like an empty deck
        found = self.winner(plan, subject, destination, at, some)
        for other in others if found is None and depth > 1 else ():
            if other not in met and self.profiles[*whose, other]:
                found = self.rate_of(asked, other, depth - 1, met, some)
                if found is not None:
                    break
        return found

    def winner(self, plan, subject, destination, at, some):
        """Longest prefix, then weight, then the band that began last, then the cheaper first increment."""
        wall = at.astimezone(self.zone)
        best = None
        for dr, timing, weight in self.entries[plan]:
            for name, rate, method, decimals, most, strategy in self.destination_rates[dr]:
                for prefix in self.destinations[name]:
                    if not destination.startswith(prefix):
                        continue
                    some.append(prefix)
                    if not self.holds(timing, wall):
                        continue
                    tiers = sorted(self.rates[rate], reverse=True)
                    (_, price, unit, increment), fee = tiers[-1]
                    rank = len(prefix), Fraction(weight or 0), self.timings[timing][4], -price * increment / unit
                    if best is None or rank > best[0]:
                        rounding = method or ROUNDED[0], int(decimals) if decimals else ROUNDED[1]
                        cap = Fraction(most or 0) if strategy == "*free" and Fraction(most or 0) else None
                        steps = tuple(tier for tier, _ in tiers)
                        deck = f"{self.name}/{plan}"
                        best = rank, Rate(deck, subject, prefix, fee, steps, rounding, cap)
        return best[1] if best else None

    def holds(self, timing, wall):
        years, months, month_days, weekdays, start = self.timings[timing]
        return (
            (not years or wall.year in years)
            and (not months or wall.month in months)
            and (not month_days or wall.day in month_days)
            and (not weekdays or wall.isoweekday() in weekdays or (wall.isoweekday() == 7 and 0 in weekdays))
            and wall.hour * 3600 + wall.minute * 60 + wall.second >= start
        )


def rows(path):
    with path.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.reader(line for line in lines if not line.startswith("#")) if row]


def numbers(cell):
    return () if cell in ("", "*any") else tuple(int(part) for part in cell.split(";"))


def units(text):
    if re.fullmatch("[0-9]+", text):
        return int(text)
    return sum(int(count) * NS[unit] for count, unit in re.findall("([0-9]+)([hms])", text))


def rounded(total, method, decimals):
    scaled = total * 10**decimals
    whole = {
        "*up": -((-scaled.numerator) // scaled.denominator),
        "*down": scaled.numerator // scaled.denominator,
        "*middle": (scaled + Fraction(1, 2)).numerator // (scaled + Fraction(1, 2)).denominator,
    }[method]
    if not decimals:
        return str(whole)
    return f"{whole // 10**decimals}.{whole % 10**decimals:0{decimals}d}"
