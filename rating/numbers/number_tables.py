"""Tables of numbers that every reading needs, read once from `rating/data`: Chinese areas, country codes, access codes.

Legacy area codes that were merged into another city's code are left out: nobody can be reached by them.
"""

import csv
from pathlib import Path
from typing import NamedTuple

TABLES = Path(__file__).parents[1] / "data"


class Place(NamedTuple):
    """Where a number is at home: the Chinese area code without its zero, and the city. All "" when unknown."""

    area: str = ""
    city_zh: str = ""
    city_en: str = ""


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a shipped table, by column."""
    with (TABLES / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


NOWHERE_KNOWN = Place()
AREA_PLACES = {row["code"]: Place(row["code"], row["city_zh"], row["city_en"]) for row in rows_of("areas.csv")}
COUNTRY_CODES = frozenset(row["code"] for row in rows_of("countries.csv"))
HMT_COUNTRIES = frozenset({"852", "853", "886"})  # 港澳台

# Access codes dialled in front of a complete number, IP telephony and carrier selection, as a new system knows them.
SELECTION_PREFIXES = (
    "17900", "17901", "17908", "17909", "17910", "17911", "17931", "17950", "17951", "17960", "17968", "17969",
    "17990", "17991", "12593", "10193", "10131", "11808",
)  # fmt: skip
