"""The price of a call, second by second, in fractions: slow, obvious, and written without the engine.

It walks the call one second at a time; whenever the time paid for is over, it looks for the rate afresh, among all rows
of all decks, and buys one increment. Rows with lengths in whole seconds only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from rating.terms import BandTerms, RateTerms, VersionTerms

LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
ROUNDINGS = {"up": ROUND_UP, "half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}


@dataclass(frozen=True)
class Deck:
    """One version of a deck, as typed."""

    head: VersionTerms
    rows: tuple[RateTerms, ...]
    bands: tuple[BandTerms, ...] = ()


@dataclass(frozen=True)
class Asked:
    """The call; quantities in whole seconds. `chain`: per subject the versions of its deck."""

    key: str
    at: datetime
    seconds: int
    chain: tuple[tuple[Deck, ...], ...]
    classes: dict[date, str]
    carrier: str = ""
    reach: str = ""
    elapsed: int = 0


class NoPrice(Exception):
    def __init__(self, code: str, after_seconds: int) -> None:
        super().__init__(code, after_seconds)
        self.code, self.after_seconds = code, after_seconds


class Undecided(Exception):
    """Two rows differ in nothing that a person can rank; which of them wins is the engine's own business."""


def amount_of(asked: Asked) -> Decimal:
    """The rounded amount, or NoPrice, or Undecided."""
    first, deck = rate_at(asked, 0)
    total = exact_total(asked)
    method, decimals = first.rounding or deck.head.rounding, first.decimals
    return _rounded(total, method, deck.head.decimals if decimals is None else decimals)


def exact_total(asked: Asked) -> Fraction:
    """Before the rounding, after minimum and cap."""
    first, _ = rate_at(asked, 0)
    total = sum_of(asked)
    if asked.seconds == 0 or _is_free(first, asked):
        return Fraction(0)
    total = max(total, Fraction(first.min_charge))
    if first.cap is not None and first.cap_kind == "free":
        total = min(total, Fraction(first.cap))
    return total


def sum_of(asked: Asked) -> Fraction:
    """Connect fee and increments."""
    first, _ = rate_at(asked, 0)
    if asked.seconds == 0 or _is_free(first, asked):
        return Fraction(0)
    total = Fraction(first.connect_fee) if asked.elapsed == 0 else Fraction(0)
    paid_until = 0
    for second in range(asked.seconds):
        if second == paid_until:
            row, _ = rate_at(asked, second)
            cost, length = _increment(row, asked.elapsed + second)
            total += cost
            paid_until += length
    return total


def rate_at(asked: Asked, second: int) -> tuple[RateTerms, Deck]:
    """The row that counts when so many seconds of the call have passed, or NoPrice."""
    assert asked.at.tzname() == "UTC"  # where adding seconds is true
    instant = asked.at + timedelta(seconds=second)
    some_exist = False
    for versions in asked.chain:
        in_force = [deck for deck in versions if _in_force(deck, instant)]
        if not in_force:
            continue
        deck = max(in_force, key=lambda one: (_start(one), one.head.version))
        rows = [row for row in deck.rows if row.enabled and asked.key.startswith(row.prefix) and _suits(row, asked)]
        some_exist = some_exist or bool(rows)
        active = [row for row in rows if _is_active(row, deck, instant, asked)]
        if active:
            longest = max(len(row.prefix) for row in active)
            rivals = [row for row in active if len(row.prefix) == longest]
            best, *others = sorted(rivals, key=lambda row: _rank(row, deck, instant, asked))
            if others and _rank(others[0], deck, instant, asked) == _rank(best, deck, instant, asked):
                raise Undecided
            if best.blocked:
                raise NoPrice("blocked", second)
            return best, deck
    raise NoPrice("band_gap" if some_exist else "no_rate", second)


def _in_force(deck: Deck, instant: datetime) -> bool:
    return deck.head.effective_from is None or deck.head.effective_from <= instant


def _start(deck: Deck) -> datetime:
    return deck.head.effective_from or LONG_AGO


def _suits(row: RateTerms, asked: Asked) -> bool:
    return row.carrier in ("", asked.carrier) and row.reach in ("", asked.reach) and row.kind in ("", "voice")


def _is_active(row: RateTerms, deck: Deck, instant: datetime, asked: Asked) -> bool:
    if row.effective_from is not None and instant < row.effective_from:
        return False
    if row.effective_to is not None and instant >= row.effective_to:
        return False
    return row.band == "" or _occurrence(_band(row, deck), _wall(deck, instant), asked.classes) is not None


def _wall(deck: Deck, instant: datetime) -> datetime:
    return instant.astimezone(ZoneInfo(deck.head.zone)).replace(tzinfo=UTC)  # only its digits count from here on


def _band(row: RateTerms, deck: Deck) -> BandTerms:
    return next(band for band in deck.bands if band.name == row.band)


def _occurrence(band: BandTerms, wall: datetime, classes: dict[date, str]) -> datetime | None:
    """When the occurrence that holds this wall-clock time began: today's or the one of the day before."""
    for days_before in (0, 1):
        day = wall.date() - timedelta(days=days_before)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        begins = midnight + _since_midnight(band.start)
        ends = midnight + (_since_midnight(band.end) if band.end is not None else timedelta(days=1))
        if ends <= begins:
            ends += timedelta(days=1)
        if begins <= wall < ends and _day_fits(band, day, classes):
            return begins
    return None


def _since_midnight(clock: time | None) -> timedelta:
    return timedelta() if clock is None else timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)


def _day_fits(band: BandTerms, day: date, classes: dict[date, str]) -> bool:
    usual = "weekend" if day.weekday() >= 5 else "workday"
    tests: list[tuple[Sequence[object], object]] = [
        (band.classes, classes.get(day, usual)),
        ([(number - 1) % 7 for number in band.weekdays], day.weekday()),
        (band.years, day.year),
        (band.months, day.month),
        (band.month_days, day.day),
    ]
    in_dates = not band.dates or any(first <= day <= last for first, last in band.dates)
    return in_dates and all(not allowed or value in allowed for allowed, value in tests)


def _rank(row: RateTerms, deck: Deck, instant: datetime, asked: Asked) -> tuple[object, ...]:
    began, priority = LONG_AGO, row.priority
    if row.band:
        band = _band(row, deck)
        occurrence = _occurrence(band, _wall(deck, instant), asked.classes)
        assert occurrence is not None
        began, priority = occurrence, _priority(band) if priority is None else priority
    cost, _ = _increment(row, 0)
    return -(priority or Decimal(0)), not row.carrier, not row.reach, LONG_AGO - began, cost


def _priority(band: BandTerms) -> Decimal:
    if band.priority is not None:
        return band.priority
    if band.dates or band.years or band.months or band.month_days:
        return Decimal(30)
    if band.classes == ("holiday",):
        return Decimal(20)
    return Decimal(10 if band.classes or band.weekdays else 0)


def _is_free(first: RateTerms, asked: Asked) -> bool:
    return first.free_kind == "free_if_shorter_than" and asked.elapsed + asked.seconds < first.free_seconds


def _increment(row: RateTerms, position: int) -> tuple[Fraction, int]:
    """Cost and length of an increment that starts at this second of the call."""
    free = int(row.free_seconds) if row.free_kind == "free_first_n" else 0
    if position < free:
        return Fraction(0), free
    listed = [tier for tier in row.tiers if tier.start <= position]
    if listed:
        tier = max(listed, key=lambda one: one.start)
        price, length = tier.rate, int(row.next_increment if tier.increment is None else tier.increment)
    elif position < free + row.first_increment:
        price, length = row.rate if row.first_rate is None else row.first_rate, int(row.first_increment)
    else:
        price, length = row.rate, int(row.next_increment)
    return Fraction(price) * length / Fraction(row.rate_unit), length


def _rounded(total: Fraction, method: str, decimals: int) -> Decimal:
    wide = Context(prec=60)
    exact = wide.divide(Decimal(total.numerator), Decimal(total.denominator))
    return exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUNDINGS[method], context=wide)
