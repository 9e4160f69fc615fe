"""The house's own deck file: CSV in UTF-8 with a header of field names, `#!deck` and `#!band` lines before it.

Rendering is byte-stable: the same content gives the same file, and a file so rendered is read back without a change.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from rating.formats.directives import DECK_FIELDS, read_band, read_pairs, render_band, render_deck
from rating.formats.fields import COLUMNS, REQUIRED, FieldRefused, FileContext, ParsedRow, RowError, read_row
from rating.formats.text import instant_text, number_text, tiers_text
from rating.terms import BandTerms, RateTerms

ROWS_MAX = 1_000_000
ERRORS_KEPT = 10_000


@dataclass(slots=True)
class DeckFile:
    """What a file says. `read` counts its rows; `skipped` of them are blank or remarks, `error` cannot be used.

    `head` holds what a `#!deck` line gave; `bands` is None when the file has no `#!band` line.
    """

    head: dict[str, str] = field(default_factory=dict)
    bands: list[BandTerms] | None = None
    rows: list[ParsedRow] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    warnings: list[RowError] = field(default_factory=list)
    read: int = 0
    skipped: int = 0
    error: int = 0

    def refuse(self, errors: Iterable[RowError]) -> None:
        """One more row that cannot be used; the first 10,000 errors are kept, all are counted."""
        self.error += 1
        self.errors.extend(list(errors)[: max(ERRORS_KEPT - len(self.errors), 0)])

    @property
    def is_unreadable(self) -> bool:
        """Is the file as a whole refused, so that not even its good rows mean anything?"""
        return any(error.row == 0 or error.column == "header" for error in self.errors)


def parse(content: bytes, context: FileContext) -> DeckFile:
    """Read a native file. Never raises for its content: every fault is a row error."""
    file = DeckFile()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as undecodable:
        file.errors.append(RowError(0, "", f"byte {undecodable.start}", "E_ENCODING"))
        return file
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _read_lines(file, reader, context)
    except csv.Error as broken:
        file.refuse([RowError(reader.line_num, "", str(broken), "E_COLUMNS")])
        file.read += 1
    return file


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
        writer.writerow(_cells(rate, zone))
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _read_lines(file: DeckFile, reader: Any, context: FileContext) -> None:
    columns: list[str] | None = None
    for cells in reader:
        first = cells[0].strip() if cells else ""
        if first.startswith("#!"):
            context = _read_directive(file, ",".join(cells).strip(), row=reader.line_num, context=context)
        elif first.startswith("#") or not any(cell.strip() for cell in cells):
            file.read, file.skipped = file.read + 1, file.skipped + 1
        elif columns is None:
            columns = _read_header(file, cells, row=reader.line_num)
            if columns is None:
                return
        else:
            _read_cells(file, cells, columns=columns, row=reader.line_num, context=context)
        if file.read > ROWS_MAX:
            file.errors.append(RowError(0, "", str(ROWS_MAX), "E_LIMIT"))
            return
    if columns is None:
        file.errors.append(RowError(0, "header", "", "E_HEADER"))


def _read_directive(file: DeckFile, line: str, *, row: int, context: FileContext) -> FileContext:
    word, _, rest = line.removeprefix("#!").partition(" ")
    refusal = "E_HEADER"
    try:
        if word == "deck" and not file.head:
            file.head = read_pairs(rest.split(), DECK_FIELDS, code="E_HEADER")
            return replace(context, numbering=file.head.get("numbering", context.numbering))
        if word == "band":
            refusal = "E_BAND"
            band = read_band(rest)
            if all(band.name != one.name for one in file.bands or []):
                file.bands = [*(file.bands or []), band]
                return replace(context, bands=context.bands | {band.name})
    except FieldRefused as refused:
        refusal = refused.code
    file.errors.append(RowError(row, "header", line, refusal))
    return context


def _read_header(file: DeckFile, cells: list[str], *, row: int) -> list[str] | None:
    columns = [cell.strip() for cell in cells]
    known = [column for column in columns if column in COLUMNS]
    missing = [column for column in REQUIRED if column not in known]
    if missing or len(set(known)) != len(known):
        file.errors.append(RowError(row, "header", ",".join(missing or known), "E_HEADER"))
        return None
    file.warnings.extend(RowError(row, "header", name, "W_COLUMN_IGNORED") for name in columns if name not in COLUMNS)
    return columns


def _read_cells(file: DeckFile, cells: list[str], *, columns: list[str], row: int, context: FileContext) -> None:
    file.read += 1
    if len(cells) != len(columns):
        file.refuse([RowError(row, "", ",".join(cells)[:200], "E_COLUMNS")])
        return
    named = {column: cell.strip() for column, cell in zip(columns, cells, strict=True) if column in _KNOWN}
    parsed = read_row(named, row=row, context=context)
    if isinstance(parsed, ParsedRow):
        file.rows.append(parsed)
    else:
        file.refuse(parsed)


def _cells(rate: RateTerms, zone: ZoneInfo) -> list[str]:
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
    return "" if silent else number_text(value)


_KNOWN = frozenset(COLUMNS)
