"""Where a mobile number is at home, by the shipped table of 130,000 segments: 1.4 MB, read when first asked for.

It is stored as runs of seven-digit heads with the same city, and spread out in memory: a look-up is one index.
"""

import sys
import zlib
from array import array
from functools import lru_cache
from itertools import accumulate, pairwise, repeat

from rating.numbers.number_tables import NOWHERE_KNOWN, TABLES, Place, rows_of

HEAD = slice(2, 9)  # of a key: seven digits behind the country code
FIRST, BEYOND = 1_300_000, 2_000_000  # heads of mobile numbers
RUN_BYTES = 6  # one 32-bit and one 16-bit number


def mobile_place(key: str) -> Place:
    """The place of a Chinese mobile number's key; all "" where the table knows none."""
    numbers, places = _table()
    return places[numbers[int(key[HEAD]) - FIRST]]


@lru_cache(maxsize=1)
def _table() -> tuple["array[int]", tuple[Place, ...]]:
    """The number of each head's place, and the places."""
    content = zlib.decompress((TABLES / "mobile_cities.bin").read_bytes())
    count = len(content) // RUN_BYTES
    distances, numbers = array("I"), array("H")
    distances.frombytes(content[: count * distances.itemsize])
    numbers.frombytes(content[count * distances.itemsize :])
    if sys.byteorder == "big":
        distances.byteswap()
        numbers.byteswap()
    named = [Place(row["area"], row["city_zh"], row["city_en"]) for row in rows_of("cities.csv")]
    starts = [FIRST, *accumulate(distances), BEYOND]
    spread = array("H")
    for number, (start, end) in zip((0, *numbers), pairwise(starts), strict=True):
        spread.extend(repeat(number, end - start))
    return spread, (NOWHERE_KNOWN, *named)
