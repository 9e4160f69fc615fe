from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rating.formats import native
from rating.formats.fields import FileContext
from rating.formats.reading import read_deck_file
from rating.prefixes import PrefixRefused, read_prefix
from rating.terms import TierTerms
from tests.rating.deck_files import PAYLOADS, csv_of

CONTEXT = FileContext(ZoneInfo("Asia/Shanghai"), "national", frozenset({"CMCC"}))


def errors_of(line, columns="prefix,rate,first_increment,next_increment"):
    file = read_deck_file(csv_of(line, columns=columns), CONTEXT)
    return [(error.row, error.column, error.value, error.code) for error in file.errors]


def test_a_rendered_file_is_read_and_rendered_back_byte_for_byte():
    content = (PAYLOADS / "native_basic.csv").read_bytes()

    file = read_deck_file(content, CONTEXT)
    rendered = "".join(native.render(file.head, bands=file.bands, rates=[row.terms for row in file.rows]))

    assert (file.errors, file.read, len(file.rows)) == ([], 9, 9)
    assert rendered.encode() == content


def test_cells_become_terms_without_a_float():
    file = read_deck_file((PAYLOADS / "native_basic.csv").read_bytes(), CONTEXT)

    peak, mobile = file.rows[4].terms, file.rows[7].terms
    assert (file.rows[4].key, peak.rate, peak.connect_fee) == ("8621", Decimal("0.12"), Decimal("0.05"))
    assert peak.tiers == (TierTerms(Decimal(180), Decimal("0.1")), TierTerms(Decimal(600), Decimal("0.05"), Decimal(6)))
    assert (mobile.free_kind, mobile.free_seconds, mobile.carrier) == ("free_first_n", Decimal(10), "CMCC")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("4.42E+05,0.1,60,60", (2, "prefix", "4.42E+05", "E_PREFIX_SCIENTIFIC")),
        ("44.0,0.1,60,60", (2, "prefix", "44.0", "E_PREFIX_SCIENTIFIC")),
        ("+44,0.1,60,60", (2, "prefix", "+44", "E_PREFIX")),
        ("8,0.1,60,60", (2, "prefix", "8", "E_PREFIX_AMBIGUOUS")),
        ('010,"0,1",60,60', (2, "rate", "0,1", "E_NUMBER")),
        ("010,1e-2,60,60", (2, "rate", "1e-2", "E_NUMBER")),
        ("010,NaN,60,60", (2, "rate", "NaN", "E_NUMBER")),
        ("010,-0.1,60,60", (2, "rate", "-0.1", "E_NEGATIVE")),
        ("010,0.123456789,60,60", (2, "rate", "0.123456789", "E_DECIMALS")),
        ("010,1000000000,60,60", (2, "rate", "1000000000", "E_LIMIT")),
        ("010,,60,60", (2, "rate", "", "E_BLANK_RATE")),
        ("010,0.1,0,60", (2, "first_increment", "0", "E_INCREMENT")),
        ("010,0.1,60", (2, "", "010,0.1,60", "E_COLUMNS")),
    ],
)
def test_a_faulty_row_is_named_with_column_value_and_code(line, expected):
    assert errors_of(line) == [expected]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("carrier", "XXXX", "E_CARRIER"),
        ("band", "noon", "E_BAND"),
        ("tiers", "30:0.05", "E_TIER"),
        ("tiers", "180:0.05;90:0.04", "E_TIER"),
        ("rounding", "nearest", "E_ROUNDING"),
        ("decimals", "21", "E_ROUNDING"),
        ("cap_kind", "free", "E_CAP"),
        ("reach", "moon", "E_REF"),
        ("kind", "fax", "E_UNIT"),
        ("effective_from", "01/02/2026", "E_DATE"),
        ("effective_from", "20260102", "E_DATE"),
        ("free_seconds", "10", "E_REF"),
    ],
)
def test_a_faulty_optional_cell_is_named(column, value, code):
    assert [found[3] for found in errors_of(f"010,0.1,{value}", columns=f"prefix,rate,{column}")] == [code]


def test_words_for_blocked_make_a_blocked_row():
    file = read_deck_file(csv_of("0900,禁拨,60,60"), CONTEXT)

    assert (file.errors, file.rows[0].terms.blocked, file.rows[0].terms.rate) == ([], True, 0)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "E_HEADER"),
        (b"prefix,destination\n010,x\n", "E_HEADER"),
        (b"prefix,rate,rate\n010,1,1\n", "E_HEADER"),
        (b"prefix,rate\n010,0.1\xff\n", "E_ENCODING"),
        (b"#!deck colour=red\nprefix,rate\n010,1\n", "E_HEADER"),
        (b"#!band peak from=25:00\nprefix,rate\n010,1\n", "E_BAND"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_says_so(content, code):
    file = read_deck_file(content, CONTEXT)

    assert file.is_unreadable
    assert [error.code for error in file.errors] == [code]


def test_remarks_blank_lines_and_unknown_columns_are_counted_not_lost():
    file = read_deck_file(b"# ours\nprefix,rate,colour\n\n010,0.1,red\n", CONTEXT)

    assert (file.read, file.skipped, file.error, len(file.rows)) == (3, 2, 0, 1)
    assert [(warning.value, warning.code) for warning in file.warnings] == [("colour", "W_COLUMN_IGNORED")]


@pytest.mark.parametrize(
    ("text", "key", "reach"),
    [
        ("", "", ""), ("010", "8610", ""), ("0571", "86571", ""), ("13", "8613", ""), ("013", "8613", ""),
        ("400", "86400", ""), ("95", "86.95", ""), ("110", "86.110", ""), ("00852", "852", ""),
        ("00", "", "international"),
    ],
)  # fmt: skip
def test_national_prefixes_are_read_as_dialled(text, key, reach):
    assert read_prefix(text, numbering="national") == (key, reach)


@pytest.mark.parametrize("text", ["0", "01", "1", "4", "8", "9", "40", "86", "2"])
def test_ambiguous_national_prefixes_are_refused(text):
    with pytest.raises(PrefixRefused) as refused:
        read_prefix(text, numbering="national")
    assert refused.value.code == "E_PREFIX_AMBIGUOUS"


def test_raw_prefixes_are_any_text():
    assert read_prefix("+49 abc", numbering="raw").key == "+49 abc"
