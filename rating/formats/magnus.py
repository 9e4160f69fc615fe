"""Rate files of MagnusBilling: nine columns in a fixed order without a header, prices per minute."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rating.formats.deck_file import DeckFile
from rating.formats.headers import priced_rows
from rating.formats.layout import Layout
from rating.formats.positions import is_text_price, positional_layout
from rating.formats.table import Table
from rating.formats.template import MINUTE, FileTemplate

NAME = "magnus"
MANY_SHEETS = False
# A call below `minimal_time` costs nothing there, so it is a grace and not an increment.
_COLUMNS = MappingProxyType(
    {
        "prefix": "prefix",
        "destination": "destination",
        "sell": "rate",
        "initblock": "first_increment",
        "billingblock": "next_increment",
        "minimal_time": "free_seconds",
        "connect": "connect_fee",
        "disconnect": "",
        "package_offer": "",
    }
)


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    return 40 if is_text_price(head, width=len(_COLUMNS)) else 0


def columns() -> Mapping[str, str]:
    """The fields by the names of the columns, in their order; "" has no place here."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER when the file has another number of them."""
    return positional_layout(table, _COLUMNS, template, widths=[len(_COLUMNS)])


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field. Raises FileRefused E_HEADER."""
    return priced_rows(table, layout(table, template), template, file, unit=MINUTE)
