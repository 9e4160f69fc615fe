"""The error cells of an old binary workbook (XLS), which its reader takes for blank. Standard library only.

An XLS file is a little file system (OLE2) with a stream "Workbook" of records (BIFF5, BIFF8): a header of kind and
length, then the record. Cells that hold an error, and formulas whose last result was one, say so in their record.
"""

import struct
from collections.abc import Iterator

SHOWN = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
}  # fmt: skip
BEGIN, END, SHEET, FORMULA, CONSTANT = 0x0809, 0x000A, 0x0085, 0x0006, 0x0205
LAST_SECTOR = 0xFFFFFFF9  # numbers above it are no sectors
HEADER_FATS, ENTRY_BYTES, SMALL_SECTOR = 109, 128, 64
ROOT = 5

Places = dict[tuple[int, int], str]


def error_cells(content: bytes) -> list[Places]:
    """For each sheet in the order of the workbook: row number and index of the column of its errors, and what they say.

    Raises ValueError, struct.error or IndexError for a file that is none.
    """
    stream = _Storage(content).workbook()
    offsets = [struct.unpack_from("<I", record)[0] for kind, record in _records(stream, 0) if kind == SHEET]
    return [dict(_errors(stream, offset)) for offset in offsets]


def _errors(stream: bytes, offset: int) -> Iterator[tuple[tuple[int, int], str]]:
    for kind, record in _records(stream, offset):
        code = None
        if kind == CONSTANT and record[7]:
            code = record[6]
        elif kind == FORMULA and record[6] == 2 and record[12:14] == b"\xff\xff":
            code = record[8]
        if code is not None:
            row, column = struct.unpack_from("<HH", record)
            yield (row + 1, column), SHOWN.get(code, f"#{code}")


def _records(stream: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """The records of one part of the stream; parts within it, such as charts, are passed over."""
    depth = 0
    while True:
        kind, length = struct.unpack_from("<HH", stream, offset)
        offset += 4
        depth += (kind == BEGIN) - (kind == END)
        if depth < 1:
            return
        if depth == 1:
            yield kind, stream[offset : offset + length]
        offset += length


class _Storage:
    """The streams of an OLE2 file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._sector = 1 << struct.unpack_from("<H", content, 30)[0]
        if self._sector not in (512, 4096):
            raise ValueError("sector size")
        self._directory, self._small_below, small_fat = struct.unpack_from("<I4xII", content, 48)
        self._fat = self._numbers(self._fat_sectors())
        self._small_fat = self._numbers(_chain(small_fat, self._fat))

    def workbook(self) -> bytes:
        """The stream of the workbook. Raises ValueError when there is none."""
        directory = b"".join(map(self._read, _chain(self._directory, self._fat)))
        entries = [directory[at : at + ENTRY_BYTES] for at in range(0, len(directory), ENTRY_BYTES)]
        found = next((one for one in entries if _name(one) in ("workbook", "book")), None)
        if found is None:
            raise ValueError("no workbook")
        start, size = struct.unpack_from("<II", found, 116)
        if size >= self._small_below:
            return b"".join(map(self._read, _chain(start, self._fat)))[:size]
        root = next((one for one in entries if one[66] == ROOT), None)
        if root is None:
            raise ValueError("no root")
        small = b"".join(map(self._read, _chain(struct.unpack_from("<I", root, 116)[0], self._fat)))
        parts = (small[at * SMALL_SECTOR : (at + 1) * SMALL_SECTOR] for at in _chain(start, self._small_fat))
        return b"".join(parts)[:size]

    def _fat_sectors(self) -> list[int]:
        """Where the table of successors lies: the header names 109 sectors, sectors of their own name more."""
        named = list(struct.unpack_from(f"<{HEADER_FATS}I", self._content, 76))
        following, left = struct.unpack_from("<II", self._content, 68)
        for _number in range(min(left, len(self._content) // self._sector)):
            *more, following = self._numbers([following])
            named += more
        return [sector for sector in named if sector <= LAST_SECTOR]

    def _numbers(self, sectors: list[int]) -> list[int]:
        return [number for one in sectors for (number,) in struct.iter_unpack("<I", self._read(one))]

    def _read(self, sector: int) -> bytes:
        begin = (sector + 1) * self._sector
        part = self._content[begin : begin + self._sector]
        return part[: len(part) // 4 * 4]


def _chain(start: int, fat: list[int]) -> list[int]:
    """The sectors from `start` on. Raises ValueError for a loop, IndexError for a way out of the file."""
    sectors: list[int] = []
    while start <= LAST_SECTOR:
        if len(sectors) > len(fat):
            raise ValueError("a loop of sectors")
        sectors.append(start)
        start = fat[start]
    return sectors


def _name(entry: bytes) -> str:
    length = struct.unpack_from("<H", entry, 64)[0]
    return entry[: max(length - 2, 0)].decode("utf-16-le", errors="replace").lower()
