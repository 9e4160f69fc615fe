"""A file opened: its kind, and its tables of text cells. What the cells mean is for the formats to say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEAD_ROWS = 20  # among these a header is looked for; remarks do not count
REMARKS_MAX = 2_000  # before the header: bands, mostly
FILE_BYTES = 100 * 1024 * 1024
TEXT, XLSX, XLS = "text", "xlsx", "xls"

# The cells of a row by its number in the file; None: a row whose quotes cannot be read.
NumberedRow = tuple[int, list[str] | None]


class FileRefused(Exception):
    """The file as a whole cannot be read; `code` is that of a row error, `value` what was found."""

    def __init__(self, code: str, value: str, *, row: int = 0, column: str = "") -> None:
        super().__init__(f"{code}: {value}")
        self.code, self.value, self.row, self.column = code, value, row, column


class NumberCell(str):
    """The text of a spreadsheet's number: whatever zeros stood before it are lost."""

    __slots__ = ()

    def strip(self, _characters: str | None = None, /) -> str:
        """Itself: there is nothing around a number, and it stays known as one."""
        return self


class MergedCell(str):
    """A blank that a merged cell of a spreadsheet covers: nothing stands there, and nobody knows what is meant."""

    __slots__ = ()

    def strip(self, _characters: str | None = None, /) -> str:
        """Itself, so that it stays known as one."""
        return self


@dataclass(frozen=True, slots=True)
class Table:
    """One sheet, or the only table of a text file; `rows()` begins anew with each call. May raise FileRefused."""

    name: str
    rows: Callable[[], Iterator[NumberedRow]]
    delimiter: str = ""
    lines: int = 0  # about how many there are to read; 0: nobody knows
    is_sheet: bool = False  # as wide as its widest row: short rows are blank to the right, not broken

    def head(self) -> list[tuple[int, list[str]]]:
        """The rows among which a header may be; remarks stand among them."""
        found: list[tuple[int, list[str]]] = []
        plain = 0
        for number, cells in self.rows():
            if cells is not None:
                found.append((number, cells))
                plain += not is_remark(cells)
            if plain >= HEAD_ROWS or len(found) >= REMARKS_MAX:
                break
        return found


@dataclass(frozen=True, slots=True)
class OpenFile:
    """What kind of file it is, as shown to people, and its tables."""

    kind: str
    tables: tuple[Table, ...]
    encoding: str = ""
    delimiter: str = ""


def is_remark(cells: list[str]) -> bool:
    """Is the row blank, or one that begins with #?"""
    first = cells[0].lstrip() if cells else ""
    return first.startswith("#") or not (first or any(cell.strip() for cell in cells))


def is_directive(cells: list[str]) -> bool:
    """Does the row begin with #!, so that it says something about all others?"""
    return bool(cells) and cells[0].lstrip().startswith("#!")
