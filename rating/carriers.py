"""Which company serves a number: the longest valid segment, from a table kept in the process. 运营商识别.

A number that was ported has a segment as long as the number itself.
"""

from datetime import datetime
from typing import NamedTuple

from rating.live import generations
from rating.models import NumberSegment

PORTED = "ported"


class CarrierFound(NamedTuple):
    """A carrier's code and how it was found: given, ported, segment or unknown; `city` when the segment tells."""

    code: str
    found_by: str
    city: str = ""
    area: str = ""


UNKNOWN = CarrierFound("", "unknown")


class _Segment(NamedTuple):
    found: CarrierFound
    valid_from: datetime | None
    valid_to: datetime | None


class _Table:
    """Segments by prefix, and the lengths that occur, longest first."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.segments: dict[str, list[_Segment]] = {}
        rows = NumberSegment.objects.values_list(
            "prefix", "carrier__code", "source", "city_zh", "area", "valid_from", "valid_to"
        )
        for prefix, carrier, source, city, area, begins, ends in rows.order_by("id").iterator(chunk_size=10_000):
            found = CarrierFound(carrier, PORTED if source == PORTED else "segment", city, area)
            self.segments.setdefault(prefix, []).append(_Segment(found, begins, ends))
        self.lengths = sorted({len(prefix) for prefix in self.segments}, reverse=True)


class _Holder:
    def __init__(self) -> None:
        self._table: _Table | None = None

    def table(self) -> _Table:
        revision = generations.number("segments")
        if self._table is None or self._table.revision != revision:
            self._table = _Table(revision)
        return self._table


_holder = _Holder()


def carrier_of(key: str, *, at: datetime) -> CarrierFound:
    """The carrier of a number's key at an instant; UNKNOWN when no segment holds it: fixed lines, other countries."""
    table = _holder.table()
    for length in table.lengths:
        for segment in table.segments.get(key[:length], ()) if len(key) >= length else ():
            begun = segment.valid_from is None or segment.valid_from <= at
            if begun and (segment.valid_to is None or at < segment.valid_to):
                return segment.found
    return UNKNOWN


def segments_revision() -> int:
    """The number of the segment table's present state."""
    return _holder.table().revision
