"""Ported numbers (携号转网): whole numbers with a carrier of their own for a period. A million take 17 MB of memory.

Sorted arrays and bisection; they are read again when some of them change, never asked for one by one.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import F
from django.db.models.functions import Length

from rating.models import Carrier, NumberSegment

SOURCE = "ported"
LATEST = 2**32 - 1  # seconds since 1970: no end
READ_AT_ONCE = 20_000


class PortedNumber(NamedTuple):
    """A number's key and its carrier from one instant to another; None: always, or for good."""

    key: str
    carrier: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class PortedNumbers:
    """Who serves which number when. `rows` come sorted by key as a number, then by their beginning."""

    __slots__ = ("_carriers", "_codes", "_ends", "_keys", "_starts")

    def __init__(self, rows: Iterable[PortedNumber], *, carriers: Iterable[str]) -> None:
        self._codes = sorted(carriers)
        number_of = {code: number for number, code in enumerate(self._codes)}
        self._keys, self._starts, self._ends = array("Q"), array("I"), array("I")
        self._carriers = array("B" if len(self._codes) <= 256 else "H")
        for key, carrier, valid_from, valid_to in rows:
            self._keys.append(int(key))
            self._carriers.append(number_of[carrier])
            self._starts.append(0 if valid_from is None else _second(valid_from))
            self._ends.append(LATEST if valid_to is None else _second(valid_to))

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return sum(table.__sizeof__() for table in (self._keys, self._carriers, self._starts, self._ends))

    def find(self, key: str, at: datetime) -> str:
        """The carrier of a ported number at an instant, "" when it was not ported; the period that began last wins."""
        keys = self._keys
        if not keys or not key.isdigit():
            return ""
        number, found = int(key), ""
        place = bisect_left(keys, number)
        while place < len(keys) and keys[place] == number:
            if self._starts[place] <= _second(at) < self._ends[place]:
                found = self._codes[self._carriers[place]]
            place += 1
        return found


def read_ported_numbers() -> PortedNumbers:
    """All of them as stored. A second or so for a million."""
    order = (Length("prefix"), "prefix", F("valid_from").asc(nulls_first=True), "id")
    rows = NumberSegment.objects.filter(source=SOURCE).order_by(*order)
    names = rows.values_list("prefix", "carrier__code", "valid_from", "valid_to")
    found = (PortedNumber(*row) for row in names.iterator(chunk_size=READ_AT_ONCE))
    return PortedNumbers(found, carriers=Carrier.objects.values_list("code", flat=True))


def _second(at: datetime) -> int:
    """Periods count in whole seconds, as 32 bits hold them."""
    return min(max(int(at.timestamp()), 0), LATEST - 1)
