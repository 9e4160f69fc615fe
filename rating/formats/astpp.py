"""Rate files of ASTPP: a header with the currency in brackets, codes that may be patterns, prices per minute."""

from collections.abc import Iterator, Mapping

from rating.formats.deck_file import DeckFile
from rating.formats.headers import priced_rows
from rating.formats.layout import Layout, columns_of, find_layout, folded
from rating.formats.prefix_lists import without_pattern
from rating.formats.table import Table
from rating.formats.template import MINUTE, FileTemplate

NAME = "astpp"
MANY_SHEETS = False
_COLUMNS = columns_of(
    {
        "prefix": ("Code",),
        "destination": ("Destination",),
        "connect_fee": ("Connection Cost",),
        "free_seconds": ("Grace Time",),
        "rate": ("Cost / Min",),
        "first_increment": ("Initial Increment",),
        "next_increment": ("Increment",),
        "priority": ("Priority",),
        "enabled": ("Status",),
    }
)
_REQUIRED = frozenset(map(folded, ("Code", "Cost / Min", "Initial Increment", "Increment")))
_STATUS = {"active": "true", "0": "true", "inactive": "false", "1": "false"}


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    return 80 if any(_REQUIRED.issubset(map(folded, cells)) for cells in head) else 0


def columns() -> Mapping[str, str]:
    """The fields by their titles, folded as titles are compared."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER."""
    return find_layout(table, _COLUMNS, template)


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field. Raises FileRefused E_HEADER."""
    for number, cells in priced_rows(table, layout(table, template), template, file, unit=MINUTE):
        cells["prefix"] = without_pattern(cells["prefix"])
        if "enabled" in cells:
            cells["enabled"] = _STATUS.get(cells["enabled"].lower(), cells["enabled"])
        yield number, cells
