"""Rate files of Yeti: a header, prices per minute; a title that is not one of its own is refused."""

from collections.abc import Iterator, Mapping

from rating.formats.deck_file import DeckFile
from rating.formats.headers import priced_rows
from rating.formats.layout import Layout, columns_of, find_layout, folded
from rating.formats.table import FileRefused, Table
from rating.formats.template import MINUTE, FileTemplate

NAME = "yeti"
MANY_SHEETS = False
_TITLES = {
    "Prefix": "prefix",
    "Initial rate": "first_rate",
    "Next rate": "rate",
    "Connect fee": "connect_fee",
    "Attempt fee": "",
    "Initial interval": "first_increment",
    "Next interval": "next_increment",
    "Dst number min length": "",
    "Dst number max length": "",
    "Enabled": "enabled",
    "Priority": "priority",
    "Valid from": "effective_from",
}
_COLUMNS = columns_of({name: (title,) for title, name in _TITLES.items() if name})
_VALID = frozenset(map(folded, _TITLES))
_REQUIRED = ("prefix", "first_rate", "rate", "connect_fee")


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    return 80 if any({_COLUMNS.get(folded(cell)) for cell in cells}.issuperset(_REQUIRED) for cells in head) else 0


def columns() -> Mapping[str, str]:
    """The fields by their titles, folded as titles are compared."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER, also for a title that this format does not know."""
    found = find_layout(table, _COLUMNS, template, required=_REQUIRED)
    valid = _VALID | {folded(title) for title in template.columns}
    unknown = [title[:40] for title in found.titles if folded(title) not in valid]
    if unknown:
        value = f"{', '.join(unknown)} (valid: {', '.join(_TITLES)})"
        raise FileRefused("E_HEADER", value, row=found.row, column="header")
    return found


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field. Raises FileRefused E_HEADER."""
    return priced_rows(table, layout(table, template), template, file, unit=MINUTE)
