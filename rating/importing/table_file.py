"""Small tables as CSV files: a header with known names, then rows. Every fault is a row error, nothing is guessed."""

import csv
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rating.formats.fields import RowError

CELL_MAX = 200  # characters


class TableRow(NamedTuple):
    """A row by column; columns that the file does not have are ""."""

    number: int
    cells: dict[str, str]


def table_rows(
    lines: Iterable[str], *, columns: tuple[str, ...], required: tuple[str, ...]
) -> Iterator[TableRow | RowError]:
    """The rows of a CSV text, or what is wrong with them. Blank lines and those that begin with # are passed over."""
    reader = csv.reader(lines, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not cells or cells[0].startswith("#"):
                continue
            if not header:
                header = [name.strip().lower() for name in cells]
                fault = _fault_of(header, columns=columns, required=required)
                if fault:
                    yield RowError(reader.line_num, "", fault, "E_HEADER")
                    return
                continue
            yield _row(reader.line_num, header, cells, columns=columns)
    except UnicodeDecodeError:
        yield RowError(reader.line_num + 1, "", "", "E_ENCODING")
    except csv.Error as garbled:
        yield RowError(reader.line_num, "", str(garbled), "E_COLUMNS")
    if not header:
        yield RowError(1, "", "", "E_HEADER")


def _fault_of(header: list[str], *, columns: tuple[str, ...], required: tuple[str, ...]) -> str:
    """The first name that is unknown, missing or there twice; "" when all is well."""
    faults = [name for name in header if name not in columns or header.count(name) > 1]
    faults += [name for name in required if name not in header]
    return faults[0] if faults else ""


def _row(number: int, header: list[str], cells: list[str], *, columns: tuple[str, ...]) -> TableRow | RowError:
    if len(cells) != len(header):
        return RowError(number, "", str(len(cells)), "E_COLUMNS")
    for name, cell in zip(header, cells, strict=True):
        if len(cell) > CELL_MAX or "\x00" in cell:
            return RowError(number, name, cell[:20].replace("\x00", ""), "E_LIMIT")
    found = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    return TableRow(number, {name: found.get(name, "") for name in columns})
