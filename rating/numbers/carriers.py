"""Which company serves a number (运营商识别), and where it is at home (归属地). From tables kept in the process.

A ported number's own row decides, then what the look-up service answered, then the longest valid segment. Tables are
read again when they change; while one thread reads, the others go by what was known a moment ago.
"""

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.utils.translation import get_language

from rating.caching.live import generations
from rating.models import NumberSegment
from rating.numbers.carrier_lookup import answers
from rating.numbers.number_tables import AREA_PLACES, NOWHERE_KNOWN, Place
from rating.numbers.places import mobile_place
from rating.numbers.ported import SOURCE, PortedNumbers, read_ported_numbers
from rating.segments import CHINA, Kind, Number

GIVEN, PORTED, LOOKUP, SEGMENT, NOT_FOUND = "given", "ported", "lookup", "segment", "unknown"
HEAD = 5  # characters of a key by which the lengths of prefixes are kept
MOBILE = Kind.MOBILE  # a member is looked up slowly, and every call asks twice
MOBILE_HEADS = tuple(f"{CHINA}{block}" for block in range(130, 200))


class CarrierFound(NamedTuple):
    """A carrier's code and how it was found: given, ported, lookup, segment or unknown; `city` if the segment tells."""

    code: str
    found_by: str
    city: str = ""
    area: str = ""


UNKNOWN = CarrierFound("", NOT_FOUND)


class _Segment(NamedTuple):
    found: CarrierFound
    place: Place
    valid_from: datetime | None
    valid_to: datetime | None

    def is_valid(self, at: datetime) -> bool:
        begun = self.valid_from is None or self.valid_from <= at
        return begun and (self.valid_to is None or at < self.valid_to)


class _Segments:
    """Segments by prefix, and the lengths that occur, longest first, by the first characters.

    `placed`: the heads of mobile numbers among which some segment corrects the shipped table of places.
    """

    def __init__(self) -> None:
        self.by_prefix: dict[str, list[_Segment]] = {}
        rows = NumberSegment.objects.exclude(source=SOURCE).order_by("-id")  # of two alike the last entered wins
        names = ("prefix", "carrier__code", "city_zh", "city_en", "area", "valid_from", "valid_to")
        for prefix, carrier, city_zh, city_en, area, begins, ends in rows.values_list(*names).iterator():
            found, place = CarrierFound(carrier, SEGMENT, city_zh, area), Place(area, city_zh, city_en)
            self.by_prefix.setdefault(prefix, []).append(_Segment(found, place, begins, ends))
        self._short = _lengths(prefix for prefix in self.by_prefix if len(prefix) < HEAD)
        self._heads = self._lengths_by_head()
        self.placed = self._placed_heads()

    def _lengths_by_head(self) -> dict[str, tuple[int, ...]]:
        heads: dict[str, set[int]] = {}
        for prefix in self.by_prefix:
            heads.setdefault(prefix[:HEAD], set(self._short)).add(len(prefix))
        return {head: tuple(sorted(lengths, reverse=True)) for head, lengths in heads.items()}

    def _placed_heads(self) -> frozenset[str]:
        rows = self.by_prefix.items()
        told = {prefix[:HEAD] for prefix, found in rows if any(one.place != NOWHERE_KNOWN for one in found)}
        return frozenset(head for head in MOBILE_HEADS for prefix in told if head.startswith(prefix))

    def find(self, key: str, at: datetime) -> _Segment | None:
        for length in self._heads.get(key[:HEAD], self._short):
            for segment in self.by_prefix.get(key[:length], ()):
                if segment.is_valid(at):
                    return segment
        return None


class _Known(NamedTuple):
    """What is known at one generation of the segments."""

    revision: int
    segments: _Segments
    ported_revision: int
    ported: PortedNumbers


class _Holder:
    def __init__(self) -> None:
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def known(self) -> _Known:
        known = self._known
        if known is None or known.revision != generations.number("segments"):
            known = self._read(known)
        return known

    def _read(self, before: _Known | None) -> _Known:
        """Ported numbers are many: they are read only when some of them changed."""
        if not self._lock.acquire(blocking=before is None):
            assert before is not None  # else this thread would have waited
            return before
        try:
            before = self._known
            revision, ported_revision = generations.number("segments"), generations.number("ported")
            same = before is not None and before.ported_revision == ported_revision
            ported = before.ported if before is not None and same else read_ported_numbers()
            self._known = _Known(revision, _Segments(), ported_revision, ported)
            return self._known
        finally:
            self._lock.release()


_holder = _Holder()


def carrier_of(key: str, *, at: datetime) -> CarrierFound:
    """The carrier of a number's key at an instant; UNKNOWN when no table holds it: fixed lines, other countries."""
    known = _holder.known()
    ported = known.ported.find(key, at)
    if ported:
        return CarrierFound(ported, PORTED)
    answered = answers.carrier(key)
    if answered:
        return CarrierFound(answered, LOOKUP)
    segment = known.segments.find(key, at)
    return UNKNOWN if segment is None else segment.found


def place_of(number: Number, *, at: datetime) -> Place:
    """Where a number is at home: as its segment says, else by the table of mobile segments or its area code."""
    segment = _holder.known().segments.find(number.key, at) if number.key else None
    if segment is not None and segment.place != NOWHERE_KNOWN:
        return segment.place
    if number.kind is MOBILE:
        return mobile_place(number.key)
    return AREA_PLACES.get(number.area, NOWHERE_KNOWN)


def areas_of(number: Number, caller: Number, *, at: datetime) -> tuple[str, str]:
    """The areas that make a call local or not: a fixed line's own, that of a mobile number's segment; "" unknown.

    The caller's is told only where the number's is known. Every call asks: only where rows correct the shipped table
    are they searched.
    """
    placed = _holder.known().segments.placed
    area = _mobile_area(number, placed, at) if number.kind is MOBILE else number.area
    if not area:
        return "", ""
    return area, _mobile_area(caller, placed, at) if caller.kind is MOBILE else caller.area


def _mobile_area(number: Number, placed: frozenset[str], at: datetime) -> str:
    key = number.key
    return place_of(number, at=at).area if key[:HEAD] in placed else mobile_place(key).area


def city_shown(place: Place) -> str:
    """The city in the language in use."""
    return place.city_zh if (get_language() or "").startswith("zh") else place.city_en


def segments_revision() -> int:
    """The number of the segment tables' present state."""
    return _holder.known().revision


def _lengths(prefixes: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted({len(prefix) for prefix in prefixes}, reverse=True))
