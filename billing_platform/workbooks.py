"""Rows as a workbook (XLSX), in constant memory whatever their number.

All text is text, whatever it looks like: a prefix keeps its zeros and nothing is a formula. A `Figure` is a number, as
long as a spreadsheet, which keeps 15 digits, can keep it.
"""

import tempfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import IO

from xlsxwriter import Workbook

from billing_platform.sheets import Figure

MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
IN_MEMORY_MAX = 1024 * 1024  # bytes; a larger book goes to disk
NAME_MAX = 31  # letters of a sheet's name
DIGITS_MAX = 15
_NOT_IN_XML = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)], "\ufffd")
_NOT_IN_NAMES = _NOT_IN_XML | dict.fromkeys(map(ord, "[]:*?/\\'"), "")

Rows = Iterable[Sequence[str]]


def workbook_of(sheets: Iterable[tuple[str, Rows]]) -> IO[bytes]:
    """A workbook with these sheets (name, rows); it stands at its beginning, and its reader closes it."""
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_MAX)  # noqa: SIM115  its reader closes it
    with Workbook(file, {"constant_memory": True}) as book:
        as_text = book.add_format({"num_format": "@"})  # a prefix that is typed anew stays one
        for name, rows in sheets:
            sheet = book.add_worksheet(name.translate(_NOT_IN_NAMES)[:NAME_MAX])
            for place, row in enumerate(rows):
                for column, text in enumerate(row):
                    if _is_number(text):
                        sheet.write_number(place, column, Decimal(text))
                    elif text:
                        sheet.write_string(place, column, text.translate(_NOT_IN_XML), as_text)
    file.seek(0)
    return file


def _is_number(text: str) -> bool:
    return isinstance(text, Figure) and text != "" and sum(map(str.isdigit, text.lstrip("-0."))) <= DIGITS_MAX
