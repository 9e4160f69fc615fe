"""What a file is made of: encodings, delimiters, workbooks, and files that are none of these."""

import io
import struct
import zipfile
import zlib
from datetime import date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from rating.formats import native
from rating.formats.fields import FileContext
from rating.formats.reading import look_at, read_deck_file
from rating.formats.template import FileTemplate
from rating.formats.workbook_archive import HEAD_BYTES, head_of
from rating.formats.workbook_rows import CELL_MAX
from rating.formats.workbook_writing import deck_workbook
from tests.rating.deck_files import PAYLOADS
from tests.rating.workbooks import jerasoft_workbook, with_declared, with_replaced, workbook_of

NATIVE = (PAYLOADS / "native_basic.csv").read_bytes()
SHEET = "xl/worksheets/sheet1.xml"


def context(numbering="e164"):
    return FileContext(ZoneInfo("Asia/Shanghai"), numbering, frozenset({"CMCC"}))


def read(content, numbering="e164", **template):
    return read_deck_file(content, context(numbering), FileTemplate.from_json(template))


def sheet_of(*rows):
    return workbook_of({"rates": [("prefix", "destination", "rate"), *rows]})


def faults(file):
    return [tuple(error) for error in file.errors]


@pytest.mark.parametrize(
    ("codec", "encoding"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"), ("gbk", "gb18030"), ("gb18030", "gb18030"),
    ],
)  # fmt: skip
def test_an_encoding_is_found_and_changes_nothing(codec, encoding):
    look = look_at(NATIVE.decode().encode(codec), context("national"))

    assert (look.encoding, faults(look.file), len(look.file.rows)) == (encoding, [], 9)
    assert look.file.rows[2].terms.destination == "北京"


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (b"prefix,rate\n44,0.1\xff\n", "byte 18"),
        (b"\xef\xbb\xbfprefix,rate\n44,0.1\xff\n", "byte 21"),
        ("prefix,destination,rate\n225,Côte d'Ivoire,0.1\n".encode("latin-1"), "byte 29"),
        (b"prefix,rate\n44,0.1\n" * 100_000 + b"\xe4", "byte 1900000"),
        (b"prefix,rate\n44,0\x00.1\n" + b"44,1\n" * 10, "byte 16"),
    ],
)
def test_bytes_that_are_no_text_are_named_by_their_position(content, position):
    assert faults(read(content)) == [(0, "", position, "E_ENCODING")]


def test_an_encoding_can_be_told():
    content = "prefix,destination,rate\n225,Côte d'Ivoire,0.1\n".encode("cp1252")

    assert read(content, encoding="windows-1252").rows[0].terms.destination == "Côte d'Ivoire"
    assert faults(read(content, encoding="utf-8"))[0][3] == "E_ENCODING"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_delimiter_is_found_whatever_ends_the_lines(delimiter, line_end):
    rows = [("prefix", "destination", "rate"), ("44", '"UK, the; all|of it\tnow"', "0.1")]
    look = look_at(line_end.join(map(delimiter.join, rows)).encode(), context())

    assert (look.delimiter, faults(look.file)) == (delimiter, [])
    assert look.file.rows[0].terms.destination == "UK, the; all|of it\tnow"


def test_a_stray_quote_spoils_its_line_and_an_open_one_the_file():
    stray = read(b'prefix,destination,rate\n44,"UK" x,0.1\n45,Denmark,0.1\n')
    unclosed = read(b'prefix,destination,rate\n44,"UK,0.1\n45,Denmark,0.1\n46,Sweden,0.1\n')

    assert (faults(stray), [row.key for row in stray.rows]) == ([(2, "", "", "E_COLUMNS")], ["45"])
    assert (unclosed.is_unreadable, faults(unclosed)[0][0], faults(unclosed)[0][3]) == (True, 0, "E_COLUMNS")


def test_a_directive_below_the_header_comes_too_late():
    assert faults(read(b"prefix,rate\n44,0.1\n#!band night from=23:00\n45,0.1\n")) == [
        (3, "header", "#!band night from=23:00", "E_HEADER")
    ]


def test_a_header_is_looked_for_in_twenty_rows():
    assert not faults(read(b"title,\n" * 19 + b"prefix,rate\n44,0.1\n"))
    assert faults(read(b"title,\n" * 20 + b"prefix,rate\n44,0.1\n"))[0][3] == "E_HEADER"


def test_a_native_workbook_says_the_same_as_the_csv():
    file = read(NATIVE, "national")

    book = deck_workbook(file.head, bands=file.bands, rates=[row.terms for row in file.rows])
    look = look_at(book.read(), context("national"))
    rendered = "".join(
        native.render(look.file.head, bands=look.file.bands, rates=[row.terms for row in look.file.rows])
    )

    assert (look.kind, look.sheets, look.sheet, look.format) == ("xlsx", ("rates", "bands"), "rates", "native")
    assert (faults(look.file), rendered.encode()) == ([], NATIVE)


def test_a_faulty_sheet_of_bands_is_named():
    rates = [("#!deck currency=CNY",), ("prefix", "rate"), ("44", 0.1)]
    wrong = workbook_of({"rates": rates, "bands": [("name", "from"), ("peak", "25:00")]})
    unknown = workbook_of({"rates": rates, "bands": [("name", "colour"), ("peak", "red")]})

    assert faults(read(wrong)) == [(2, "header", "peak from=25:00", "E_BAND")]
    assert faults(read(unknown)) == [(1, "header", "name,colour", "E_BAND")]


def test_numbers_of_a_workbook_lose_nothing_and_gain_nothing():
    content = workbook_of(
        {
            "rates": [
                ("prefix", "rate", "connect_fee", "first_increment", "effective_from", "enabled"),
                ("0044", 0.1 + 0.2, 0.00001, 60, date(2027, 1, 1), True),
                (44, 0.0105, 0, 1.5, datetime(2027, 1, 1, 12, 30), False),  # noqa: DTZ001  a spreadsheet's wall clock
            ]
        }
    )
    one, two = (row.terms for row in read(content).rows)

    assert (one.prefix, str(one.rate), format(one.connect_fee, "f"), one.first_increment) == (
        "0044",
        "0.3",
        "0.00001",
        60,
    )
    assert (two.prefix, str(two.rate), str(two.first_increment), two.enabled) == ("44", "0.0105", "1.5", False)
    assert (one.effective_from.isoformat(), two.effective_from.isoformat()) == (
        "2027-01-01T00:00:00+08:00", "2027-01-01T12:30:00+08:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numbering", "prefix", "codes"),
    [
        ("e164", 8613, []), ("e164", 44.5, ["E_PREFIX_SCIENTIFIC"]), ("e164", 10**15, ["E_PREFIX_SCIENTIFIC"]),
        ("national", 10, ["E_PREFIX_SCIENTIFIC"]), ("national", "010", []), ("raw", 10, ["E_PREFIX_SCIENTIFIC"]),
    ],
)  # fmt: skip
def test_a_prefix_typed_as_a_number_may_have_lost_its_zeros(numbering, prefix, codes):
    assert [error.code for error in read(sheet_of((prefix, "x", 0.1)), numbering).errors] == codes


def test_errors_and_uncalculated_formulas_are_not_blank():
    formula = sheet_of(("44", "UK", "=B2*2"))
    error = with_replaced(
        sheet_of(("44", "UK", 0.125)), SHEET, b'<c r="C2" t="n"><v>0.125</v></c>',
        b'<c r="C2" t="e"><f>A1/0</f><v>#DIV/0!</v></c>',
    )  # fmt: skip
    calculated = with_replaced(formula, SHEET, b"<v />", b"<v>0.25</v>")

    assert faults(read(formula)) == [(2, "rate", "=B2*2", "E_NUMBER")]
    assert faults(read(error)) == [(2, "rate", "#DIV/0!", "E_NUMBER")]
    assert str(read(calculated).rows[0].terms.rate) == "0.25"


def test_a_sheet_can_be_chosen_and_the_others_are_named():
    file = read(jerasoft_workbook(), sheet="Specials", format="jerasoft")

    assert [row.key for row in file.rows] == ["8613"]
    assert [(one.column, one.code) for one in file.warnings] == [("Terms", "W_UNMAPPED"), ("A-Z", "W_UNMAPPED")]
    assert faults(read(jerasoft_workbook(), sheet="Nowhere")) == [(0, "header", "Nowhere", "E_HEADER")]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x1f\x8b\x08\x00abc", "gzip"),
        (b"PK\x03\x04" + bytes(range(256)), "workbook: File is not a zip file"),
        (b"\xd0\xcf\x11\xe0" + bytes(512), "workbook: "),
    ],
)
def test_other_kinds_of_files_are_refused_whatever_their_name(content, value):
    file = read_deck_file(content, context(), file_name="deck.xlsx")

    assert [(error.row, error.code) for error in file.errors] == [(0, "E_ENCODING")]
    assert file.errors[0].value.startswith(value)


def test_a_zip_that_is_no_workbook_or_has_a_dtd_is_refused():
    sheet = sheet_of(("44", "UK", 0.1))
    with_dtd = with_replaced(sheet, SHEET, b"<worksheet", b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet')
    broken = with_replaced(sheet, "xl/workbook.xml", b"<sheets>", b"<sheets><x>")

    assert faults(read(with_dtd)) == [(0, "", "DTD", "E_ENCODING")]
    assert [error.code for error in read(broken).errors] == ["E_ENCODING"]
    assert [error.code for error in read(sheet[: len(sheet) // 2]).errors] == ["E_ENCODING"]


def test_a_workbook_that_asks_for_too_much_is_refused():
    sheet = sheet_of(("44", "UK", 0.1))
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    sparse = with_replaced(sheet, SHEET, b"</sheetData>", far)
    bomb = with_replaced(sheet, SHEET, b"</sheetData>", b"</sheetData>" + b" " * 20_000_000)

    assert faults(read(sparse)) == [(0, "", "memory", "E_LIMIT")]
    assert faults(read(bomb))[0][2].endswith("bytes unpacked")
    assert faults(read(bomb))[0][3] == "E_LIMIT"


def test_a_workbook_that_lies_about_its_size_is_refused():
    spaces = 20_000_000
    bomb = with_replaced(sheet_of(("44", "UK", 0.1)), SHEET, b"</sheetData>", b"</sheetData>" + b" " * spaces)
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        size = archive.getinfo(SHEET).file_size
    assert size > spaces

    file = read(bomb.replace(struct.pack("<I", size), struct.pack("<I", 1000)))

    assert [(error.row, error.code) for error in file.errors] == [(0, "E_ENCODING")]


@pytest.mark.parametrize("rows_max", [None, 100])
def test_a_workbook_that_lies_about_size_and_sum_is_stopped_at_the_size_that_it_states(rows_max):
    sheet = sheet_of(("44", "UK", 0.1))
    bomb = with_replaced(sheet, SHEET, b"</sheetData>", b"</sheetData>" + b" " * 20_000_000)
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        begin = archive.read(SHEET)[:1001]
    lying = with_declared(bomb, SHEET, size=1000, crc=zlib.crc32(begin))

    look = look_at(lying, context(), rows_max=rows_max)

    assert (look.kind, faults(look.file)) == ("", [(0, "", f"{SHEET}: more than 1000 bytes unpacked", "E_LIMIT")])


def test_what_a_workbook_states_is_judged_before_anything_is_unpacked():
    half = 2**29
    book = with_member(sheet_of(("44", "UK", 0.1)), "xl/media/noise.bin", size=half // 50)  # so the ratio is harmless

    fitting, beyond = (faults(read(with_declared(book, SHEET, size=size))) for size in (half // 2, half))

    assert beyond == [(0, "", f"{half + unpacked(book) - unpacked(book, SHEET)} bytes unpacked", "E_LIMIT")]
    assert fitting == []


def with_member(content: bytes, name: str, *, size: int) -> bytes:
    """The workbook with one more part, of zeros that are not compressed."""
    target = io.BytesIO(content)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, bytes(size))
    return target.getvalue()


def unpacked(content: bytes, *names: str) -> int:
    """Bytes of these parts, or of all, as the directory says."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(one.file_size for one in archive.infolist() if not names or one.filename in names)


def test_of_a_long_sheet_the_look_reads_the_first_rows_alone():
    row = b'<row r="%d" ' + b" " * 900 + b'><c r="A%d"><v>%d</v></c><c r="C%d"><v>0.1</v></c></row>'
    more = b"".join(row % (number, number, 10_000 + number, number) for number in range(3, 6_000))
    book = with_replaced(sheet_of(("44", "UK", 0.1)), SHEET, b"</sheetData>", more + b"</sheetData>")

    head = head_of(book)
    look = look_at(book, context(), rows_max=2_000)

    assert unpacked(head, SHEET) <= HEAD_BYTES + 100 < unpacked(book, SHEET)
    assert unpacked(head) == unpacked(head, SHEET) + unpacked(book) - unpacked(book, SHEET)
    assert (look.kind, len(look.file.rows), [one.field for one in look.columns]) == (
        "xlsx", 2_000, ["prefix", "destination", "rate"],
    )  # fmt: skip


def test_a_huge_cell_is_cut_before_it_is_refused():
    file = read(sheet_of(("44", "U" * 5 * CELL_MAX, 0.1)))

    assert [(error.column, error.code, len(error.value)) for error in file.errors] == [("destination", "E_LIMIT", 200)]


@pytest.mark.parametrize("seed", range(20))
def test_no_content_makes_the_reader_fail(seed):
    noise = Random(seed).randbytes(400)
    middle = seed * len(NATIVE) // 20
    for content in (noise, NATIVE[:middle] + noise + NATIVE[middle:], NATIVE[:middle], b"prefix,rate\n" + noise):
        file = read(content, "national")
        assert file.is_unreadable or file.read == file.skipped + file.error + len(file.rows)


# The XLS files were written once with a library that the project does not need; a formula's result was set by hand.
def test_an_old_workbook_is_read_like_a_new_one():
    rows = read((PAYLOADS / "xls_good.xls").read_bytes()).rows

    assert [(row.key, str(row.terms.rate), row.terms.first_increment) for row in rows] == [
        ("44", "0.0105", 60), ("447", "0.3", 60), ("4479", "0.25", 1), ("49", "0.00001", 1),
    ]  # fmt: skip
    assert {row.terms.effective_from.isoformat() for row in rows} == {"2027-01-01T00:00:00+08:00"}
    assert rows[2].terms.destination == "UK 其他"


def test_errors_and_merged_cells_of_an_old_workbook_are_not_blank():
    file = read((PAYLOADS / "xls_cells.xls").read_bytes())

    assert faults(file) == [
        (4, "rate", "#N/A", "E_NUMBER"),
        (5, "rate", "", "E_BLANK_RATE"),
        (6, "connect_fee", "#DIV/0!", "E_NUMBER"),
        (8, "rate", "", "E_BLANK_RATE"),  # a formula that nobody calculated
        (9, "rate", "#DIV/0!", "E_NUMBER"),  # one that could not be
        (11, "prefix", "", "E_PREFIX"),  # below a merged prefix: no row of ours for all numbers
    ]
    assert [(row.row, row.key) for row in file.rows] == [(3, "44"), (10, "39")]


def test_prefixes_of_an_old_workbook_that_lost_their_zeros_are_errors():
    file = read((PAYLOADS / "xls_lost_zero.xls").read_bytes(), "national")

    assert faults(file) == [
        (2, "prefix", "10", "E_PREFIX_SCIENTIFIC"),
        (6, "effective_from", "01/02/2027", "E_DATE"),
        (7, "prefix", "8613000000000", "E_PREFIX_SCIENTIFIC"),
    ]
    assert [row.key for row in file.rows] == ["8610", "8621", "86571"]


@pytest.mark.parametrize("seed", range(4))
def test_a_spoiled_old_workbook_is_refused_or_read(seed):
    content = bytearray((PAYLOADS / "xls_cells.xls").read_bytes())
    random = Random(seed)
    for _time in range(20):
        content[random.randrange(8, len(content))] = random.randrange(256)

    file = read(bytes(content))

    assert file.is_unreadable or file.read == file.skipped + file.error + len(file.rows)


def test_a_prefix_under_a_merged_cell_of_a_new_workbook_is_no_blank_of_ours():
    merged = b'</sheetData><mergeCells count="1"><mergeCell ref="A2:A3"/></mergeCells>'
    sheet = with_replaced(
        workbook_of({"rates": [("prefix", "rate"), ("44", 0.1), ("", 0.2), ("49", 0.3)]}),
        SHEET,
        b"</sheetData>",
        merged,
    )

    assert faults(read(sheet)) == [(3, "prefix", "", "E_PREFIX")]
