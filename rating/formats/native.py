"""The house's own deck file: a header of field names, `#!deck` and `#!band` lines before it; CSV or XLSX.

Rendering is byte-stable: the same content gives the same file, and a file so rendered is read back without a change.
In a workbook the directives stand in the first column, or the bands in a sheet of their own with a column for each word
of `#!band`.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from billing_platform.sheets import Figure
from rating.formats import headers
from rating.formats.deck_file import DeckFile
from rating.formats.directives import (
    BAND_WORDS,
    DECK_FIELDS,
    read_band,
    read_pairs,
    render_band,
    render_deck,
)
from rating.formats.fields import COLUMNS, REQUIRED, FieldRefused, RowError
from rating.formats.layout import Layout, find_layout, folded, named_rows
from rating.formats.table import FileRefused, Table, is_directive
from rating.formats.template import FileTemplate
from rating.formats.text import instant_text, number_text, tiers_text
from rating.terms import BandTerms, RateTerms

NAME = "native"
MANY_SHEETS = True
BANDS_SHEET = "bands"
_COLUMNS = {folded(name): name for name in COLUMNS}
_EXACT = frozenset(COLUMNS)


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    if any(map(is_directive, head)):
        return 100
    return 90 if any(map(_is_header, head)) else 0


def columns() -> Mapping[str, str]:
    """The fields by their titles, folded as titles are compared."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER."""
    return find_layout(table, _COLUMNS, template)


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field; what they share goes into the file. Raises FileRefused E_HEADER, E_BAND."""
    if is_bands_sheet(table):
        _read_bands_sheet(table, file)
        return
    found = layout(table, template)
    for number, cells in table.head():
        if number < found.row and is_directive(cells):
            _read_directive(file, (table.delimiter or ",").join(cells).strip().rstrip(","), row=number)
    for _, title in found.others:
        file.warnings.append(RowError(found.row, "header", title, "W_COLUMN_IGNORED"))
    yield from named_rows(table, replace(found, others=(), ignored=frozenset()), template, file)


def _is_header(cells: list[str]) -> bool:
    """Are the titles our own, and none of the others one that a supplier uses for one of our fields?"""
    titles = list(map(str.strip, cells))
    foreign = (headers.columns().get(folded(title)) for title in titles if title not in _EXACT)
    return set(REQUIRED).issubset(titles) and not any(foreign)


def is_bands_sheet(table: Table) -> bool:
    """Is it the sheet of a workbook that holds the bands?"""
    return table.is_sheet and table.name.lower() == BANDS_SHEET


def render(head: Mapping[str, object], *, bands: Iterable[BandTerms], rates: Iterable[RateTerms]) -> Iterator[str]:
    """The lines of the file, in pieces. `rates` come sorted by the caller; prefixes as they are dialled."""
    zone = ZoneInfo(str(head["zone"]))
    yield render_deck(head) + "\n"
    for band in sorted(bands, key=lambda one: one.name):
        yield render_band(band) + "\n"
    yield ",".join(COLUMNS) + "\n"
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for rate in rates:
        writer.writerow(cells_of(rate, zone))
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _read_directive(file: DeckFile, line: str, *, row: int) -> None:
    word, _, rest = line.removeprefix("#!").partition(" ")
    refusal = "E_HEADER"
    try:
        if word == "deck" and not file.head:
            file.head = read_pairs(rest.split(), DECK_FIELDS, code="E_HEADER")
            return
        if word == "band":
            refusal = "E_BAND"
            if _add_band(file, read_band(rest)):
                return
    except FieldRefused as refused:
        refusal = refused.code
    file.errors.append(RowError(row, "header", line[:200], refusal))


def _add_band(file: DeckFile, band: BandTerms) -> bool:
    """Note the band; false when the file has one of this name already."""
    if any(band.name == one.name for one in file.bands or []):
        return False
    file.bands = [*(file.bands or []), band]
    return True


def _read_bands_sheet(table: Table, file: DeckFile) -> None:
    """A row for each band under titles that are the words of `#!band`. Raises FileRefused E_BAND."""
    titles: list[str] = []
    for number, cells in table.rows():
        words = [cell.strip() for cell in cells or []]
        if titles:
            _read_band_row(file, dict(zip(titles, words, strict=False)), row=number)
            continue
        titles = [word.lower() for word in words]
        if "name" not in titles or not set(titles) <= {"name", *BAND_WORDS, ""}:
            raise FileRefused("E_BAND", ",".join(words), row=number, column="header")


def _read_band_row(file: DeckFile, cells: Mapping[str, str], *, row: int) -> None:
    line = " ".join([cells["name"], *(f"{word}={cells[word]}" for word in BAND_WORDS if cells.get(word))])
    try:
        is_new = _add_band(file, read_band(line))
    except FieldRefused:
        is_new = False
    if not is_new:
        file.errors.append(RowError(row, "header", line[:200], "E_BAND"))


def cells_of(rate: RateTerms, zone: ZoneInfo) -> list[str]:
    """The row as texts, one a column, its numbers as figures; times on the wall clock of the zone."""
    return [_cell(column, getattr(rate, column), zone) for column in COLUMNS]


def _cell(column: str, value: Any, zone: ZoneInfo) -> str:
    if value is None or value == "":
        return ""
    if column == "tiers":
        return tiers_text(value)
    if column in ("effective_from", "effective_to"):
        return instant_text(value, zone)
    if isinstance(value, bool):
        return "" if value == (column == "enabled") else str(value).lower()  # only what is unusual is said
    return value if isinstance(value, str) else _number_cell(column, value)


def _number_cell(column: str, value: Any) -> str:
    silent = column in ("connect_fee", "free_seconds", "min_charge") and not value
    return "" if silent else Figure(number_text(value))
