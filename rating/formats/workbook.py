"""Workbooks (XLSX, XLS) as tables. They are read in a process of their own; see `workbook_rows` for why."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from rating.formats.table import XLS, XLSX, FileRefused, MergedCell, NumberCell, NumberedRow, OpenFile, Table

ZIP_MAGIC, OLE_MAGIC = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
READ_SECONDS = 120
HEAD_SECONDS = 30  # of waiting, mostly: the program itself has ten seconds of computing
_ROOT = str(Path(__file__).parents[2])
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from rating.formats import workbook_rows; workbook_rows."


def is_workbook(content: bytes) -> bool:
    """Does the content, whatever its name, begin like a workbook?"""
    return content.startswith((ZIP_MAGIC, OLE_MAGIC))


def open_workbook(content: bytes) -> OpenFile:
    """The workbook's sheets. Raises FileRefused E_ENCODING (not a workbook), or E_LIMIT (asks for too much)."""
    return _opened(content, "run()", seconds=READ_SECONDS)


def open_workbook_head(content: bytes) -> OpenFile:
    """The first rows of its sheets, whatever its size, while somebody waits. Raises as `open_workbook`."""
    return _opened(content, "run_head()", seconds=HEAD_SECONDS)


def _opened(content: bytes, program: str, *, seconds: int) -> OpenFile:
    rows = TemporaryFile()  # noqa: SIM115  lives as long as the tables that read it
    with TemporaryFile() as given:
        given.write(content)
        given.seek(0)
        try:
            ended = subprocess.run(  # noqa: S603  our own program
                [sys.executable, "-I", "-X", "utf8", "-c", _PROGRAM + program, _ROOT],
                stdin=given,
                stdout=rows,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise FileRefused("E_LIMIT", f"{seconds} s") from late
    sheets = _sheets(rows, is_complete=ended.returncode == 0)
    tables = tuple(Table(name, partial(_rows, rows, at), lines=lines, is_sheet=True) for name, at, lines in sheets)
    return OpenFile(XLSX if content.startswith(ZIP_MAGIC) else XLS, tables)


def _sheets(rows: IO[bytes], *, is_complete: bool) -> list[tuple[str, int, int]]:
    """The sheets' names, where their rows begin, and how many there are."""
    rows.seek(0)
    found: list[tuple[str, int, int]] = []
    last: dict[str, Any] = {}
    for line in iter(rows.readline, b""):
        if line.startswith(b"{"):
            last = json.loads(line)
            if "sheet" in last:
                found.append((last["sheet"], rows.tell(), 0))
        elif found:
            name, at, lines = found[-1]
            found[-1] = name, at, lines + 1
    if "refused" in last:
        raise FileRefused(*last["refused"])
    if not is_complete or "end" not in last:
        raise FileRefused("E_LIMIT", "memory")
    return found


def _rows(rows: IO[bytes], at: int) -> Iterator[NumberedRow]:
    rows.seek(at)
    for line in iter(rows.readline, b""):
        if line.startswith(b"{"):
            return
        number, cells, numbers, merged = json.loads(line)
        for index in numbers:
            cells[index] = NumberCell(cells[index])
        for index in merged:
            cells[index] = MergedCell()
        yield number, cells
