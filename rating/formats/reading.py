"""The one entrance for deck files: bytes in, rows and row errors out, whatever the format.

A format only translates its cells into the texts of our own fields; whether they mean anything is judged in one place,
`fields.read_row`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from rating.formats import a2billing, astpp, headers, jerasoft, kazoo, magnus, native, yeti
from rating.formats.acceptance import Acceptance
from rating.formats.deck_file import DeckFile
from rating.formats.fields import FileContext, RowError
from rating.formats.headers import tell_currency
from rating.formats.layout import Layout
from rating.formats.table import FILE_BYTES, TEXT, FileRefused, OpenFile, Table
from rating.formats.template import AUTO, FileTemplate
from rating.formats.textfile import open_text
from rating.formats.workbook import is_workbook, open_workbook, open_workbook_head

SHOWN_VALUES = 5
TOLD_EACH = 1_000  # rows
Seen = Callable[[int, int], None]  # rows read, of about how many


class Format(Protocol):
    """What each module of a format offers. With MANY_SHEETS all sheets that fit are read, not only the best."""

    @property
    def NAME(self) -> str: ...  # noqa: N802  a module's constant

    @property
    def MANY_SHEETS(self) -> bool: ...  # noqa: N802

    def detect(self, head: list[list[str]]) -> int:
        """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""

    def columns(self) -> Mapping[str, str]:
        """The fields by the titles that the format knows."""

    def layout(self, table: Table, template: FileTemplate) -> Layout:
        """Where the columns are. Raises FileRefused."""

    def rows(self, table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
        """The rows with their cells by field; all else goes into the file. Raises FileRefused."""


_MODULES: tuple[Format, ...] = (native, headers, astpp, a2billing, magnus, yeti, kazoo, jerasoft)
FORMATS: Mapping[str, Format] = {one.NAME: one for one in _MODULES}


@dataclass(frozen=True, slots=True)
class ColumnLook:
    """A column as a person sees it before the import: its field ("" = none), its first and its worst values."""

    title: str
    field: str
    first: tuple[str, ...]
    worst: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileLook:
    """What a file is taken for, and how its columns are read. `header_row` 0: it has none. `file`: all of it, read."""

    file: DeckFile
    kind: str = ""
    encoding: str = ""
    delimiter: str = ""
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    format: str = ""
    header_row: int = 0
    columns: tuple[ColumnLook, ...] = ()


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file with the format chosen for it, the tables that are read and those that are not."""

    source: OpenFile
    format: Format
    tables: tuple[Table, ...]
    others: tuple[Table, ...]
    rows_max: int | None = None  # of each table; None: all

    @property
    def rates(self) -> Table:
        """The table that shows how the rates are read."""
        return next(table for table in self.tables if not native.is_bands_sheet(table))


def _unseen(_done: int, _total: int) -> None:
    """Nobody watches."""


def read_deck_file(
    content: bytes, context: FileContext, template: FileTemplate = AUTO, file_name: str = "", *, seen: Seen = _unseen
) -> DeckFile:
    """Read a deck file. Never raises for its content: every fault is a row error. Its name proves nothing."""
    file = DeckFile()
    try:
        _read(_open(content, template), context, template, file, seen=seen)
    except FileRefused as refused:
        _refuse(file, refused)
    return file


def look_at(
    content: bytes, context: FileContext, template: FileTemplate = AUTO, *, rows_max: int | None = None
) -> FileLook:
    """What the file is, column by column, and as `read_deck_file` reads it: all of it, or the first `rows_max` rows.

    Never raises for its content.
    """
    file = DeckFile()
    try:
        opened = _open(content, template, workbook=open_workbook if rows_max is None else open_workbook_head)
    except FileRefused as refused:
        _refuse(file, refused)
        return FileLook(file)
    try:
        _read(replace(opened, rows_max=rows_max), context, template, file, seen=_unseen)
    except FileRefused as refused:
        _refuse(file, refused)
    header_row, columns = _columns(opened, template, file)
    return FileLook(
        file=file,
        kind=opened.source.kind,
        encoding=opened.source.encoding,
        delimiter=opened.source.delimiter,
        sheets=tuple(table.name for table in opened.source.tables if table.is_sheet),
        sheet=opened.rates.name,
        format=opened.format.NAME,
        header_row=header_row,
        columns=columns,
    )


def _refuse(file: DeckFile, refused: FileRefused) -> None:
    """Put what spoils the whole file before all other errors."""
    file.errors.insert(0, RowError(refused.row, refused.column, refused.value[:400], refused.code))


def _open(content: bytes, template: FileTemplate, *, workbook: Callable[[bytes], OpenFile] = open_workbook) -> _Opened:
    if len(content) > FILE_BYTES:
        raise FileRefused("E_LIMIT", f"{len(content)} bytes")
    source = workbook(content) if is_workbook(content) else open_text(content, template)
    tables = [table for table in source.tables if not native.is_bands_sheet(table)]
    if template.sheet and source.kind != TEXT:
        tables = [table for table in tables if table.name == template.sheet]
    if not tables:
        raise FileRefused("E_HEADER", template.sheet, column="header")
    scored = [(table, *_detect(table, template)) for table in tables]
    best, _, chosen = max(scored, key=lambda one: one[1])
    read = [best]
    if chosen.MANY_SHEETS:
        read = [table for table, score, one in scored if score and one is chosen] or [best]
    if chosen.NAME == native.NAME:
        read = [*filter(native.is_bands_sheet, source.tables), *read]
    return _Opened(source, chosen, tuple(read), tuple(table for table in source.tables if table not in read))


def _detect(table: Table, template: FileTemplate) -> tuple[int, Format]:
    """The format that the table belongs to most surely; a table of none is one whose header is not found."""
    head = [cells for _, cells in table.head()]
    if template.format:
        chosen = FORMATS[template.format]
        return max(chosen.detect(head), 1 if head else 0), chosen
    score, name = max((one.detect(head), name) for name, one in FORMATS.items())
    return (score, FORMATS[name]) if score else (0, headers)


def _read(opened: _Opened, context: FileContext, template: FileTemplate, file: DeckFile, *, seen: Seen) -> None:
    file.format = opened.format.NAME
    acceptance = Acceptance(file, context, template)
    done, total = 0, sum(table.lines for table in opened.tables)
    for table in opened.tables:
        for row, cells in islice(opened.format.rows(table, template, file), opened.rows_max):
            acceptance.take(row, cells)
            done += 1
            if done % TOLD_EACH == 0:
                seen(done, max(done, total))
    if template.currency:
        tell_currency(file, template.currency, row=0)
    for table in opened.others:
        count = sum(1 for _ in table.rows())
        file.warnings.append(RowError(0, table.name, str(count), "W_UNMAPPED"))


def _columns(opened: _Opened, template: FileTemplate, file: DeckFile) -> tuple[int, tuple[ColumnLook, ...]]:
    """The header's row, and its columns with their first values and with those that could not be read."""
    table = opened.rates
    try:
        found = opened.format.layout(table, template)
        header_row, titles, targets = found.row, found.titles, found.targets
    except FileRefused as refused:  # no header that fits: the row that comes nearest, for a person to map
        header_row, targets = refused.row, {}
        titles = tuple(next((cells for number, cells in table.head() if number == header_row), ()))
    worst: dict[str, dict[str, None]] = {}
    for error in file.errors:
        if error.row and error.value:
            worst.setdefault(error.column, {})[error.value] = None
    first = list(islice((cells for number, cells in table.head() if number > header_row), SHOWN_VALUES))
    return header_row, tuple(
        ColumnLook(
            title=title.strip(),
            field=targets.get(index, ""),
            first=tuple(cells[index].strip() for cells in first if index < len(cells)),
            worst=tuple(islice(worst.get(targets[index], ()), SHOWN_VALUES)) if index in targets else (),
        )
        for index, title in enumerate(titles)
    )
