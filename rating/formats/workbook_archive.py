"""The archive that a workbook is, looked through before anything reads what is inside.

It may unpack to what its directory says and not a byte more, and its XML has no document type. `head_of` leaves of each
sheet only its first rows.
"""

import copy
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

RATIO_MAX = 100
UNPACKED_MAX = 512 * 1024 * 1024  # the reader needs more than twice as much, and has 600 MB
MEMBERS_MAX = 10_000
INDEX_BYTES = 8 * 1024 * 1024  # of the parts that name the sheets
HEAD_BYTES = 4 * 1024 * 1024  # of a sheet: some ten thousand rows
HEAD_UNPACKED_MAX = 64 * 1024 * 1024
WORKBOOK, RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_PIECE = 1 << 22
_ROW_END = re.compile(rb"</(\w+:)?row\s*>")
_BROKEN = (  # what reading an archive and its XML may raise
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, LookupError, SyntaxError, ValueError,
)  # fmt: skip


class ArchiveRefused(Exception):
    """The archive is none of a workbook (E_ENCODING), or asks for too much (E_LIMIT); `value` says what was found."""

    def __init__(self, code: str, value: str) -> None:
        super().__init__(f"{code}: {value}")
        self.code, self.value = code, value


def check_archive(content: bytes) -> dict[str, str]:
    """The worksheets' members by the sheets' names. Unpacks everything once, keeps nothing. Raises ArchiveRefused."""
    with _opened(content) as archive:
        for member in archive.infolist():
            for piece in pieces(archive, member, until=b">"):
                _check_xml(member, piece)
        return _sheet_members(archive)


def head_of(content: bytes) -> bytes:
    """The workbook with the first rows of its sheets and without pictures; unpacks 64 MiB at most.

    Raises ArchiveRefused.
    """
    target, size = BytesIO(), 0
    with _opened(content) as archive, zipfile.ZipFile(target, "w") as head:
        sheets = set(_sheet_members(archive).values())
        for member in archive.infolist():
            if member.filename not in sheets and not _is_xml(member):
                continue
            is_long = member.filename in sheets and member.file_size > HEAD_BYTES
            size += HEAD_BYTES if is_long else member.file_size
            if size > HEAD_UNPACKED_MAX:
                raise ArchiveRefused("E_LIMIT", f"{member.filename}: {member.file_size} bytes unpacked")
            part = _first_rows(archive, member) if is_long else b"".join(pieces(archive, member, until=b">"))
            _check_xml(member, part)
            head.writestr(member.filename, part)
    return target.getvalue()


def pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, until: bytes) -> Iterator[bytes]:
    """The member in pieces that end behind `until`, so that nothing of interest is cut in two.

    Raises ArchiveRefused at the first byte beyond what the directory says.
    """
    asked = copy.copy(member)
    asked.file_size += 1  # a reader that stops at the stated size never sees that there is more
    rest, size = b"", 0
    with archive.open(asked) as stream:
        while read := stream.read(_PIECE):
            size += len(read)
            if size > member.file_size:
                raise ArchiveRefused("E_LIMIT", f"{member.filename}: more than {member.file_size} bytes unpacked")
            whole, mark, rest = (rest + read).rpartition(until)
            yield whole + mark
    yield rest


@contextmanager
def _opened(content: bytes) -> Iterator[zipfile.ZipFile]:
    """The archive, once its directory asks for no more than it may. What is broken in it is refused."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            listed = archive.infolist()
            unpacked = sum(member.file_size for member in listed)
            if len(listed) > MEMBERS_MAX or unpacked > min(RATIO_MAX * len(content), UNPACKED_MAX):
                raise ArchiveRefused("E_LIMIT", f"{unpacked} bytes unpacked")
            if WORKBOOK not in archive.namelist():
                raise ArchiveRefused("E_ENCODING", "zip")
            yield archive
    except _BROKEN as bad:
        raise ArchiveRefused("E_ENCODING", f"workbook: {bad}") from bad


def _is_xml(member: zipfile.ZipInfo) -> bool:
    return member.filename.lower().endswith((".xml", ".rels"))


def _check_xml(member: zipfile.ZipInfo, piece: bytes) -> None:
    if _is_xml(member) and (b"<!DOCTYPE" in piece or b"<!ENTITY" in piece):
        raise ArchiveRefused("E_ENCODING", "DTD")


def _first_rows(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The sheet, ended behind the last whole row of its beginning."""
    with archive.open(member) as stream:
        begin = stream.read(HEAD_BYTES)
    ends = list(_ROW_END.finditer(begin))
    if not ends:
        raise ArchiveRefused("E_LIMIT", f"{member.filename}: a row of more than {HEAD_BYTES} bytes")
    name = ends[-1][1] or b""
    return begin[: ends[-1].end()] + b"</%bsheetData></%bworksheet>" % (name, name)


def _sheet_members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Which member of the archive each sheet is."""
    relations = {one.get("Id"): one.get("Target", "") for one in _parsed(archive, RELATIONS)}
    members = {}
    for sheet in _parsed(archive, WORKBOOK).iter():
        if sheet.tag.endswith("}sheet"):
            relation = next((value for key, value in sheet.attrib.items() if key.endswith("}id")), "")
            target = relations.get(relation, "")
            members[sheet.get("name", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return members


def _parsed(archive: zipfile.ZipFile, name: str) -> Element:
    """A small part of the workbook. Raises KeyError, SyntaxError or ValueError."""
    if archive.getinfo(name).file_size > INDEX_BYTES:
        raise ArchiveRefused("E_LIMIT", f"{name}: {archive.getinfo(name).file_size} bytes unpacked")
    root: Element = fromstring(archive.read(name), forbid_dtd=True)
    return root
