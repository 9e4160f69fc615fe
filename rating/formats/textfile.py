"""Text files as tables: encoding and delimiter are found out, or taken from the template. CSV after RFC 4180."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from functools import partial

from rating.formats.table import HEAD_ROWS, TEXT, FileRefused, NumberedRow, OpenFile, Table
from rating.formats.template import DELIMITERS, FileTemplate

_PIECE = 1 << 20
_SAMPLE = 1 << 16
_CODECS = {
    "utf-8": "utf-8-sig",
    "utf-16": "utf-16",
    "gb18030": "gb18030",
    "gbk": "gbk",
    "windows-1252": "cp1252",
}
_OTHER_KINDS = {
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}


def open_text(content: bytes, template: FileTemplate) -> OpenFile:
    """The file's only table. Raises FileRefused E_ENCODING with the first byte that cannot be text."""
    kind = next((kind for magic, kind in _OTHER_KINDS.items() if content.startswith(magic)), None)
    if kind:
        raise FileRefused("E_ENCODING", kind)
    encoding, codec = _encoding(content, template.encoding)
    sample = codecs.getincrementaldecoder(codec)().decode(content[:_SAMPLE])
    delimiter = template.delimiter or _delimiter(sample)
    lines = content.count(b"\n")
    table = Table("", partial(_rows, content, codec, delimiter), delimiter=delimiter, lines=lines)
    return OpenFile(TEXT, (table,), encoding=encoding, delimiter=delimiter)


def _encoding(content: bytes, wanted: str) -> tuple[str, str]:
    """The encoding by its name for people, and the codec, which decodes the whole content."""
    utf_16 = _utf_16(content)
    if wanted:
        codec = (utf_16 or "utf-16-le") if wanted == "utf-16" else _CODECS[wanted]
        _check(content, codec)
        return wanted, codec
    if utf_16:
        _check(content, utf_16)
        return "utf-16", utf_16
    try:
        _check(content, "utf-8-sig")
    except FileRefused:
        if not _looks_chinese(content):
            raise
        _check(content, "gb18030")
        return "gb18030", "gb18030"
    return "utf-8", "utf-8-sig"


def _utf_16(content: bytes) -> str:
    """The codec of UTF-16 content: by its mark, or by the zeros beside plain letters; "" for other content."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = content[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 4 < max(len(head), 4) or min(even, odd):
        return ""
    return "utf-16-be" if even else "utf-16-le"


def _looks_chinese(content: bytes) -> bool:
    """Are the letters above ASCII mostly common Chinese characters?

    Almost any bytes decode as GB18030; a Western name with an accent must not turn into a rare character.
    """
    text = content[:_PIECE].decode("gb18030", errors="ignore")
    foreign = [letter for letter in text if letter > "\x7f"]
    return sum(map(_is_common, foreign)) * 2 > len(foreign)


def _is_common(letter: str) -> bool:
    try:
        letter.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _check(content: bytes, codec: str) -> None:
    """Decode everything once, in pieces. Raises FileRefused with the position of what cannot be text."""
    decoder = codecs.getincrementaldecoder(codec.removesuffix("-sig"))()
    for start in range(0, max(len(content), 1), _PIECE):
        pending = len(decoder.getstate()[0])
        piece = content[start : start + _PIECE]
        try:
            text = decoder.decode(piece, final=start + _PIECE >= len(content))
        except UnicodeDecodeError as undecodable:
            raise FileRefused("E_ENCODING", f"byte {start - pending + undecodable.start}") from undecodable
        if "\x00" in text:
            raise FileRefused("E_ENCODING", f"byte {start + piece.find(0)}")


def _delimiter(sample: str) -> str:
    """The delimiter that cuts most lines into the same number of cells, and into the most."""
    lines = [line for line in sample.splitlines()[:-1] or [sample] if line.strip() and not line.startswith("#")]

    def regularity(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(len(cells) for cells in csv.reader(lines[: 2 * HEAD_ROWS], delimiter=delimiter))
        except csv.Error:
            return 0, 0
        several = {width: rows for width, rows in widths.items() if width > 1}
        width, rows = max(several.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return rows, width

    return max(DELIMITERS, key=regularity)


def _rows(content: bytes, codec: str, delimiter: str) -> Iterator[NumberedRow]:
    text = io.TextIOWrapper(io.BytesIO(content), encoding=codec, newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num
        try:
            for cells in reader:
                line = reader.line_num
                yield line, cells
        except csv.Error as broken:
            # A stray quote spoils its own line. One that is never closed swallows lines that nobody would miss.
            if reader.line_num > line + 1:
                raise FileRefused("E_COLUMNS", f"row {line + 1}: {broken}") from broken
            yield reader.line_num, None
        else:
            return
