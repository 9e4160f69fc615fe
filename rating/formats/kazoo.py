"""Rate files of Kazoo: a header in any order, prices per minute, the higher weight wins."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rating.formats.deck_file import DeckFile
from rating.formats.fields import RowError
from rating.formats.headers import priced_rows
from rating.formats.layout import Layout, columns_of, find_layout, folded
from rating.formats.table import Table
from rating.formats.template import MINUTE, FileTemplate

NAME = "kazoo"
MANY_SHEETS = False
# Its `carrier` is whoever sold the rate, not the operator of the number called: it has no place here.
_COLUMNS = columns_of(
    {
        "prefix": ("prefix",),
        "rate": ("rate_cost",),
        "destination": ("rate_name", "description"),
        "next_increment": ("rate_increment",),
        "first_increment": ("rate_minimum",),
        "connect_fee": ("rate_surcharge",),
        "free_seconds": ("rate_nocharge_time",),
        "priority": ("weight",),
        "cost_rate": ("internal_rate_cost", "pvt_rate_cost"),
    }
)
_REQUIRED = frozenset({folded("prefix"), folded("rate_cost")})
_DIRECTION = "direction"


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
    """The rows with their cells by field; a price of incoming calls only is refused. Raises FileRefused E_HEADER."""
    found = _with_direction(layout(table, template))
    for number, cells in priced_rows(table, found, template, file, unit=MINUTE):
        direction = cells.pop(_DIRECTION, "")
        if direction.lower() == "inbound":
            file.count_row()
            file.refuse([RowError(number, _DIRECTION, direction, "E_REF")])
        else:
            yield number, cells


def _with_direction(found: Layout) -> Layout:
    """The layout that also reads the direction of calls, which is no field of a rate."""
    places = [(index, _DIRECTION) for index, title in found.others if folded(title) == _DIRECTION]
    others = tuple(other for other in found.others if folded(other[1]) != _DIRECTION)
    return replace(found, fields=(*found.fields, *places), others=others)
