"""The parts of a price's explanation as JSON text.

Written for every charge, so texts that many calls share - of a rate, a tier, a cost, a second - are kept, a bounded
number of each; what is left for a call is to join them.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from billing_platform.money import Rounder, ratio_text
from rating.call import Call
from rating.ladder import Tier
from rating.lookup import Found
from rating.terms import VOICE
from rating.timetable import SECOND, Calendar, datetime_of

Json = dict[str, Any]
# A rate, its tier, the position in the slice and how many increments are charged there. A plain tuple: several a call.
Climb = tuple[Found, Tier, int, int]
KEPT = 8192
SECOND_WIDTH = len("2026-10-15T10:58:20")

_encoder = msgspec.json.Encoder()


class _Rate(NamedTuple):
    """A rate as the explanation names it."""

    deck: str
    version: int
    rate_id: int
    prefix: str
    destination: str
    band: str | None
    priority: Decimal
    carrier: str | None
    subject: str


def text(value: str | Json | None) -> str:
    """A value as JSON."""
    return _encoder.encode(value).decode()


def winner(found: Found, call: Call) -> str:
    """The first increment's rate: an object."""
    term, link, prefix = found.term, found.link, found.prefix(call)
    head = link.version.head
    rate_id, destination = link.version.row_of(prefix, term)
    band, carrier = term.band.name if term.band else None, term.carrier or head.carrier or None
    return _rate(
        _Rate(head.deck, head.version, rate_id, prefix, destination, band, term.priority, carrier, link.subject)
    )


def steps(call: Call, first: Found, climbs: list[Climb], *, denominator: int) -> list[str]:
    """The sum line by line, before its rounding: objects. Without increments nothing was paid."""
    if not climbs:
        return []
    ladder, start = first.ladder, call.start()
    factor, total = denominator // ladder.denominator, 0
    lines = []
    if ladder.connect_fee and not call.is_continued:
        total = ladder.connect_fee * factor
        lines.append(f'{{"what":"connect_fee","rate_id":{first.rate_id(call)},{_value(total, denominator)}}}')
    for climb in _joined(climbs):
        found, tier, _, count = climb
        cost = count * tier.cost * (denominator // found.ladder.denominator)
        total += cost
        lines.append(f"{{{_increments(climb, call, start)},{_value(cost, denominator)}}}")
    least, most = ladder.minimum * factor, ladder.cap * factor
    if total < least:
        lines.append(f'{{"what":"min_charge",{_value(least - total, denominator)}}}')
    elif total > most:
        lines.append(f'{{"what":"cap",{_value(most - total, denominator)}}}')
    return lines


@lru_cache(maxsize=KEPT)
def rounding(rounder: Rounder, numerator: int, denominator: int) -> str:
    """The last line of the sum, before its amount: members."""
    exact = _exact(numerator, denominator)
    return f'"what":"round","method":"{rounder.method}","decimals":{rounder.decimals},"exact":"{exact}"'


@lru_cache(maxsize=KEPT)
def days(calendar: Calendar, classes: tuple[tuple[date, str], ...]) -> str:
    """The day classes used, and whether one of them is not yet official: two members."""
    names = text({day.isoformat(): name for day, name in classes})
    provisional = any(calendar.is_provisional(day) for day, _ in classes)
    return f'"day_classes":{names},"calendar_provisional":{str(provisional).lower()}'


@lru_cache(maxsize=KEPT)
def versions(met: tuple[tuple[str, int], ...], calendar_revision: int) -> str:
    """Per deck its version - a list where the call met more than one - and the calendar's: an object."""
    numbers: dict[str, list[int]] = {}
    for deck, version in met:
        numbers.setdefault(deck, []).append(version)
    decks = {deck: several if len(several) > 1 else several[0] for deck, several in numbers.items()}
    return text({"decks": decks, "calendar": calendar_revision})


@lru_cache(maxsize=KEPT)
def _rate(rate: _Rate) -> str:
    return text({**rate._asdict(), "priority": ratio_text(*rate.priority.as_integer_ratio())})


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


def _increments(climb: Climb, call: Call, start: int) -> str:
    found, tier, pos, count = climb
    band, zone = found.term.band, found.link.version.zone
    at = _instant(start + pos if call.kind == VOICE else start, zone)
    return (
        f'"what":"increments","rate_id":{found.rate_id(call)},"band":{text(band.name) if band else "null"},'
        f'"at":"{at}",{_climbed(tier, count, call.elapsed + pos, found.ladder.scale)}'
    )


@lru_cache(maxsize=KEPT)
def _climbed(tier: Tier, count: int, begins: int, scale: int) -> str:
    to = ratio_text(begins + count * tier.increment, scale)
    increment, unit = ratio_text(tier.increment, scale), ratio_text(tier.unit, scale)
    price = ratio_text(*tier.price.as_integer_ratio())
    return (
        f'"from":"{ratio_text(begins, scale)}","to":"{to}","count":{count},'
        f'"increment":"{increment}","price":"{price}","per":"{unit}"'
    )


@lru_cache(maxsize=KEPT)
def _value(numerator: int, denominator: int) -> str:
    return f'"exact":"{_exact(numerator, denominator)}","amount":"{ratio_text(numerator, denominator)}"'


def _exact(numerator: int, denominator: int) -> str:
    common = gcd(numerator, denominator)
    return f"{numerator // common}/{denominator // common}"


def _instant(instant: int, zone: ZoneInfo) -> str:
    """The wall-clock time, cut to microseconds."""
    seconds, rest = divmod(instant, SECOND)
    clock, offset = _second(seconds, zone)
    return f"{clock}.{rest // 1000:06d}{offset}" if rest >= 1000 else clock + offset


@lru_cache(maxsize=KEPT)  # where calls are many, many begin in the same second
def _second(seconds: int, zone: ZoneInfo) -> tuple[str, str]:
    at = datetime_of(seconds * SECOND, zone).isoformat()
    return at[:SECOND_WIDTH], at[SECOND_WIDTH:]
