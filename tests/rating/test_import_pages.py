"""S4: the import wizard: a file is received, mapped, checked, seen with all its differences, scheduled or discarded."""

import csv
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from openpyxl import load_workbook

from billing_platform import clock
from billing_platform.models import AuditEntry, Role
from rating import decks
from rating.formats import native
from rating.importing.imports import ImportOrder, preview_import
from rating.importing.jobs import check_import, receive_import
from rating.models import Deck, DeckImport, DeckVersion, ImportTemplate
from rating.versions import bands_of, export_head, exported_rates
from tests.rating.deck_files import ADMIN, PAYLOADS, csv_of, make_deck, publish
from tests.rating.test_rating_admin import log_in, log_in_again, text
from tests.rating.workbooks import jerasoft_workbook, with_declared, with_replaced, workbook_of

pytestmark = pytest.mark.django_db
EXPECTED = json.loads((PAYLOADS / "expected.json").read_text())
SHOWN = ("read", "raised", "lowered", "other", "same", "removed", "error", "skipped")


@pytest.fixture
def rita(client):
    """A rate administrator in the admin."""
    log_in(client, Role.RATE_ADMIN)
    return client


@pytest.fixture
def deck():
    return make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60", "13,0.10,60,60")


def upload(client, deck, content, *, name="deck.csv", mode="merge", sending="t", **fields):
    file = SimpleUploadedFile(name, content)
    return client.post(
        f"/admin/rating/deck/{deck.pk}/import/", {"file": file, "mode": mode, "sending": sending, **fields}
    )


def received(client, deck, content, **fields):
    """The import that an upload made; nothing has read it yet."""
    response = upload(client, deck, content, **fields)
    assert response.status_code == 302, text(response)
    story = DeckImport.objects.latest("pk")
    assert response.headers["Location"] == place(story, "map/")
    return story


def checked(client, deck, content, **fields):
    story = received(client, deck, content, **fields)
    check_import(story.pk)
    story.refresh_from_db()
    return story


def uploads():
    """The files that came through a door; decks of the tests are imported without one."""
    return DeckImport.objects.filter(job_id__isnull=False)


def place(story, page=""):
    return f"/admin/rating/deck/{story.deck_id}/import/{story.pk}/{page}"


def counts_on(page):
    return {name: int(count) for name, count in re.findall(r'data-testid="diff-([a-z-]+)" data-count="(\d+)"', page)}


def mapping_fields(response, **changes):
    """What a browser would send back of the mapping, with changes."""
    form = response.context["form"]
    sent = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in (sent | changes).items() if value not in (None, False)}


def live_rows():
    """A checksum of everything that prices calls."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT md5(string_agg(t, '|' ORDER BY t)) FROM ("
            " SELECT r::text AS t FROM rating_rate r JOIN rating_deckversion v"
            " ON v.deck_id = r.deck_id AND v.number = r.valid_from_version AND v.state = 'published'"
            " UNION ALL SELECT v::text FROM rating_deckversion v WHERE state = 'published') x"
        )
        return cursor.fetchone()[0]


def exported(version):
    return "".join(native.render(export_head(version), bands=bands_of(version), rates=exported_rates(version)))


def test_a_file_goes_through_the_wizard_and_no_price_moves_before_the_end(rita, deck):
    before = live_rows()
    content = csv_of("010,0.66,60,60", "021,0.27,60,60", "0571,0.30,60,30", "0755,0.40,60,60", "0769,,60,60")
    story = received(rita, deck, content, mode="replace", reason="spring")
    looked = rita.get(place(story, "map/"))
    assert 'data-testid="look-header" data-row="1"' in text(looked)

    on = rita.post(place(story, "map/"), mapping_fields(looked))
    assert (on.headers["Location"], uploads().count()) == (place(story), 1)
    waiting = text(rita.get(place(story)))
    assert 'data-testid="progress" data-state="received"' in waiting
    check_import(story.pk)

    page = text(rita.get(place(story)))
    assert counts_on(page) == {
        "read": 5, "new": 1, "raised": 1, "lowered": 1, "other": 1, "same": 0, "removed": 1, "error": 1, "skipped": 0,
        "below-cost": 0,
    }  # fmt: skip
    assert {"removed_rows", "error_rows"} <= set(re.findall(r'data-testid="rail-([a-z_]+)"', page))
    assert live_rows() == before

    unconfirmed = rita.post(place(story, "schedule/"), {"reason": "spring", "skip_errors": "on"})
    assert (unconfirmed.status_code, live_rows()) == (409, before)
    token = unconfirmed.context["token"]
    strict = rita.post(place(story, "schedule/"), {"reason": "spring", "confirm": token})
    assert (strict.status_code, live_rows()) == (422, before)
    done = rita.post(place(story, "schedule/"), {"reason": "spring", "confirm": token, "skip_errors": "on"})

    assert done.headers["Location"] == f"/admin/rating/deck/{deck.pk}/"
    version = decks.load_version("cn", 2)
    assert (version.state, version.reason, version.published_by, version.row_count) == (
        "published", "spring", "person:the-rate_admin", 4,
    )  # fmt: skip
    again = preview_import(ImportOrder("cn", exported(version).encode(), mode="replace"), caller=ADMIN)
    assert (again.counts["same"], again.counts["created"], again.counts["changed"], again.counts["removed"]) == (
        4, 0, 0, 0,
    )  # fmt: skip
    ended = text(rita.get(place(story)))
    assert 'data-state="applied"' in ended
    assert rita.get(place(story, "map/")).status_code == 302
    assert {"import.receive", "deck.publish"} <= set(AuditEntry.objects.values_list("act", flat=True))


@pytest.fixture
def autumn():
    """Of 2026: some of the files take effect next year."""
    clock.set_test_instant(datetime(2026, 11, 20, 4, tzinfo=UTC))
    yield
    clock.set_test_instant(None)


@pytest.mark.parametrize(
    "name",
    [
        "astpp.csv",
        "headers_decimal_comma.csv",
        "headers_faulty.csv",
        "headers_titles.csv",
        "kazoo.csv",
        "xls_cells.xls",
        "yeti.csv",
    ],
)
def test_the_counts_of_a_fixture_are_the_expected_ones(rita, autumn, name):
    expected = EXPECTED[name]
    deck = Deck.objects.create(
        code="cn", purpose="cost", currency=expected["currency"] or "CNY", numbering=expected["numbering"]
    )
    ImportTemplate.objects.create(code="supplier", options=expected["template"])
    before = live_rows()

    story = checked(rita, deck, (PAYLOADS / name).read_bytes(), name=name, template="supplier")
    page = rita.get(f"{place(story)}?tab=error")

    shown = counts_on(text(page))
    assert (shown["read"], shown["skipped"], shown["error"], shown["new"]) == (
        expected["read"], expected["skipped"], expected["error"], expected["rows"],
    )  # fmt: skip
    assert shown["read"] == sum(shown[one] for one in ("new", "raised", "lowered", "other", "same", "skipped", "error"))
    assert Counter(one["code"] for one in page.context["errors"].items) == expected["errors"]
    assert (live_rows(), story.state) == (before, "ready")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"%PDF-1.7 \x00\xff", "E_ENCODING"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "E_ENCODING"),
        (b"Dear customer\nplease find our prices below\n", "E_HEADER"),
        (b"PK\x03\x04 not a workbook", "E_ENCODING"),
    ],
)
def test_what_is_no_deck_file_is_refused_at_once(rita, deck, content, code):
    response = upload(rita, deck, content)

    assert (response.status_code, f'data-testid="refusal" data-code="{code}"' in text(response)) == (422, True)
    assert (uploads().exists(), AuditEntry.objects.filter(act="import.receive").exists()) == (False, False)


def test_a_workbook_that_unpacks_to_much_more_is_refused_at_once(rita, deck):
    book = workbook_of({"rates": [["prefix", "rate"], ["010", "0.66"]]})
    bomb = with_replaced(book, "xl/worksheets/sheet1.xml", b"</sheetData>", b"</sheetData>" + b" " * 20_000_000)

    response = upload(rita, deck, bomb, name="a-z.xlsx")

    assert (response.status_code, 'data-code="E_LIMIT"' in text(response), uploads().exists()) == (422, True, False)


def test_a_workbook_that_states_a_gigabyte_is_refused_before_it_is_unpacked(rita, deck):
    book = workbook_of({"rates": [["prefix", "rate"], ["010", "0.66"]]})

    response = upload(rita, deck, with_declared(book, "xl/worksheets/sheet1.xml", size=10**9), name="a-z.xlsx")

    assert (response.status_code, 'data-code="E_LIMIT"' in text(response), uploads().exists()) == (422, True, False)
    assert re.search(r"\b10000\d{5} bytes unpacked", text(response))


def test_a_file_beyond_the_limit_is_refused_at_once(rita, deck, monkeypatch):
    monkeypatch.setattr("rating.importing.forms.FILE_BYTES", 10)

    response = upload(rita, deck, csv_of("010,0.66,60,60"))

    assert (response.status_code, 'data-code="E_LIMIT"' in text(response)) == (422, True)
    assert not uploads().exists()


def test_the_mode_is_chosen_by_a_person(rita, deck):
    page = text(rita.get(f"/admin/rating/deck/{deck.pk}/import/"))
    assert len(re.findall(r'type="radio" name="mode"', page)) == 3
    assert "checked" not in page

    response = upload(rita, deck, csv_of("010,0.66,60,60"), mode="")

    assert (response.status_code, list(response.context["form"].errors)) == (422, ["mode"])


def test_a_form_sent_twice_is_one_import_and_two_people_get_two_drafts(client, deck):
    log_in(client, Role.RATE_ADMIN)
    mine = checked(client, deck, csv_of("010,0.61,60,60"), sending="a")
    upload(client, deck, csv_of("010,0.61,60,60"), sending="a")
    log_in(client, Role.PLATFORM_ADMIN)
    theirs = checked(client, deck, csv_of("010,0.62,60,60"), sending="b")
    assert (uploads().count(), mine.version.number, theirs.version.number) == (2, 2, 3)

    client.post(place(theirs, "schedule/"), {"reason": "first"})
    log_in_again(client, Role.RATE_ADMIN)
    late = client.post(place(mine, "schedule/"), {"reason": "second"})

    assert (late.status_code, "the-platform_admin" in text(late)) == (409, True)
    assert 'data-testid="outdated"' in text(client.get(place(mine)))
    compared = client.post(place(mine, "again/"))
    story = DeckImport.objects.latest("pk")
    assert compared.headers["Location"] == place(story)
    check_import(story.pk)
    mine.refresh_from_db()
    assert (mine.state, counts_on(text(client.get(place(story))))["lowered"]) == ("discarded", 1)


def test_another_mapping_is_another_import_of_the_same_file(rita, deck):
    content = b"Ziel;Vorwahl;Preis\nBeijing;010;0,66\nShanghai;021;0,33\n"
    story = checked(rita, deck, content)
    assert story.state == "refused"
    looked = rita.get(place(story, "map/"))
    assert [(one.title, one.field, one.first) for one in looked.context["form"]._columns] == [
        ("Ziel", "", "Beijing\nShanghai"), ("Vorwahl", "", "010\n021"), ("Preis", "", "0,66\n0,33"),
    ]  # fmt: skip
    assert 'data-testid="faults"' in text(looked)

    told = mapping_fields(
        looked, column_0="destination", column_1="prefix", column_2="rate", decimal_comma="on", rate_unit="minute",
        code="supplier-1", name="Supplier",
    )  # fmt: skip
    on = rita.post(place(story, "map/"), told)

    again = DeckImport.objects.latest("pk")
    assert (on.headers["Location"], again.sha256, again.template) == (place(again), story.sha256, "supplier-1")
    story.refresh_from_db()
    assert story.state == "discarded"
    check_import(again.pk)
    assert counts_on(text(rita.get(place(again))))["raised"] == 2
    kept = ImportTemplate.objects.get(code="supplier-1")
    assert kept.options == {
        "columns": {"Ziel": "destination", "Vorwahl": "prefix", "Preis": "rate"}, "decimal_comma": True,
        "rate_unit": "minute",
    }  # fmt: skip
    third = checked(rita, deck, content, sending="next", template="supplier-1")
    assert third.counts["raised"] == 2


def test_the_look_names_sheets_and_the_worst_values(rita, deck):
    look = rita.get(place(received(rita, deck, jerasoft_workbook(), name="a-z.xlsx"), "map/")).context["look"]
    assert (look.kind, look.sheets, look.sheet, look.format) == (
        "xlsx",
        ("Terms", "A-Z", "Specials"),
        "A-Z",
        "jerasoft",
    )

    rows = [f"0{area},0.1,60,60" for area in range(310, 380)] + [f"07{area},bad{area},60,60" for area in range(10, 20)]
    story = checked(rita, deck, csv_of(*rows), sending="2")
    rate = rita.get(place(story, "map/")).context["form"]._columns[1]
    assert (rate.field, rate.worst) == ("rate", "bad10\nbad11\nbad12\nbad13\nbad14")
    assert rate.first == "\n".join(["0.1"] * 5)


def test_a_wide_file_does_not_fill_the_page(rita, deck):
    titles = ["prefix", "rate", *[f"extra {number}" for number in range(300)]]
    cells = ["010", "0.66", *["x"] * 300]
    story = received(rita, deck, workbook_of({"wide": [titles, cells]}), name="wide.xlsx")

    page = text(rita.get(place(story, "map/")))

    assert page.count("<select") < 60
    assert len(re.findall(r"<[a-z]", page)) < 3000
    assert 'data-testid="hidden-columns"' in page


def test_tabs_show_the_largest_changes_first_page_by_page(rita):
    lines = [f"0{area},0.10,60,60" for area in range(310, 380)]
    deck = make_deck("cn", *lines)
    content = csv_of(*[f"0{area},{0.10 + (area - 309) / 1000:.3f},60,60" for area in range(310, 380)])
    story = checked(rita, deck, content)

    first = rita.get(f"{place(story)}?tab=dearer")
    rows = first.context["page"].items
    cursor = first.context["page"].next_cursor
    rest = rita.get(f"{place(story)}?tab=dearer&cursor={cursor}").context["page"]

    assert (len(rows), rows[0].row.prefix, rows[0].percent_text) == (50, "0379", "+70.00 %")
    assert (len(rest.items), rest.items[-1].row.prefix, rest.next_cursor) == (20, "0310", None)
    assert len(re.findall(r"<[a-z]", text(first))) < 3000
    assert rita.get(f"{place(story)}?tab=nonsense").status_code == 404
    assert rita.get(f"{place(story)}?tab=new&cursor={cursor}").status_code == 400


def test_errors_come_page_by_page_with_a_download(rita, deck):
    story = checked(rita, deck, csv_of(*[f"0{area},,60,60" for area in range(310, 380)]))

    first = rita.get(f"{place(story)}?tab=error")
    rest = rita.get(f"{place(story)}?tab=error&cursor={first.context['errors'].next_cursor}")

    assert (len(first.context["errors"].items), len(rest.context["errors"].items)) == (50, 20)
    assert rest.context["errors"].items[0]["row"] == 52
    link = re.search(r'href="([^"]+)" data-testid="errors-csv"', text(first))[1]
    assert rita.get(link).content.count(b"E_BLANK_RATE") == 70


def test_every_tab_is_downloaded_as_a_file(rita, deck):
    story = checked(rita, deck, csv_of("010,0.66,60,60", "021,0.15,60,60", "0755,0.20,60,60", "0571,=1+1,60,60"))

    def cells(tab):
        asked = {"tab": tab, "format": "csv"}
        lines = b"".join(rita.get(place(story), asked).streaming_content).decode("utf-8-sig").splitlines()
        return [row[0] for row in csv.reader(lines[2:])]

    assert {tab: cells(tab) for tab in ("new", "dearer", "cheaper", "removed", "same")} == {
        "new": ["0755"], "dearer": ["010"], "cheaper": ["021"], "removed": [], "same": ["13", "0571"],
    }  # fmt: skip
    page = text(rita.get(f"{place(story)}?tab=error"))
    link = re.search(r'href="([^"]+)" data-testid="errors-xlsx"', page)[1].replace("&amp;", "&")
    (sheet,) = load_workbook(io.BytesIO(b"".join(rita.get(link).streaming_content))).worksheets
    assert [row[:4] for row in sheet.iter_rows(values_only=True)] == [
        ("row", "column", "value", "code"), (5, "rate", "=1+1", "E_NUMBER"),
    ]  # fmt: skip
    assert rita.get(place(story), {"tab": "nonsense", "format": "csv"}).status_code == 404


def test_rows_below_cost_have_a_tab(rita):
    deck = make_deck("cn", "010,0.60,60,60")
    content = csv_of(
        "010,0.05,60,60,0.08", "021,0.20,60,60,0.08", columns="prefix,rate,first_increment,next_increment,cost_rate"
    )
    story = checked(rita, deck, content)

    page = rita.get(f"{place(story)}?tab=below_cost")

    assert counts_on(text(page))["below-cost"] == 1
    assert [one.row.prefix for one in page.context["page"].items] == ["010"]


def test_progress_is_told_to_who_asks(rita, deck):
    story = received(rita, deck, csv_of("010,0.66,60,60"))
    page = text(rita.get(place(story)))
    waiting = rita.get(place(story, "progress/")).json()
    check_import(story.pk)

    assert waiting == {"state": "received", "per_cent": 0, "ended": False, "interrupted": False, "rows": 0}
    assert rita.get(place(story, "progress/")).json() == {
        "state": "ready", "per_cent": 100, "ended": True, "interrupted": False, "rows": 0,
    }  # fmt: skip
    assert "manage.py deck_import --deck=cn --mode=merge deck.csv" in page


def test_a_file_without_a_difference_says_so(rita, deck):
    story = checked(rita, deck, csv_of("010,0.60,60,60"))

    page = text(rita.get(place(story)))

    assert ('data-testid="no-change"' in page, 'data-testid="schedule"' in page) == (True, False)
    assert rita.get(place(story, "schedule/")).status_code == 409


def test_discard_throws_file_and_draft_away(rita, deck):
    story = checked(rita, deck, csv_of("010,0.66,60,60"))

    done = rita.post(place(story, "discard/"))

    story.refresh_from_db()
    assert done.headers["Location"] == f"/admin/rating/deck/{deck.pk}/import/"
    assert (story.state, story.version.state, rita.get(place(story, "discard/")).status_code) == (
        "discarded", "discarded", 409,
    )  # fmt: skip


def test_many_rows_and_the_past_need_a_second_person(rita, deck, settings):
    settings.RATING_SECOND_PERSON_ROWS = 0
    story = checked(rita, deck, csv_of("010,0.66,60,60"))
    assert 'data-testid="second-person"' in text(rita.get(place(story, "schedule/")))

    rita.post(place(story, "schedule/"), {"reason": "spring"})

    story.refresh_from_db()
    assert (story.version.state, story.state) == ("proposed", "ready")
    page = text(rita.get(place(story)))
    assert ('data-testid="proposed"' in page, 'data-testid="discard"' in page) == (True, False)


def test_the_schedule_begins_with_the_files_date_or_the_next_midnight(rita, deck):
    columns = "Prefix,Rate per minute,Effective date"
    begins = clock.now().astimezone(tz=None).date() + timedelta(days=9)
    dated = checked(rita, deck, csv_of(f"010,0.66,{begins}", columns=columns), template="headers")
    plain = checked(rita, deck, csv_of("010,0.66,60,60"), sending="2")

    pages = [text(rita.get(place(story, "schedule/"))) for story in (dated, plain)]

    shown = [re.search(r'name="effective_from" value="([^"]+)"', page)[1] for page in pages]
    assert shown[0] == f"{begins}T00:00:00"
    assert shown[1].endswith("T00:00:00")


@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 200), (Role.FINANCE, 200), (Role.AGENT, 403)])
def test_readers_only_read(client, deck, role, status):
    ticket = receive_import(ImportOrder("cn", csv_of("010,0.66,60,60")), caller=ADMIN)
    check_import(ticket.import_id)
    story = DeckImport.objects.get(pk=ticket.import_id)
    log_in(client, role)

    pages = [f"/admin/rating/deck/{deck.pk}/import/", place(story), place(story, "map/"), place(story, "progress/")]
    assert [client.get(page).status_code for page in pages] == [status] * 4
    forged = [place(story, page) for page in ("map/", "again/", "schedule/", "discard/")]
    assert [client.post(page, {"reason": "x", "mode": "merge"}).status_code for page in forged] == [403] * 4
    assert upload(client, deck, csv_of("010,0.7,60,60")).status_code == 403
    assert (uploads().count(), DeckVersion.objects.filter(state="published").count()) == (1, 1)
    if status == 200:
        assert 'data-testid="upload-form"' not in text(client.get(pages[0]))


def test_an_import_of_another_deck_is_not_there(rita, deck):
    story = checked(rita, deck, csv_of("010,0.66,60,60"))
    other = make_deck("other", "010,0.60,60,60")

    assert rita.get(f"/admin/rating/deck/{other.pk}/import/{story.pk}/").status_code == 404
    assert rita.get(f"/admin/rating/deck/{deck.pk}/import/999999/").status_code == 404
    assert rita.get("/admin/rating/deck/999999/import/").status_code == 404


def test_hostile_names_and_cells_are_only_text(rita, deck):
    content = csv_of('010,"<script>alert(1)</script>",60,60', '"=HYPERLINK(1)",0.5,60,60')
    story = checked(rita, deck, content, name="<img src=x>.csv", reason="{{7*7}}")

    pages = "".join(text(rita.get(page)) for page in (place(story), f"{place(story)}?tab=error", place(story, "map/")))

    assert ("<script>alert" in pages, "<img src=x>" in pages, "=HYPERLINK(1)" in pages) == (False, False, True)


def test_the_decks_page_leads_to_the_wizard(rita, deck):
    publish("cn", "010,0.66,60,60")

    assert f'href="/admin/rating/deck/{deck.pk}/import/" data-testid="deck-import"' in text(
        rita.get(f"/admin/rating/deck/{deck.pk}/")
    )
