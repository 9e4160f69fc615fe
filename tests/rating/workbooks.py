"""Workbooks for the tests: suppliers' sheets, and files that pretend to be workbooks."""

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openpyxl import Workbook


def workbook_of(sheets: Mapping[str, Iterable[Sequence[Any]]]) -> bytes:
    """An XLSX file; strings become text cells, numbers and dates their own kind, `=…` a formula never calculated."""
    book = Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def with_replaced(content: bytes, member: str, old: bytes, new: bytes) -> bytes:
    """The workbook with other bytes in one of its parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for part in source.infolist():
            text = source.read(part)
            if part.filename == member:
                assert old in text
                text = text.replace(old, new)
            copy.writestr(part, text)
    return target.getvalue()


def with_declared(content: bytes, member: str, *, size: int, crc: int | None = None) -> bytes:
    """The workbook whose directory says another size, and sum, of one of its parts than it has."""
    (end,) = struct.unpack_from("<I", content, content.rindex(b"PK\x05\x06") + 16)
    entry = content.index(member.encode(), end) - 46
    lying = bytearray(content)
    if crc is not None:
        struct.pack_into("<I", lying, entry + 16, crc)
    struct.pack_into("<I", lying, entry + 24, size)
    return bytes(lying)


def jerasoft_workbook() -> bytes:
    """Two sheets of rates behind a cover sheet."""
    titles = ["Code", "Code Name", "Src Code", "Rate", "Effective Date", "End Date", "Billing Increment"]
    titles += ["Grace", "Setup fee", "Time profile", "Prev diff status"]
    return workbook_of(
        {
            "Terms": [["Rates of Sample Carrier"], ["valid until further notice"]],
            "A-Z": [
                ["Rates in USD"],
                titles,
                ["44", "UK", "", 0.0105, "2027-01-01", "", "60/1", 0, 0, "All time", "increase"],
                ["447", "UK mobile", "", 0.1 + 0.2, 46388, "", "60/60/0", 0, 0.01, "All time", "new"],
                ["4479", "UK other", "49", "=D3*2", "2027-01-01", "", "1/1", 0, 0, "All time", "unchanged"],
            ],
            "Specials": [
                titles,
                [8613, "China mobile", "", 0.02, "2027-01-01", "2027-12-31", "1/1", 0, 0, "All time", ""],
            ],
        }
    )
