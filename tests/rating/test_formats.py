"""Suppliers' files: each fixture gives the rows, the errors and the warnings that it must give, and no others."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rating.formats.fields import FileContext
from rating.formats.reading import FORMATS, look_at, read_deck_file
from rating.formats.template import AUTO, FileTemplate, TemplateRefused
from rating.formats.template import FORMATS as NAMES
from rating.terms import TierTerms
from tests.rating.deck_files import PAYLOADS
from tests.rating.workbooks import jerasoft_workbook

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
EXPECTED = json.loads((PAYLOADS / "expected.json").read_text())


def context(numbering="e164", **fields):
    return FileContext(SHANGHAI, numbering, frozenset({"CMCC"}), at=NOW, **fields)


def read(name, **template):
    options = EXPECTED[name]["template"] | template
    return read_deck_file(
        (PAYLOADS / name).read_bytes(), context(EXPECTED[name]["numbering"]), FileTemplate.from_json(options)
    )


def read_text(text, numbering="e164", **template):
    return read_deck_file(text.encode(), context(numbering), FileTemplate.from_json(template))


def prefixes(file):
    return [row.terms.prefix for row in file.rows]


def faults(file):
    return [tuple(error) for error in file.errors]


def test_every_fixture_has_its_expectation_and_every_format_a_fixture():
    files = {path.name for path in PAYLOADS.iterdir()} - {"expected.json"}

    assert files == EXPECTED.keys()
    assert {one["format"] for one in EXPECTED.values()} | {"jerasoft"} == FORMATS.keys() == set(NAMES)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_fixture_gives_what_is_expected(name):
    expected = EXPECTED[name]
    look = look_at(
        (PAYLOADS / name).read_bytes(), context(expected["numbering"]), FileTemplate.from_json(expected["template"])
    )
    file = look.file

    assert {
        "template": expected["template"],
        "numbering": expected["numbering"],
        "format": file.format,
        "encoding": look.encoding,
        "header_row": look.header_row,
        "currency": file.head.get("currency", ""),
        "read": file.read,
        "skipped": file.skipped,
        "rows": len(file.rows),
        "error": file.error,
        "errors": Counter(error.code for error in file.errors),
        "warnings": {one.column: f"{one.code} {one.value}" for one in file.warnings},
    } == expected
    assert file.is_unreadable or file.read == file.skipped + file.error + len(file.rows)
    assert len({row.terms.rate_id for row in file.rows}) == len(file.rows)


def test_each_faulty_row_is_named_by_row_column_value_and_code():
    assert faults(read("headers_faulty.csv")) == [
        (3, "prefix", "4.42E+05", "E_PREFIX_SCIENTIFIC"),
        (4, "prefix", "44.0", "E_PREFIX_SCIENTIFIC"),
        (5, "prefix", "44a", "E_PREFIX"),
        (6, "prefix", "+44", "E_PREFIX"),
        (7, "prefix", "^44.*", "E_PREFIX"),
        (8, "prefix", "", "E_PREFIX"),
        (9, "prefix", "25-20", "E_RANGE"),
        (10, "prefix", "2000000-2999999", "E_LIMIT"),
        (11, "rate", "", "E_BLANK_RATE"),
        (12, "rate", "-0.1", "E_NEGATIVE"),
        (13, "rate", "0,1", "E_NUMBER"),
        (14, "rate", "0.123456789", "E_DECIMALS"),
        (15, "rate", "1e-2", "E_NUMBER"),
        (16, "next_increment", "0", "E_INCREMENT"),
        (17, "effective_from", "01/02/2027", "E_DATE"),
        (18, "", "448,short row,0.1", "E_COLUMNS"),
        (19, "effective_from", "2026-01-31", "E_DATE_PAST"),
    ]


def test_what_a_refused_row_stands_on_is_known():
    assert {"441", "449"} <= read("headers_faulty.csv").unusable_keys
    assert "45" not in read("headers_faulty.csv").unusable_keys


def test_astpp_patterns_grace_and_status_are_read():
    file = read("astpp.csv")

    assert prefixes(file) == ["44", "447", "4479", "49"]
    assert [row.terms.enabled for row in file.rows] == [True, True, False, True]
    assert file.rows[1].terms.destination == "United Kingdom, mobile"
    assert (file.rows[1].terms.connect_fee, file.rows[1].terms.rate) == (Decimal("0.01"), Decimal("0.0234"))


def test_a2billing_cycles_become_tiers_and_minutes_of_the_week_bands():
    file = read("a2billing_complex.csv")
    belgium, france = (row.terms for row in file.rows[:2])

    assert (belgium.rate, belgium.cost_rate, belgium.first_increment, belgium.next_increment, belgium.tiers) == (
        Decimal("1.23"), Decimal("1.01"), 30, 6, ()
    )  # fmt: skip
    assert (france.rate, france.first_increment, france.next_increment) == (Decimal("1.34"), 60, 20)
    assert france.tiers == (
        TierTerms(Decimal(120), Decimal("1.2"), Decimal(10)),
        TierTerms(Decimal(180), Decimal("1.1"), Decimal(6)),
    )
    assert (france.connect_fee, france.min_charge) == (Decimal("0.22"), Decimal("0.5"))
    assert france.effective_from == datetime(2027, 1, 1, tzinfo=SHANGHAI)
    assert [(row.key, row.terms.band, row.row) for row in file.rows[2:]] == [
        ("34", "week-1-from0800", 4), ("34", "week-2-5", 4), ("34", "week-6-to2000", 4),
    ]  # fmt: skip
    assert [(band.weekdays, str(band.start), str(band.end)) for band in file.bands] == [
        ((1,), "08:00:00", "None"), ((2, 3, 4, 5), "None", "None"), ((6,), "None", "20:00:00"),
    ]  # fmt: skip


def test_a2billing_columns_without_names_are_believed_only_by_template():
    line = "44;UK;0.01;0.008\n"

    assert [error[3] for error in faults(read_text(line))] == ["E_HEADER"]
    assert read_text(line, format="a2billing").rows[0].terms.cost_rate == Decimal("0.008")


def test_kazoo_reads_its_grace_as_the_template_says_and_refuses_incoming_calls():
    file = read("kazoo.csv")

    assert [(row.key, row.terms.free_kind, row.terms.free_seconds) for row in file.rows] == [
        ("1", "", 0), ("1900", "free_if_shorter_than", 5),
    ]  # fmt: skip
    assert faults(file) == [(4, "direction", "inbound", "E_REF")]


def test_seconds_of_grace_are_never_guessed():
    file = read("kazoo.csv", grace="")

    assert file.is_unreadable
    assert faults(file)[0] == (0, "free_seconds", "5", "E_REF")


def test_yeti_prices_the_first_increment_apart_and_names_an_unknown_title():
    first = read("yeti.csv").rows[0].terms

    assert (first.first_rate, first.rate, first.first_increment, first.next_increment) == (
        Decimal("0.05"), Decimal("0.04"), 60, 1
    )  # fmt: skip
    assert faults(read("yeti_unknown_title.csv"))[0][2].startswith("Colour (valid: Prefix, Initial rate,")


def test_jerasoft_reads_all_its_sheets():
    file = read_deck_file(jerasoft_workbook(), context())

    assert [(row.row, row.key, str(row.terms.rate)) for row in file.rows] == [
        (3, "44", "0.0105"), (4, "447", "0.3"), (2, "8613", "0.02"),
    ]  # fmt: skip
    assert faults(file) == [(5, "rate", "=D3*2", "E_NUMBER")]
    assert [(one.column, one.value, one.code) for one in file.warnings] == [
        ("Src Code", "1", "W_UNMAPPED"), ("Terms", "2", "W_UNMAPPED"),
    ]  # fmt: skip
    assert {file.changes[row.terms.rate_id] for row in file.rows[:2]} == {"increase", "new"}
    assert file.rows[1].terms.effective_from == datetime(2027, 1, 1, tzinfo=SHANGHAI)
    assert (file.rows[0].terms.first_increment, file.rows[0].terms.next_increment) == (60, 1)


def test_lists_and_ranges_stand_behind_their_country():
    file = read("headers_titles.csv")

    assert prefixes(file) == ["4420", "44121", "447400", "447401", "447402", "447403", "1"]
    assert [row.row for row in file.rows] == [5, 5, 6, 6, 6, 6, 7]
    assert faults(file) == [(9, "prefix", "7410-741", "E_RANGE")]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("08-12", ["08", "09", "10", "11", "12"]),
        ("38, 39;401 - 402", ["38", "39", "401", "402"]),
        ("100000-109999", 10_000),
        ("100000-110000", "E_LIMIT"),
        ("38,,39", "E_RANGE"),
        ("4420-25", "E_RANGE"),
    ],
)
def test_a_cell_of_prefixes_is_expanded_or_refused(cell, expected):
    file = read_text(f'prefix,rate\n"{cell}",0.1\n')

    if isinstance(expected, str):
        assert [error[3] for error in faults(file)] == [expected]
    else:
        assert (prefixes(file) if isinstance(expected, list) else len(file.rows)) == expected


@pytest.mark.parametrize(
    ("title", "currency", "unit"),
    [
        ("Rate (USD/min)", "USD", 60), ("费率（元/分钟）", "CNY", 60), ("单价 元/秒", "CNY", 1), ("rate/min", "", 60),
        ("Price(per second)", "", 1), ("每分钟费率", "", 60), ("Cost / Min (EUR)", "EUR", 60),
    ],
)  # fmt: skip
def test_a_title_tells_unit_and_currency(title, currency, unit):
    file = read_text(f"Code,{title}\n44,0.1\n")

    assert (faults(file), file.head.get("currency", ""), file.rows[0].terms.rate_unit) == ([], currency, unit)


def test_a_rate_of_unknown_unit_is_refused_until_the_template_tells_it():
    assert faults(read_text("Code,Rate\n44,0.1\n")) == [(1, "header", "rate", "E_UNIT")]

    by_increment = read_text("Code,Rate,Increment\n44,0.1,6\n", rate_unit="increment").rows[0].terms
    assert (by_increment.rate_unit, by_increment.next_increment) == (6, 6)


def test_two_currencies_in_one_file_are_refused():
    file = read_text("Code,Rate/min,Currency\n44,0.1,USD\n45,0.1,EUR\n")

    assert (file.head["currency"], faults(file)) == ("USD", [(3, "currency", "EUR", "E_CURRENCY")])
    assert faults(read_text("Code,Rate/min (USD)\n44,0.1\n", currency="EUR"))[0][3] == "E_CURRENCY"


def test_two_columns_for_one_price_are_refused_until_the_template_chooses():
    text = "Code,Price,Rate/min\n44,0.2,0.1\n"

    assert faults(read_text(text)) == [(1, "header", "Price,Rate/min", "E_HEADER")]
    chosen = read_text(text, columns={"Rate/min": "rate", "Price": ""})
    assert (chosen.rows[0].terms.rate, [one.code for one in chosen.warnings]) == (Decimal("0.1"), ["W_COLUMN_IGNORED"])


def test_a_template_maps_titles_that_nobody_knows():
    text = "Vorwahl;Preis;Takt\n49;0,01;60/6\n"
    columns = {"Vorwahl": "prefix", "Preis": "rate", "Takt": "increments"}

    file = read_text(text, columns=columns, decimal_comma=True, rate_unit="minute")

    assert (faults(file), file.rows[0].terms.rate, file.rows[0].terms.next_increment) == ([], Decimal("0.01"), 6)


@pytest.mark.parametrize(
    ("layout", "cell", "expected"),
    [
        ("DD/MM/YYYY", "01/02/2027", "2027-02-01T00:00"),
        ("MM/DD/YYYY", "01/02/2027", "2027-01-02T00:00"),
        ("D-MMM-YY", "5-Mar-27", "2027-03-05T00:00"),
        ("YYYY.MM.DD hh:mm", "2027.03.05 12:30", "2027-03-05T12:30"),
        ("DD/MM/YYYY", "2027-02-01", "2027-02-01T00:00"),
        ("", "46388", "2027-01-01T00:00"),
        ("", "46388.5", "2027-01-01T12:00"),
        ("DD/MM/YYYY", "31/02/2027", None),
        ("", "01/02/2027", None),
        ("", "20270201", None),
    ],
)  # fmt: skip
def test_dates_are_iso_serials_or_of_the_templates_layout(layout, cell, expected):
    file = read_text(f"Code;Rate/min;Valid from\n44;0.1;{cell}\n", date_layout=layout)

    if expected is None:
        assert faults(file) == [(2, "effective_from", cell, "E_DATE")]
    else:
        assert file.rows[0].terms.effective_from == datetime.fromisoformat(expected).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("past_dates", "start", "corrections"),
    [("now", None, 0), ("correction", datetime(2026, 1, 31, tzinfo=SHANGHAI), 1)],
)
def test_a_date_that_has_passed_is_read_as_the_template_says(past_dates, start, corrections):
    file = read_text("Code,Rate/min,Valid from\n44,0.1,2026-01-31\n", past_dates=past_dates)

    assert (faults(file), file.rows[0].terms.effective_from, file.past_dates) == ([], start, corrections)


def test_a_native_file_may_say_again_what_has_been_in_force():
    file = read_text("prefix,rate,effective_from\n44,0.1,2026-01-31\n")

    assert (faults(file), file.rows[0].terms.effective_from) == ([], datetime(2026, 1, 31, tzinfo=SHANGHAI))
    assert (
        faults(read_text("prefix,rate,effective_from\n44,0.1,2026-01-31\n", past_dates="reject"))[0][3] == "E_DATE_PAST"
    )


def test_ten_thousand_errors_are_kept_and_all_are_counted():
    file = read_text("prefix,rate\n" + "44,-1\n" * 10_500)

    assert (len(file.errors), file.error, file.read, file.rows) == (10_000, 10_500, 10_500, [])


def test_a_look_shows_the_columns_with_their_first_and_worst_values():
    look = look_at((PAYLOADS / "headers_faulty.csv").read_bytes(), context())
    prefix, name, rate, _, date = look.columns

    assert (look.kind, look.encoding, look.delimiter, look.format, look.header_row) == (
        "text",
        "utf-8",
        ",",
        "headers",
        2,
    )
    assert (prefix.title, prefix.field, name.field, rate.field) == ("Prefix", "prefix", "destination", "rate")
    assert prefix.first == ("4.42E+05", "44.0", "44a", "+44", "^44.*")
    assert rate.worst == ("-0.1", "0,1", "0.123456789", "1e-2")
    assert date.worst == ("01/02/2027", "2026-01-31")


def test_a_look_at_a_file_without_a_known_header_offers_its_columns_to_be_mapped():
    look = look_at((PAYLOADS / "not_a_deck.csv").read_bytes(), context())

    assert [(one.title, one.field, one.first) for one in look.columns] == [
        ("name", "", ("Sample",)), ("phone", "", ("10000",)),
    ]  # fmt: skip
    assert look.file.is_unreadable


def test_a_template_survives_its_json():
    options = {
        "format": "headers", "encoding": "gb18030", "delimiter": ";", "sheet": "A-Z", "header_row": 3,
        "columns": {"Vorwahl": "prefix", "Farbe": ""}, "decimal_comma": True, "rate_unit": "second", "currency": "EUR",
        "date_layout": "DD/MM/YYYY", "past_dates": "now", "grace": "free_first_n", "strip": ["+", "00"],
        "patterns": True,
    }  # fmt: skip

    assert FileTemplate.from_json(json.loads(json.dumps(options))).to_json() == options
    assert (AUTO.to_json(), FileTemplate.from_json({})) == ({}, AUTO)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("colour", "red"), ("format", "xml"), ("encoding", "ascii"), ("delimiter", ";;"), ("header_row", 21),
        ("header_row", True), ("columns", {"x": "nothing"}), ("columns", ["prefix"]), ("decimal_comma", 1),
        ("currency", "usd"), ("date_layout", "YYYY-QQ-DD"), ("date_layout", "DD/DD/YYYY M"), ("strip", ["x"]),
        ("strip", "+"), ("strip", [["+"]]), ("past_dates", "ignore"), ("grace", "free"), ("format", None),
    ],
)  # fmt: skip
def test_a_template_with_an_unknown_key_or_value_is_refused_by_name(key, value):
    with pytest.raises(TemplateRefused) as refused:
        FileTemplate.from_json({key: value})
    assert refused.value.key == key
