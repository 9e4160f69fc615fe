"""Rows for spreadsheets: no cell of ours is ever taken for a formula."""

import csv
from collections.abc import Sequence
from io import StringIO

BOM = "\ufeff"  # tells spreadsheet programs that the file is UTF-8; stands before the first row
FORMULA_HEADS = ("=", "+", "-", "@", "\t", "\r")


class Figure(str):
    """A cell that is a number, as text: its minus sign begins no formula."""

    __slots__ = ()


def csv_row(cells: Sequence[str]) -> str:
    """One line of CSV with its line end. Text that begins like a formula gets an apostrophe in front."""
    line = StringIO()
    csv.writer(line).writerow([_text(cell) for cell in cells])
    return line.getvalue()


def _text(cell: str) -> str:
    return f"'{cell}" if not isinstance(cell, Figure) and cell.startswith(FORMULA_HEADS) else cell
