"""Rate sheets of JeraSoft: one sheet or several, prices per minute, changes as the supplier sees them."""

from collections.abc import Iterator, Mapping

from rating.formats.deck_file import DeckFile
from rating.formats.headers import priced_rows
from rating.formats.layout import Layout, columns_of, find_layout, folded
from rating.formats.table import Table
from rating.formats.template import MINUTE, FileTemplate

NAME = "jerasoft"
MANY_SHEETS = True
_COLUMNS = columns_of(
    {
        "prefix": ("Code",),
        "destination": ("Code Name",),
        "rate": ("Rate",),
        "effective_from": ("Effective Date",),
        "effective_to": ("End Date",),
        "first_increment": ("Min",),
        "next_increment": ("Interval",),
        "increments": ("Billing Increment",),
        "free_seconds": ("Grace",),
        "connect_fee": ("Setup fee",),
        "band": ("Time profile",),
        "change": ("Prev diff status",),
        "currency": ("Currency",),
    }
)
_REQUIRED = frozenset(map(folded, ("Code", "Rate")))
_OWN = frozenset(
    map(folded, ("Code Name", "Src Code", "Time profile", "Prev diff status", "Setup fee", "Billing Increment"))
)
_ALWAYS = frozenset({"all time", "any time", "always"})


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    rows = [set(map(folded, cells)) for cells in head]
    return 70 if any(titles >= _REQUIRED and len(titles & _OWN) > 1 for titles in rows) else 0


def columns() -> Mapping[str, str]:
    """The fields by their titles, folded as titles are compared."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER."""
    return find_layout(table, _COLUMNS, template)


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field. Raises FileRefused E_HEADER."""
    for number, cells in priced_rows(table, layout(table, template), template, file, unit=MINUTE):
        if cells.get("band", "").lower() in _ALWAYS:
            cells["band"] = ""
        yield number, cells
