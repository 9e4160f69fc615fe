"""From what was dialled to what the engine prices: the number read, its carrier found, its reach judged."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from rating.call import Call, nanoseconds
from rating.numbers.carriers import CarrierFound, areas_of, carrier_of
from rating.segments import CHINA, NOWHERE, Number, NumberContext, reach_of, read_number
from rating.terms import VOICE

REACHES_KEPT = CALLERS_KEPT = 8192


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A use as it happened. `destination` None: a use without a number. `duration` and `elapsed` in seconds; for other
    kinds than voice `units` counts instead. `carrier` given (the trunk's) wins over tables."""

    destination: str | None
    at: datetime
    duration: Decimal | int = 0
    units: int | None = None
    kind: str = VOICE
    caller: str = ""
    carrier: str = ""
    elapsed: Decimal | int = 0
    continued: bool | None = None


class Reach(NamedTuple):
    """local, long_distance, hmt or international, "" unknown; and the areas that it was judged from.

    Kept with every charge, so that later segments change no old price, and a rate that begins to name a reach can be
    tried on old calls.
    """

    name: str = ""
    area: str = ""
    caller_area: str = ""


class AskedCall(NamedTuple):  # a tuple: made for every call
    """The engine's question, and how the number, its carrier and its reach were read."""

    call: Call
    number: Number
    carrier: str
    carrier_from: str
    city: str
    reach: Reach

    def without_number(self) -> Call:
        """The same use for the default deck, which prices numbers that cannot be read by its empty prefix."""
        return replace(self.call, key="")


def read_call(facts: CallFacts, *, context: NumberContext = NOWHERE) -> AskedCall:
    """Read the number and find its carrier and reach. Raises ValueError for a duration finer than a nanosecond."""
    number = read_number(facts.destination or "", context)
    caller = _read_caller(facts.caller, context)
    found = CarrierFound(facts.carrier, "given") if facts.carrier else carrier_of(number.key, at=facts.at)
    reach = judged_reach(number, caller, at=facts.at)
    call = Call(
        key=_key(facts, number),
        at=facts.at,
        quantity=nanoseconds(facts.duration) if facts.units is None else facts.units,
        kind=facts.kind,
        carrier=found.code,
        reach=reach.name,
        elapsed=nanoseconds(facts.elapsed) if facts.kind == VOICE else int(facts.elapsed),
        continued=facts.continued,
        dialled=facts.destination or "",
    )
    return AskedCall(call, number, found.code, found.found_by, found.city, reach)


@lru_cache(maxsize=CALLERS_KEPT)  # few numbers make many calls
def _read_caller(text: str, context: NumberContext) -> Number:
    return read_number(text, context)


def judged_reach(number: Number, caller: Number, *, at: datetime) -> Reach:
    """How far a call goes, by the places of both numbers at an instant."""
    if number.country != CHINA:
        return _reach(number.country, "", "")
    return _reach(CHINA, *areas_of(number, caller, at=at))


@lru_cache(maxsize=REACHES_KEPT)  # there are few pairs of areas, and many calls
def _reach(country: str, area: str, caller_area: str) -> Reach:
    return Reach(reach_of(country, area=area, caller_area=caller_area), area, caller_area)


def _key(facts: CallFacts, number: Number) -> str | None:
    """ "" without a number, None for one that cannot be called."""
    if facts.destination is None:
        return ""
    return number.key or None
