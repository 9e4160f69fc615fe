"""A program: the rows of a workbook on standard input, as JSON lines on standard output.

It runs as a process of its own with limits on memory, time and output: a workbook of a few bytes can ask its reader for
any amount of memory, and the reader does not survive that. `workbook` starts `run` and reads what it says:
{"sheet": name}, then [row, cells, indices of the cells that are numbers, indices of those that a merged cell covers]
for each row that is not blank; at the end {"end": true}, or {"refused": [code, value]}.
"""

import contextlib
import json
import re
import resource
import struct
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from typing import Any, NoReturn

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from rating.formats.workbook_archive import ArchiveRefused, check_archive, head_of, pieces
from rating.formats.xls_errors import Places, error_cells

MEMORY_BYTES = 600 * 1024 * 1024
CPU_SECONDS = 60
HEAD_CPU_SECONDS = 10  # somebody waits
OUTPUT_BYTES = 1024 * 1024 * 1024
ROWS_MAX = 1_000_010  # a little above the limit of a deck file, whose own message is the better one
CELL_MAX = 1_000  # characters; no field of a deck is as long
EXACT_BELOW = 10**15  # a spreadsheet keeps 15 digits of a number

_CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
_PLACE = re.compile(rb'\br\s*=\s*["\']([A-Za-z]{1,3})([0-9]{1,7})["\']')
_KIND = re.compile(rb'\bt\s*=\s*["\'](\w+)["\']')
_VALUE = re.compile(rb"<(?:\w+:)?v\b[^>/]*>([^<]+)<")
_FORMULA = re.compile(rb"<(?:\w+:)?f\b(?:[^>]*>([^<]*)<)?")
_json = json.JSONEncoder(ensure_ascii=False).encode


def run() -> None:
    """The program for all rows."""
    limit_resources(CPU_SECONDS)
    answer(sys.stdin.buffer.read(), write_rows)


def run_head() -> None:
    """The program for the first rows of each sheet."""
    limit_resources(HEAD_CPU_SECONDS)
    answer(sys.stdin.buffer.read(), write_first_rows)


def answer(content: bytes, write: Callable[[bytes], None]) -> None:
    """Write the rows, or why there are none."""
    try:
        write(content)
    except ArchiveRefused as refused:
        refuse(refused.code, refused.value)


def refuse(code: str, value: str) -> NoReturn:
    """Say why the workbook cannot be read, and end."""
    _say({"refused": [code, value[:200]]})
    sys.exit(0)


def write_rows(content: bytes) -> None:
    """Write all sheets. Rows keep their number in the sheet."""
    is_zip = content.startswith(b"PK")
    members = check_archive(content) if is_zip else {}
    try:
        book = CalamineWorkbook.from_object(BytesIO(content))
        errors = [] if is_zip else sheets_errors(content, sheets=len(book.sheets_metadata))
        for place, meta in enumerate(book.sheets_metadata):
            if meta.typ is SheetTypeEnum.WorkSheet:
                in_zip = faulty_cells(content, members[meta.name]) if meta.name in members else {}
                write_sheet(book, meta.name, in_zip if is_zip else errors[place])
    except PasswordError:
        refuse("E_ENCODING", "password")
    except CalamineError as unreadable:
        refuse("E_ENCODING", f"workbook: {unreadable}")
    _say({"end": True})


def write_first_rows(content: bytes) -> None:
    """As `write_rows`, for a workbook of any size; one that is no archive is small enough to be read whole."""
    write_rows(head_of(content) if content.startswith(b"PK") else content)


def write_sheet(book: CalamineWorkbook, name: str, faults: Places) -> None:
    """The rows of one sheet that are not blank. `faults` says what to show for cells that only seem blank."""
    sheet = book.get_sheet_by_name(name)
    _say({"sheet": name})
    left = sheet.start[1] if sheet.start else 0
    merged = merged_cells(sheet)
    for number, values in enumerate(sheet.iter_rows(), start=1):
        if number > ROWS_MAX:
            return
        cells = [value if type(value) is str else cell_text(value) for value in values]
        if faults and "" in cells:
            cells = [text or faults.get((number, left + index), "") for index, text in enumerate(cells)]
        if any(cells):
            numbers = [index for index, value in enumerate(values) if type(value) is float or type(value) is int]
            hidden = merged.get(number, ())
            covered = (
                [index for index, text in enumerate(cells) if not text and left + index in hidden] if hidden else []
            )
            line = _json([number, cells, numbers, covered])
            if len(line) > CELL_MAX or "\\u0000" in line:
                shown = [text[:CELL_MAX].replace("\x00", "\ufffd") for text in cells]
                line = _json([number, shown, numbers, covered])
            sys.stdout.write(line + "\n")


def merged_cells(sheet: Any) -> Mapping[int, set[int]]:
    """By row number the columns that a merged cell covers, all but the one where its text stands."""
    found: dict[int, set[int]] = defaultdict(set)
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        columns = range(left, min(right, left + CELL_MAX) + 1)
        for row in range(top, bottom + 1):
            found[row + 1].update(columns)
        found[top + 1].discard(left)
    return found


def cell_text(value: Any) -> str:
    """The cell as a person means it: dates in ISO form, numbers without the traces of binary fractions."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, datetime) and value.time() == time(0):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date | time) else str(value)


@lru_cache(maxsize=65536)
def number_text(value: int | float) -> str:
    """At most 15 digits, as many as a spreadsheet keeps: 0.1 + 0.2 is 0.3. A larger number stays in exponent form."""
    if abs(value) >= EXACT_BELOW:
        return f"{value:.15E}"
    text = format(Decimal(f"{value:.15g}"), "f")
    return "0" if text == "-0" else text


def sheets_errors(content: bytes, *, sheets: int) -> list[Places]:
    """The error cells of each sheet of a file that is no archive."""
    try:
        errors = error_cells(content)
    except (ValueError, IndexError, struct.error) as bad:
        refuse("E_ENCODING", f"workbook: {bad}")
    if len(errors) != sheets:
        refuse("E_ENCODING", "workbook: sheets")
    return errors


def faulty_cells(content: bytes, member: str) -> Places:
    """The cells that the reader takes for blank although they are not: errors, and formulas never calculated."""
    found: Places = {}
    with zipfile.ZipFile(BytesIO(content)) as archive:
        if member not in archive.namelist():
            return found
        for piece in pieces(archive, archive.getinfo(member), until=b"</row>"):
            if any(sign in piece for sign in (b"<f", b":f", b'"e"', b"'e'")):
                found.update(faults_in(piece))
    return found


def faults_in(piece: bytes) -> Iterator[tuple[tuple[int, int], str]]:
    """Where such cells stand, as row number and index of the column, and what they show: #N/A, or the formula."""
    for cell in _CELL.finditer(piece):
        attributes, body = cell[1], cell[2] or b""
        place, kind = _PLACE.search(attributes), _KIND.search(attributes)
        value, formula = _VALUE.search(body), _FORMULA.search(body)
        is_error = kind is not None and kind[1] == b"e"
        is_uncalculated = formula is not None and value is None and (kind is None or kind[1] == b"n")
        if place is not None and (is_error or is_uncalculated):
            shown = value[1] if value else b"=" + ((formula[1] or b"") if formula else b"")
            yield (int(place[2]), column_index(place[1])), shown.decode("utf-8", errors="replace")[:CELL_MAX]


def column_index(letters: bytes) -> int:
    """A is 0, AA is 26."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + letter - 64
    return index - 1


def limit_resources(cpu_seconds: int) -> None:
    """Bound memory, time and output; systems that cannot are left as they are."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(_json(message) + "\n")
