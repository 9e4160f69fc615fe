"""Who serves a number and where it is at home: shipped tables, rows entered later, ported numbers."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, Membership, Role
from rating import tariffs
from rating.errors import ImportRefused
from rating.models import Carrier, NumberSegment, SelectionPrefix
from rating.numbers import dialling
from rating.numbers.carriers import carrier_of, city_shown, place_of, segments_revision
from rating.numbers.number_tables import TABLES, rows_of
from rating.numbers.ported import PortedNumber, PortedNumbers
from rating.numbers.segment_imports import import_segments, preview_segments
from rating.segments import read_number
from tests.queries import Asked

NOON = datetime(2026, 10, 15, 4, tzinfo=UTC)
CALLER = Caller("command", "test")
KEY = "8613800138000"


def found(key, at=NOON):
    return carrier_of(key, at=at)[:2]


def segment(prefix, code, **more):
    more.setdefault("source", "by hand")
    row = NumberSegment.objects.create(prefix=prefix, carrier=Carrier.objects.get(code=code), **more)
    tariffs.refresh()
    return row


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("8613912345678", "CMCC"), ("8613012345678", "CUCC"), ("8613312345678", "CTCC"), ("8619212345678", "CBN"),
        ("8613491234567", "CTCC"), ("8613481234567", "CMCC"), ("8615412345678", "CMCC"), ("8615312345678", "CTCC"),
        ("8616112345678", "CBN"), ("8617041234567", "CUCC"), ("8617031234567", "CMCC"),
        ("8614912345678", "CTCC"), ("8616212345678", "CTCC"), ("8616512345678", "CMCC"), ("8617412345678", "CTCC"),
        ("86.10086", "CMCC"), ("86.10010", "CUCC"), ("86.10000", "CTCC"), ("86.10099", "CBN"),
    ],
)  # fmt: skip
def test_the_shipped_tables_know_every_block(key, code):
    assert found(key) == (code, "segment")


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["862160001234", "442079460123", "86.95588", "", ".8011", "861"])
def test_other_numbers_have_no_carrier(key):
    assert found(key) == ("", "unknown")


@pytest.mark.django_db
def test_what_the_library_lacks_is_believed_until_somebody_confirms_it():
    doubtful = NumberSegment.objects.filter(source="supplement", prefix__in=["86149", "86162", "86165"])

    assert list(doubtful.values_list("confidence", flat=True)) == ["low"] * 3
    assert NumberSegment.objects.filter(source="phonenumbers", confidence="high").count() == 64
    parents = dict(Carrier.objects.filter(parent__isnull=False).values_list("code", "parent__code"))
    assert parents == {"CMCC-V": "CMCC", "CUCC-V": "CUCC", "CTCC-V": "CTCC"}


@pytest.mark.django_db
def test_a_row_entered_later_goes_before_a_shipped_one_while_it_is_valid():
    segment("86138", "CUCC", valid_to=NOON + timedelta(hours=1))
    segment("86138001", "CTCC", valid_from=NOON, valid_to=NOON + timedelta(seconds=1))

    assert found(KEY, NOON - timedelta(seconds=1)) == ("CUCC", "segment")
    assert found(KEY) == ("CTCC", "segment")
    assert found("8613900138000") == ("CMCC", "segment")
    assert found(KEY, NOON + timedelta(seconds=1)) == ("CUCC", "segment")
    assert found(KEY, NOON + timedelta(hours=1)) == ("CMCC", "segment")


@pytest.mark.django_db
def test_very_short_and_very_long_prefixes_are_found_too():
    segment("44", "CBN")
    segment("4420794601", "CTCC")

    assert found("442079460123") == ("CTCC", "segment")
    assert found("441632960000") == ("CBN", "segment")


# --- where a number is at home ----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "area", "zh", "en"),
    [
        ("13000011234", "519", "江苏省常州市", "Changzhou, Jiangsu"), ("13001000000", "10", "北京市", "Beijing"),
        ("13800138000", "10", "北京市", "Beijing"), ("13800210000", "21", "上海市", "Shanghai"),
        ("021-60001234", "21", "上海市", "Shanghai"), ("0358 2345678", "358", "山西省吕梁市", "Luliang, Shanxi"),
        ("0571 96123", "571", "浙江省杭州市", "Hangzhou, Zhejiang"), ("10086", "", "", ""),
        ("+442079460123", "", "", ""), ("", "", "", ""),
    ],
)  # fmt: skip
def test_numbers_are_at_home_in_a_city(given, area, zh, en):
    assert place_of(read_number(given, dialling.at_home()), at=NOON) == (area, zh, en)


@pytest.mark.django_db
def test_the_admin_corrects_a_city_by_a_row():
    number = read_number("13001000000")
    segment("861300100", "CUCC", area="22", city_zh="天津市", city_en="Tianjin")

    place = place_of(number, at=NOON)

    assert place == ("22", "天津市", "Tianjin")
    with override("zh-hans"):
        assert city_shown(place) == "天津市"
    with override("en"):
        assert city_shown(place) == "Tianjin"
    assert place_of(read_number("13001010000"), at=NOON).city_zh != "天津市"


def test_the_shipped_tables_are_small_and_name_their_sources():
    assert sum(path.stat().st_size for path in TABLES.iterdir() if path.is_file()) < 400_000
    told = (TABLES / "SOURCES.txt").read_text()
    assert "Apache License 2.0" in told
    assert "phonenumbers 9." in told
    assert "chinesecalendar 1." in told
    areas = {row["code"] for row in rows_of("areas.csv")}
    assert {row["area"] for row in rows_of("cities.csv")} <= areas
    assert len(areas) == 320


# --- selection prefixes -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_selection_prefixes_are_a_table():
    before = read_number("17996 13800138000", dialling.anywhere())
    SelectionPrefix.objects.create(prefix="17996", name="IP")
    SelectionPrefix.objects.filter(prefix="17951").delete()
    tariffs.refresh()

    assert before.kind == "invalid"
    assert read_number("17996 13800138000", dialling.anywhere()).key == KEY
    assert read_number("17951 13800138000", dialling.at_home()).kind == "invalid"
    for wrong in ("", "0", "17a", "012593"):
        with pytest.raises(IntegrityError), transaction.atomic():
            SelectionPrefix.objects.create(prefix=wrong)


# --- ported numbers ---------------------------------------------------------------------------------------------------


def test_a_million_ported_numbers_take_at_most_20_megabytes():
    first = 8613000000000
    rows = (PortedNumber(str(first + 7 * place), "CUCC" if place % 2 else "CTCC", NOON) for place in range(1_000_000))

    ported = PortedNumbers(rows, carriers=["CMCC", "CTCC", "CUCC"])

    assert len(ported) == 1_000_000
    assert ported.size <= 20_000_000
    assert ported.find(str(first), NOON) == "CTCC"
    assert ported.find(str(first + 7), NOON) == "CUCC"
    assert ported.find(str(first + 7 * 999_999), NOON + timedelta(days=9999)) == "CUCC"
    assert ported.find(str(first + 7), NOON - timedelta(seconds=1)) == ""
    assert [ported.find(key, NOON) for key in (str(first + 1), "", "86.10086", str(first - 1), "9" * 15)] == [""] * 5


@pytest.mark.django_db
def test_a_ported_number_counts_in_its_periods_and_is_never_asked_for_by_itself():
    segment(KEY, "CUCC", source="ported", valid_from=NOON, valid_to=NOON + timedelta(days=30))
    segment(KEY, "CTCC", source="ported", valid_from=NOON + timedelta(days=10))

    days = [found(KEY, NOON + timedelta(days=day)) for day in (-1, 0, 9, 10, 31)]

    assert days == [
        ("CMCC", "segment"), ("CUCC", "ported"), ("CUCC", "ported"), ("CTCC", "ported"), ("CTCC", "ported"),
    ]  # fmt: skip
    with Asked() as queries:
        assert [found(f"86138001{place:05}") for place in range(500)] == [("CMCC", "segment")] * 500
    assert len(queries) == 0
    with pytest.raises(IntegrityError), transaction.atomic():
        segment("86138", "CUCC", source="ported")


@pytest.mark.django_db
def test_a_segment_more_does_not_read_the_ported_numbers_again():
    segment(KEY, "CUCC", source="ported")
    assert found(KEY) == ("CUCC", "ported")
    before = segments_revision()
    segment("861399", "CBN")

    with CaptureQueriesContext(connection) as queries:
        assert found("8613991234567") == ("CBN", "segment")

    assert segments_revision() > before
    assert not [query["sql"] for query in queries if "\"source\" = 'ported' ORDER BY" in query["sql"]]


# --- the import -------------------------------------------------------------------------------------------------------


def lines(*rows, header="number,carrier,valid_from,valid_to"):
    return "\n".join([header, *rows, ""]).splitlines(keepends=True)


FILE = lines(
    "138 0013 8000,CUCC,2026-10-01,",
    "+86-13900139000,CTCC,2026-10-01T00:00:00+08:00,2026-12-01",
    "# moved twice",
    "13900139000,CMCC,2026-12-01,",
    "02160001234,CUCC,,",
)


@pytest.mark.django_db(transaction=True)
def test_an_import_counts_first_and_writes_then():
    preview = preview_segments(FILE)
    assert (preview.read, preview.created, preview.changed, preview.same, preview.error) == (4, 4, 0, 0, 0)
    assert not NumberSegment.objects.filter(source="ported").exists()

    import_segments(FILE, caller=CALLER, file_name="ports.csv")
    tariffs.refresh()

    october = datetime(2026, 9, 30, 16, tzinfo=UTC)  # midnight in China
    assert found(KEY, october) == ("CUCC", "ported")
    assert found(KEY, october - timedelta(seconds=1)) == ("CMCC", "segment")
    assert found("8613900139000", NOON) == ("CTCC", "ported")
    assert found("8613900139000", NOON + timedelta(days=60)) == ("CMCC", "ported")
    assert found("862160001234") == ("CUCC", "ported")
    entry = AuditEntry.objects.get(act="numbersegment.import")
    assert (entry.reason, entry.after["created"]) == ("ports.csv", 4)
    again = import_segments(lines("13800138000,CTCC,2026-10-01,", *[row.strip() for row in FILE[2:]]), caller=CALLER)
    assert (again.read, again.created, again.changed, again.same, again.error) == (4, 0, 1, 3, 0)


BAD_ROWS = {
    "13800138000,XYZ,,": ("carrier", "E_CARRIER"),
    "1380013800,CMCC,,": ("number", "E_PREFIX"),
    "10086,CMCC,,": ("number", "E_PREFIX"),
    "60001234,CMCC,,": ("number", "E_PREFIX"),
    "13800138000,CMCC,2026-10-01T00:00:00,": ("valid_from", "E_DATE"),
    "13800138000,CMCC,01/02/2026,": ("valid_from", "E_DATE"),
    "13800138000,CMCC,2026-10-02,2026-10-02": ("valid_to", "E_DATE"),
    "13800138000,CMCC,": ("", "E_COLUMNS"),
    f"{'1' * 300},CMCC,,": ("number", "E_LIMIT"),
    "138\x000,CMCC,,": ("number", "E_LIMIT"),
}


@pytest.mark.django_db(transaction=True)
def test_rows_that_cannot_be_used_are_named_and_nothing_is_written():
    file = lines("13900139000,CTCC,,", "13900139000,CTCC,,", *BAD_ROWS)

    preview = preview_segments(file)

    assert (preview.read, preview.created, preview.error) == (2 + len(BAD_ROWS), 1, 1 + len(BAD_ROWS))
    told = {error.row: (error.column, error.code) for error in preview.errors}
    assert told == {3: ("number", "E_DUPLICATE"), **dict(enumerate(BAD_ROWS.values(), start=4))}
    with pytest.raises(ImportRefused):
        import_segments(file, caller=CALLER)
    assert not NumberSegment.objects.filter(source="ported").exists()
    assert import_segments(file, caller=CALLER, skip_errors=True).created == 1


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["number", "number,carrier,price", "number,number,carrier", "", "# nothing"])
def test_a_file_without_the_right_header_has_no_rows(header):
    counts = preview_segments(lines("13800138000,CMCC", header=header))

    assert [error.code for error in counts.errors] == ["E_HEADER"]
    assert counts.created == 0


@pytest.mark.django_db
def test_other_sources_bring_beginnings_of_keys_with_their_city():
    header = "number,carrier,kind,area,city_zh,city_en"
    file = lines("861300100,CUCC,,22,天津市,Tianjin", "86.10087,CMCC,short,,,", "86x,CMCC,,,,", header=header)

    counts = preview_segments(file, source="survey")

    assert (counts.created, [error.code for error in counts.errors]) == (2, ["E_PREFIX"])


@pytest.mark.django_db(transaction=True)
def test_ten_thousand_ported_numbers_by_the_command(tmp_path):
    path = tmp_path / "ports.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "carrier", "valid_from"])
        writer.writerows([f"139{place:08}", "CUCC", "2026-10-01"] for place in range(10_000))

    dry = run("segments_import", str(path))
    assert (dry["dry_run"], dry["counts"]["created"]) == (True, 10_000)
    assert not NumberSegment.objects.filter(source="ported").exists()
    assert run("segments_import", str(path), "--apply")["counts"]["created"] == 10_000
    tariffs.refresh()

    assert {found(f"86139{place:08}") for place in range(0, 10_000, 100)} == {("CUCC", "ported")}
    assert found("8613900010000") == ("CMCC", "segment")
    assert run("segments_import", str(path), "--apply")["counts"]["same"] == 10_000


@pytest.mark.django_db
def test_the_command_says_what_is_wrong(tmp_path):
    path = tmp_path / "ports.csv"
    path.write_text("number,carrier\n13800138000,XYZ\n")

    assert run("segments_import", str(path), exits=3)["errors"][0]["ref"] == "row 2 carrier"
    assert run("segments_import", str(tmp_path / "none.csv"), exits=2)["errors"][0]["code"] == "malformed"
    path.write_bytes("number,carrier\n13800138000,中国\n".encode("gb18030"))
    assert run("segments_import", str(path), exits=3)["errors"][0]["code"] == "E_ENCODING"


def run(*arguments, exits=0):
    out = io.StringIO()
    if exits:
        with pytest.raises(SystemExit) as ended:
            call_command(*arguments, "--format", "json", stdout=out, stderr=io.StringIO())
        assert ended.value.code == exits
    else:
        call_command(*arguments, "--format", "json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


# --- the admin --------------------------------------------------------------------------------------------------------


def log_in(client, role):
    person = get_user_model().objects.create(username=f"the-{role}", is_staff=True)
    Membership.objects.create(user=person, organization="demo", role=role)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")


@pytest.mark.django_db
def test_a_rate_administrator_corrects_the_tables_and_leaves_a_trace(client):
    log_in(client, Role.RATE_ADMIN)
    cucc = Carrier.objects.get(code="CUCC")
    row = {"prefix": "8613800", "carrier": cucc.pk, "kind": "mobile", "source": "by hand", "confidence": "high"}

    assert client.post("/admin/rating/numbersegment/add/", row).status_code == 302
    assert client.post("/admin/rating/selectionprefix/add/", {"prefix": "17996"}).status_code == 302
    virtual = {"code": "MVNO", "name_zh": "虚拟运营商", "parent": cucc.pk}
    assert client.post("/admin/rating/carrier/add/", virtual).status_code == 302
    tariffs.refresh()

    assert found(KEY) == ("CUCC", "segment")
    assert read_number("1799613800138000", dialling.anywhere()).key == KEY
    acts = AuditEntry.objects.values_list("act", flat=True)
    assert {"numbersegment.add", "selectionprefix.add", "carrier.add"} <= set(acts)
    ported = {**row, "source": "ported"}
    assert client.post("/admin/rating/numbersegment/add/", ported).status_code == 200  # not a whole number


@pytest.mark.django_db
def test_lists_count_no_table_and_are_for_those_who_may_see_them(client):
    log_in(client, Role.AUDITOR)
    for name in ("carrier", "numbersegment", "selectionprefix", "calendarday"):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/admin/rating/{name}/").status_code == 200
        counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and "LIMIT" not in query["sql"]]
        assert [sql for sql in counts if f"rating_{name}" in sql] == []
        assert client.get(f"/admin/rating/{name}/add/").status_code == 403
    assert "8613800" not in client.get("/admin/rating/numbersegment/?q=86139").content.decode()
    assert client.get("/admin/rating/numbersegment/?source=ported").status_code == 200
