import io
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from billing_platform import clock
from billing_platform.models import AuditEntry, Membership, Role
from rating import decks, tariffs
from rating.copies import revert_deck
from rating.importing.imports import ImportOrder, compare_versions, preview_import
from rating.models import Deck, DeckImport, DeckVersion, Rate, TimeBand
from rating.versions import rates_of
from tests.rating.deck_files import ADMIN, make_deck, publish

pytestmark = pytest.mark.django_db

ROW = {
    "prefix": "021", "destination": "上海", "enabled": "on", "rate": "0.25", "rate_unit": "60", "first_increment": "60",
    "next_increment": "6", "connect_fee": "0", "free_seconds": "0", "min_charge": "0",
}  # fmt: skip


def log_in(client, role):
    person = get_user_model().objects.create(username=f"the-{role}", is_staff=True)
    Membership.objects.create(user=person, organization="demo", role=role)
    log_in_again(client, role)


def log_in_again(client, role):
    person = get_user_model().objects.get(username=f"the-{role}")
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")


@pytest.fixture
def rita(client):
    """A rate administrator in the admin."""
    log_in(client, Role.RATE_ADMIN)
    return client


def draft_of(rita, code):
    deck = Deck.objects.get(code=code)
    response = rita.post(f"/admin/rating/deck/{deck.pk}/edit-rates/", {"reason": "spring"})
    draft = DeckVersion.objects.get(deck=deck, state="draft")
    assert response.headers["Location"] == f"/admin/rating/rate/?version={draft.pk}"
    return draft


def text(response):
    return response.content.decode()


def rate_page(rate, draft):
    return f"/admin/rating/rate/{rate.pk}/change/?_changelist_filters=version%3D{draft.pk}"


def content(version):
    return sorted(rates_of(version).values_list("prefix", "rate", "next_increment"))


def test_rates_are_edited_in_a_draft_and_published(rita):
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60")
    draft = draft_of(rita, "cn")
    shanghai, hangzhou = (rates_of(draft).get(prefix=prefix) for prefix in ("021", "0571"))

    changed = rita.post(rate_page(shanghai, draft), ROW)
    added = rita.post(f"/admin/rating/rate/add/?_changelist_filters=version%3D{draft.pk}", {**ROW, "prefix": "13"})
    deleted = rita.post(
        f"/admin/rating/rate/{hangzhou.pk}/delete/?_changelist_filters=version%3D{draft.pk}", {"post": "yes"}
    )

    assert [response.status_code for response in (changed, added, deleted)] == [302, 302, 302]
    assert content(draft) == [
        ("010", Decimal("0.6"), 60), ("021", Decimal("0.25"), 6), ("13", Decimal("0.25"), 6),
    ]  # fmt: skip
    assert content(decks.load_version("cn", 1))[2] == ("0571", Decimal("0.3"), 60)
    assert Rate.objects.get(pk=shanghai.pk).rate == Decimal("0.3")

    page = rita.get(f"/admin/rating/deckversion/{draft.pk}/publish/")
    assert [(name, count) for name, _, count in page.context["counts"]] == [
        ("created", 1), ("raised", 0), ("lowered", 1), ("other", 0), ("removed", 1), ("same", 1),
    ]  # fmt: skip
    unconfirmed = rita.post(f"/admin/rating/deckversion/{draft.pk}/publish/", {"reason": "spring"})
    assert (unconfirmed.status_code, [name for name, _ in unconfirmed.context["rails"]]) == (409, ["removed_rows"])
    token = unconfirmed.context["token"]
    rita.post(f"/admin/rating/deckversion/{draft.pk}/publish/", {"reason": "spring", "confirm": token})

    draft.refresh_from_db()
    assert (draft.state, draft.row_count, draft.published_by) == ("published", 3, "person:the-rate_admin")
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"deck.draft", "rate.change", "rate.add", "rate.delete", "deck.publish"} <= acts


def test_published_rates_are_only_seen(rita):
    make_deck("cn", "010,0.60,60,60")
    version = decks.load_version("cn", 1)
    rate = Rate.objects.get()

    seen = rita.get(rate_page(rate, version))
    posted = rita.post(rate_page(rate, version), ROW)
    deleted = rita.post(f"/admin/rating/rate/{rate.pk}/delete/", {"post": "yes"})

    added = rita.post(f"/admin/rating/rate/add/?version={version.pk}", {**ROW, "prefix": "13"})
    head = rita.post(f"/admin/rating/deckversion/{version.pk}/change/", {"row_count": "9"})
    again = rita.post(f"/admin/rating/deckversion/{version.pk}/publish/", {"reason": "again"})

    assert seen.status_code == 200
    assert [answer.status_code for answer in (posted, deleted, added, head, again)] == [409] * 5
    assert Rate.objects.get().rate == Decimal("0.6")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"prefix": "8"}, "prefix", "E_PREFIX_AMBIGUOUS"),
        ({"prefix": "010"}, "prefix", "E_DUPLICATE"),
        ({"tiers": "30:0.1"}, "tiers", "E_TIER"),
        ({"cap": "1"}, "cap_kind", "E_CAP"),
        ({"rate": "-1"}, "rate", "E_NEGATIVE"),
        ({"first_increment": "0"}, "first_increment", "E_INCREMENT"),
    ],
)
def test_a_faulty_rate_is_refused_by_the_rules_of_files(rita, change, field, code):
    make_deck("cn", "010,0.60,60,60")
    draft = draft_of(rita, "cn")

    response = rita.post(f"/admin/rating/rate/add/?_changelist_filters=version%3D{draft.pk}", {**ROW, **change})

    errors = response.context["adminform"].form.errors
    assert list(errors) == [field]
    assert code in errors[field][0]
    assert Rate.objects.count() == 1


def test_a_head_is_fixed_by_the_first_publish(rita):
    deck = make_deck("cn", "010,0.60,60,60")

    rita.post(f"/admin/rating/deck/{deck.pk}/change/", {
        "code": "other", "name_zh": "新", "purpose": "sell", "family": "cn", "currency": "USD", "notice_days": "0",
    })  # fmt: skip

    deck.refresh_from_db()
    assert (deck.code, deck.name_zh, deck.currency) == ("cn", "新", "CNY")


def test_a_refusal_is_shown_and_nothing_was_done(rita):
    make_deck("cn", "010,0.60,60,60")
    mine = draft_of(rita, "cn")
    publish("cn", "010,0.61,60,60")

    response = rita.post(f"/admin/rating/deckversion/{mine.pk}/publish/", {"reason": "late"})

    assert (response.status_code, response.context["first"].published_by) == (409, "person:rita")
    mine.refresh_from_db()
    assert mine.state == "draft"


def test_an_effective_time_in_the_past_is_refused_at_the_form(rita):
    make_deck("cn", "010,0.60,60,60")
    draft = draft_of(rita, "cn")

    response = rita.post(
        f"/admin/rating/deckversion/{draft.pk}/publish/", {"reason": "x", "effective_from": "2026-01-02T00:00"}
    )

    assert response.status_code == 422
    assert response.context["form"].non_field_errors()
    draft.refresh_from_db()
    assert draft.state == "draft"


def test_the_effective_time_is_on_the_decks_wall_clock(rita):
    make_deck("rome", "+39,0.10,60,60", zone="Europe/Rome", numbering="raw")
    draft = draft_of(rita, "rome")
    page = rita.get(f"/admin/rating/deckversion/{draft.pk}/publish/")

    rita.post(
        f"/admin/rating/deckversion/{draft.pk}/publish/", {"reason": "x", "effective_from": "2030-07-01T00:00:00"}
    )

    assert re.search(r'type="datetime-local" name="effective_from" value="20\d\d-\d\d-\d\dT00:00:00"', text(page))
    assert "Europe/Rome" in text(page)
    draft.refresh_from_db()
    assert draft.effective_from.isoformat() == "2030-06-30T22:00:00+00:00"


def test_withdraw_revert_and_discard_are_acts_of_the_version_page(rita):
    make_deck("cn", "010,0.60,60,60")
    scheduled = publish("cn", "010,0.61,60,60", effective_from=clock.now() + timedelta(hours=1)).version
    first = decks.load_version("cn", 1)
    draft = draft_of(rita, "cn")

    rita.post(f"/admin/rating/deckversion/{draft.pk}/discard/", {"reason": "no"})
    rita.post(f"/admin/rating/deckversion/{scheduled.version_id}/withdraw/", {"reason": "no"})
    rita.post(f"/admin/rating/deckversion/{first.pk}/revert/", {"reason": "back"})

    states = list(DeckVersion.objects.order_by("number").values_list("state", "content_hash"))
    assert states == [
        ("published", first.content_hash), ("withdrawn", scheduled.content_hash), ("discarded", ""),
        ("published", first.content_hash),
    ]  # fmt: skip


@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 200), (Role.FINANCE, 200), (Role.AGENT, 403)])
def test_who_may_look(client, role, status):
    log_in(client, role)
    make_deck("cn", "010,0.60,60,60")

    names = (
        "deck", "deckversion", "rate", "timeband", "deckimport", "calendarday", "carrier", "numbersegment",
        "tariffprofile",
    )  # fmt: skip
    pages = {name: client.get(reverse(f"admin:rating_{name}_changelist")).status_code for name in names}

    assert set(pages.values()) == {status}
    deck = Deck.objects.get()
    assert client.post(f"/admin/rating/deck/{deck.pk}/edit-rates/", {"reason": "x"}).status_code == 403
    assert not DeckVersion.objects.filter(state="draft").exists()


def test_the_list_of_rates_asks_few_queries_and_never_counts_all(rita, django_assert_max_num_queries):
    make_deck("cn", *[f"0{area},0.10,60,60" for area in range(310, 380)])
    version = decks.load_version("cn", 1)
    rita.get(f"/admin/rating/rate/?version={version.pk}")

    with django_assert_max_num_queries(14):
        page = rita.get(f"/admin/rating/rate/?version={version.pk}&q=031")

    assert page.context["cl"].result_count == 10
    tariffs.refresh()


def test_the_list_of_decks_says_what_is_live_and_what_comes_next(rita, django_assert_max_num_queries):
    for number in range(30):
        make_deck(f"deck-{number:02}", "010,0.60,60,60")
    begins = clock.now() + timedelta(days=2, hours=1)
    publish("deck-07", "021,0.10,60,60", effective_from=begins)
    rita.get("/admin/rating/deck/")

    with django_assert_max_num_queries(14):
        page = rita.get("/admin/rating/deck/")

    shown = {deck.code: deck for deck in page.context["cl"].result_list}
    assert len(shown) == 30
    assert (shown["deck-07"].live_number, shown["deck-07"].live_rows, shown["deck-07"].next_number) == (1, 1, 2)
    assert shown["deck-07"].next_from == begins
    assert shown["deck-08"].next_number is None
    assert f'href="/admin/rating/deck/{shown["deck-07"].pk}/"' in text(page)


def test_a_decks_page_shows_its_versions_and_their_acts(rita):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", name_zh="零售", name_en="Retail")
    publish("cn", "010,0.66,60,60", effective_from=clock.now() - timedelta(days=1), correction=True)
    publish("cn", "010,0.70,60,60", effective_from=clock.now() + timedelta(days=1))
    draft = draft_of(rita, "cn")

    page = rita.get(f"/admin/rating/deck/{deck.pk}/")

    assert [(line["version"].number, line["standing"]) for line in page.context["lines"]] == [
        (4, "draft"), (3, "scheduled"), (2, "live"), (1, "superseded"),
    ]  # fmt: skip
    acts = {line["version"].number: [act for act, *_ in line["acts"]] for line in page.context["lines"]}
    assert acts == {4: ["publish", "discard"], 3: ["withdraw"], 2: ["revert"], 1: ["revert"]}
    face = page.context["face"]
    assert (face.live.number, face.upcoming.number, face.latest.number) == (2, 3, 3)
    assert f"/admin/rating/deckversion/{draft.pk}/publish/" in text(page)
    english = rita.get(f"/admin/rating/deck/{deck.pk}/?lang=en")
    assert "Retail" in text(english)
    assert "零售" in text(page)


def test_the_timeline_is_read_in_pages(rita):
    deck = make_deck("cn", "010,0.60,60,60")
    for number in range(3):
        publish("cn", f"010,0.6{number + 1},60,60")

    first = rita.get(f"/admin/rating/deck/{deck.pk}/?limit=2")
    second = rita.get(f"/admin/rating/deck/{deck.pk}/", {"limit": 2, "cursor": first.context["older"]})

    numbers = [[line["version"].number for line in page.context["lines"]] for page in (first, second)]
    assert (numbers, second.context["older"]) == ([[4, 3], [2, 1]], None)
    assert rita.get(f"/admin/rating/deck/{deck.pk}/?cursor=forged").status_code == 400


def test_figures_are_those_of_the_latest_version(rita):
    columns = "prefix,rate,cost_rate"
    make_deck("cn", "010,0.60,0.50", "021,0.30,0.20", "0571,0.10,", "02,0.30,", columns=columns)
    version = publish("cn", "010,0.66,0.70", "021,0.27,0.20", columns=columns).version

    page = rita.get(f"/admin/rating/deckversion/{version.version_id}/figures/")
    figures = page.context["figures"]

    assert (figures.before, figures.changed, figures.average_text, figures.below_cost) == (1, 2, "0.00 %", 1)
    assert dict(figures.findings.counts) == {"L_BELOW_COST": 1}
    listed = rita.get(f"/admin/rating/deckversion/{version.version_id}/findings/?code=L_BELOW_COST")
    assert [(one.code, one.prefix) for one in listed.context["shown"]] == [("L_BELOW_COST", "010")]


def test_two_versions_compared_show_the_counts_of_deck_diff(rita):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60", "0755,0.30,60,60", "13,0.1,60,60")
    publish("cn", "010,0.66,60,60", "021,0.25,60,60", "0571,0.30,60,6", "15,0.1,60,60", "13,0.1,60,60", mode="replace")
    revert_deck("cn", to=1, publication=decks.Publication(), caller=ADMIN)

    for a, b in ((1, 2), (2, 1), (1, 3), (2, 3), (2, 2)):
        page = rita.get(f"/admin/rating/deck/{deck.pk}/compare/?a={a}&b={b}")
        counts = compare_versions(decks.load_version("cn", a), decks.load_version("cn", b))
        assert page.context["changes"].counts == {name: counts[name] for name in page.context["changes"].counts}
        for tab in ("raised", "lowered", "created", "removed", "other"):
            rows = rita.get(f"/admin/rating/deck/{deck.pk}/compare/?a={a}&b={b}&tab={tab}").context["rows"]
            assert len(rows) == counts[tab]

    page = rita.get(f"/admin/rating/deck/{deck.pk}/compare/?a=1&b=2")
    assert page.context["changes"].counts == {
        "raised": 1, "lowered": 1, "created": 1, "removed": 1, "other": 1, "same": 1,
    }  # fmt: skip
    (row,) = page.context["rows"]
    assert (row.row.prefix, row.before.rate, row.after.rate, row.percent_text) == (
        "010", Decimal("0.6"), Decimal("0.66"), "+10.00 %",
    )  # fmt: skip
    (other,) = rita.get(f"/admin/rating/deck/{deck.pk}/compare/?a=1&b=2&tab=other").context["rows"]
    assert [(old, new) for _, old, new in other.fields] == [("60", "6")]
    for wrong in ("a=1&b=9", "a=1", "a=x&b=2", "a=1&b=2&tab=none"):
        assert rita.get(f"/admin/rating/deck/{deck.pk}/compare/?{wrong}").status_code == 404


def test_differences_are_read_in_pages(rita):
    deck = make_deck("cn", *(f"0{area},0.10,60,60" for area in range(310, 320)))
    publish("cn", *(f"0{area},0.11,60,60" for area in range(310, 320)))
    address = f"/admin/rating/deck/{deck.pk}/compare/"

    seen, query = [], "?a=1&b=2&limit=4"
    while query:
        page = rita.get(address + query)
        seen.append([row.row.prefix for row in page.context["rows"]])
        query = page.context["more"] and page.context["more"] + "&limit=4"

    assert [len(part) for part in seen] == [4, 4, 2]
    assert [prefix for part in seen for prefix in part] == [f"0{area}" for area in range(310, 320)]


def test_the_file_of_a_version_is_that_of_the_command(rita):
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    version = decks.load_version("cn", 1)
    out = io.StringIO()
    call_command("deck_export", "cn", stdout=out)

    file = rita.get(f"/admin/rating/deckversion/{version.pk}/export/")

    assert b"".join(file.streaming_content).decode() == out.getvalue()
    assert file.headers["Content-Disposition"] == 'attachment; filename="cn-v1.csv"'


def sheet_of(response):
    """The cells of the first sheet of a workbook that was sent."""
    book = load_workbook(io.BytesIO(b"".join(response.streaming_content)))
    return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]


def test_a_version_is_downloaded_as_a_workbook_that_imports_without_a_change(rita):
    columns = "prefix,destination,rate,first_increment,next_increment,cost_rate"
    make_deck("cn", "010,=1+1 <上海>,0.1234,60,6,12345678.12345678", "95,short,0.30,60,60,0.1", columns=columns)
    page = f"/admin/rating/deckversion/{decks.load_version('cn', 1).pk}/export/"

    sent = b"".join(rita.get(page, {"format": "xlsx"}).streaming_content)
    head, titles, row, _short = load_workbook(io.BytesIO(sent)).worksheets[0].iter_rows(values_only=True)
    cells = dict(zip(titles, row, strict=True))

    assert head[0] == "#!deck currency=CNY zone=Asia/Shanghai numbering=national rounding=half_up decimals=4"
    assert {name: cell for name, cell in cells.items() if cell is not None} == {
        "prefix": "010", "destination": "=1+1 <上海>", "rate": 0.1234, "rate_unit": 60, "first_increment": 60,
        "next_increment": 6, "cost_rate": "12345678.12345678",  # more than 15 digits stay text
    }  # fmt: skip
    assert preview_import(ImportOrder("cn", sent, mode="replace"), caller=ADMIN).counts["same"] == 2
    assert rita.get(page, {"format": "pdf"}).status_code == 400


def test_the_differences_of_two_versions_are_downloaded_with_zone_and_filter(rita):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    publish("cn", "010,0.61,60,60", "021,0.45,60,60")
    asked = {"a": 1, "b": 2, "tab": "raised", "lang": "en"}
    page = f"/admin/rating/deck/{deck.pk}/compare/"

    text_file = b"".join(rita.get(page, {**asked, "format": "csv"}).streaming_content).decode()
    book = rita.get(page, {**asked, "format": "xlsx"})

    assert text_file.splitlines() == [
        "\ufeffcn,v1 → v2,dearer,CNY,Asia/Shanghai",
        "prefix,destination,carrier,time band,before,after,per seconds,%,supplier's rate",
        "021,,,,0.3,0.45,60,50,",
        "010,,,,0.6,0.61,60,1.67,",
    ]
    assert book.headers["Content-Disposition"] == 'attachment; filename="cn-v1-v2-raised.xlsx"'
    assert sheet_of(book)[2] == ["021", None, None, None, 0.3, 0.45, 60, 50, None]
    assert 'tab=raised&amp;format=xlsx" data-testid="differences-xlsx"' in text(rita.get(page, asked))


def test_five_per_cent_more_by_form(rita):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "13,0.10,60,60", "00852,1,60,60")
    address = f"/admin/rating/deck/{deck.pk}/edit/"
    asked = {"begins": "02", "step": "percent", "amount": "5"}

    shown = rita.get(address, asked)
    assert [(name, count) for name, _, count in shown.context["counts"]] == [
        ("matched", 1), ("raised", 1), ("lowered", 0), ("other", 0), ("same", 0),
    ]  # fmt: skip
    assert not DeckVersion.objects.filter(state="draft").exists()
    made = rita.post(address, {**asked, "base": shown.context["shown"].base, "reason": "spring"})

    draft = DeckVersion.objects.get(state="draft")
    assert made.headers["Location"] == f"/admin/rating/deckversion/{draft.pk}/publish/"
    assert rates_of(draft).get(prefix="021").rate == Decimal("0.315")
    assert draft.reason == "spring"
    page = rita.get(made.headers["Location"])
    assert {name: count for name, _, count in page.context["counts"] if count} == {"raised": 1, "same": 3}


@pytest.mark.parametrize(
    ("asked", "status", "found"),
    [
        ({"step": "add", "amount": "-0.5"}, 422, "E_NEGATIVE"),
        ({"step": "percent", "amount": "0.00000001"}, 422, "E_DECIMALS"),
        ({"step": "keep"}, 422, "nothing_changes"),
        ({"begins": "99", "step": "percent", "amount": "5"}, 422, "nothing_changes"),
        ({"step": "percent"}, 200, "errorlist"),
        ({"step": "percent", "amount": "NaN"}, 200, "errorlist"),
        ({"step": "drop", "amount": "1"}, 200, "errorlist"),
        ({"step": "keep", "new_band": "none-such"}, 200, "errorlist"),
    ],
)
def test_a_faulty_bulk_edit_is_explained_and_makes_nothing(rita, asked, status, found):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    address = f"/admin/rating/deck/{deck.pk}/edit/"

    shown = rita.get(address, asked)
    posted = rita.post(address, {**asked, "base": "1"})

    assert (shown.status_code, posted.status_code) == (status, 422)
    assert found in text(shown)
    assert DeckVersion.objects.count() == 1


def test_the_second_of_two_bulk_edits_meets_a_conflict_that_names_the_first(rita):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    asked = {"step": "percent", "amount": "5", "base": "1"}
    mine = rita.post(f"/admin/rating/deck/{deck.pk}/edit/", asked).headers["Location"]
    publish("cn", "021,0.33,60,60")

    late_edit = rita.post(f"/admin/rating/deck/{deck.pk}/edit/", asked)
    late_publish = rita.post(mine, {"reason": "late"})

    for answer in (late_edit, late_publish):
        assert answer.status_code == 409
        assert answer.context["who"] == "rita"
        assert f"/admin/rating/deck/{deck.pk}/compare/?a=1&amp;b=3" in text(answer)
    assert decks.latest_version(deck).number == 3


@pytest.mark.parametrize(("role", "seen"), [(Role.AUDITOR, 200), (Role.FINANCE, 200), (Role.SUPERVISOR, 403)])
def test_without_the_right_to_write_there_are_no_buttons(client, role, seen):
    log_in(client, role)
    deck = make_deck("cn", "010,0.60,60,60")
    publish("cn", "010,0.61,60,60", effective_from=clock.now() + timedelta(hours=1))
    draft = decks.open_draft(deck, caller=ADMIN)
    version = decks.load_version("cn", 2)

    pages = {
        address: client.get(f"/admin/rating/{address}").status_code
        for address in (
            f"deck/{deck.pk}/", f"deck/{deck.pk}/compare/?a=1&b=2", f"deckversion/{version.pk}/findings/",
            f"deckversion/{version.pk}/figures/", f"deckversion/{version.pk}/export/",
        )
    }  # fmt: skip
    acts = [
        client.post(f"/admin/rating/deckversion/{version.pk}/withdraw/", {"reason": "x"}).status_code,
        client.post(f"/admin/rating/deckversion/{draft.pk}/publish/", {"reason": "x"}).status_code,
        client.get(f"/admin/rating/deck/{deck.pk}/edit/").status_code,
        client.post(f"/admin/rating/deck/{deck.pk}/edit/", {"step": "percent", "amount": "5", "base": "2"}).status_code,
    ]

    assert set(pages.values()) == {seen}
    assert acts == [403] * 4
    if seen == 200:
        page = text(client.get(f"/admin/rating/deck/{deck.pk}/"))
        assert "/withdraw/" not in page
        assert "/publish/" not in page
        assert "/edit/" not in page
    assert DeckVersion.objects.filter(state="draft").count() == 1


def test_every_act_on_a_deck_leaves_an_audit_row(rita):
    deck = make_deck("cn", "010,0.60,60,60")
    begins = (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")

    location = rita.post(
        f"/admin/rating/deck/{deck.pk}/edit/", {"step": "percent", "amount": "5", "base": "1", "reason": "r"}
    ).headers["Location"]
    rita.post(location, {"reason": "r", "effective_from": begins})
    version = decks.load_version("cn", 2)
    rita.post(f"/admin/rating/deckversion/{version.pk}/withdraw/", {"reason": "r"})
    rita.post(f"/admin/rating/deckversion/{version.pk}/revert/", {"reason": "r", "effective_from": begins})
    draft = draft_of(rita, "cn")
    rita.post(f"/admin/rating/deckversion/{draft.pk}/discard/", {"reason": "r"})
    rita.post(f"/admin/rating/deck/{deck.pk}/change/", {"name_zh": "新", "purpose": "sell", "family": "cn",
        "notice_days": "0"})  # fmt: skip

    acts = list(AuditEntry.objects.filter(actor="person:the-rate_admin").order_by("pk").values_list("act", flat=True))
    assert acts == [
        "deck.draft", "deck.edit", "deck.publish", "deck.withdraw", "deck.draft", "deck.publish", "deck.draft",
        "deck.discard", "deck.change",
    ]  # fmt: skip


def test_a_large_change_waits_for_a_second_person(client, settings):
    settings.RATING_SECOND_PERSON_ROWS = 1
    log_in(client, Role.RATE_ADMIN)
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    begins = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT00:00:00")  # ahead in every zone
    location = client.post(
        f"/admin/rating/deck/{deck.pk}/edit/", {"step": "percent", "amount": "5", "base": "1", "reason": "r"}
    ).headers["Location"]
    assert client.get(location).context["second_person"]
    client.post(location, {"reason": "r", "effective_from": begins})
    proposed = decks.load_version("cn", 2)
    approve, decline = (f"/admin/rating/deckversion/{proposed.pk}/{act}/" for act in ("approve", "decline"))

    own = client.get(approve)
    refused = client.post(approve)
    log_in(client, Role.AUDITOR)
    auditor = client.post(approve)
    log_in(client, Role.FINANCE)
    client.post(decline, {"reason": "why?"})
    declined = decks.load_version("cn", 2).state
    log_in_again(client, Role.RATE_ADMIN)
    client.post(location, {"reason": "because", "effective_from": begins})
    log_in_again(client, Role.FINANCE)
    shown = client.get(approve)
    client.post(approve)

    assert (proposed.state, own.context["own"], refused.status_code, auditor.status_code) == (
        "proposed", True, 403, 403,
    )  # fmt: skip
    assert (declined, shown.context["own"]) == ("draft", False)
    version = decks.load_version("cn", 2)
    assert (version.state, version.proposed_by, version.published_by) == (
        "published", "person:the-rate_admin", "person:the-finance",
    )  # fmt: skip
    assert client.post(approve).status_code == 409


def test_a_clone_is_a_draft_with_the_same_rows(rita):
    deck = make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", currency="USD")

    made = rita.post(f"/admin/rating/deck/{deck.pk}/clone/", {"code": "cn-copy"})
    taken = rita.post(f"/admin/rating/deck/{deck.pk}/clone/", {"code": "cn"})

    copy = Deck.objects.get(code="cn-copy")
    draft = DeckVersion.objects.get(deck=copy)
    assert made.headers["Location"] == f"/admin/rating/deck/{copy.pk}/"
    assert (copy.currency, draft.state, content(draft)) == ("USD", "draft", content(decks.load_version("cn", 1)))
    assert taken.status_code == 409
    assert Deck.objects.count() == 2


def test_the_list_of_rates_is_read_by_an_index(rita):
    make_deck("cn", *[f"0{area},0.10,60,60" for area in range(310, 380)])
    version = decks.load_version("cn", 1)

    with connection.cursor() as cursor, CaptureQueriesContext(connection) as asked:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")  # whatever the planner knows of the rows by now
        page = rita.get(f"/admin/rating/rate/?version={version.pk}&q=03")
        (listing,) = (one["sql"] for one in asked if one["sql"].endswith("LIMIT 50"))
        cursor.execute(f"EXPLAIN {listing}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert page.context["cl"].result_count == 70
    assert "Index Scan using rate_by_key" in plan


@pytest.mark.parametrize(("asked", "found"), [("021", 1), ("8621", 1), ("86", 2), ("shang", 1), ("hai", 0), ("%", 0)])
def test_rates_are_found_by_how_they_begin(rita, asked, found):
    make_deck("cn", "010,Beijing,0.6", "021,Shanghai,0.3", "00852,Hong Kong,1", columns="prefix,destination,rate")
    version = decks.load_version("cn", 1)

    page = rita.get("/admin/rating/rate/", {"version": version.pk, "q": asked})

    assert page.context["cl"].result_count == found


def test_nothing_with_money_in_it_can_be_deleted(rita):
    deck = make_deck("cn", "010,0.60,60,60")
    version = decks.load_version("cn", 1)
    receipt = DeckImport.objects.get()

    answers = [
        rita.post(f"/admin/rating/{path}/delete/", {"post": "yes"}).status_code
        for path in (f"deck/{deck.pk}", f"deckversion/{version.pk}", f"deckimport/{receipt.pk}")
    ]

    assert answers == [403, 403, 403]
    assert (Deck.objects.count(), DeckVersion.objects.count(), DeckImport.objects.count()) == (1, 1, 1)


def test_bands_of_published_versions_are_only_seen(rita):
    make_deck("cn", "#!band night from=00:00 to=06:00", "010,0.60,night", columns="prefix,rate,band")
    version, band = decks.load_version("cn", 1), TimeBand.objects.get()
    values = {"version": version.pk, "name": "night", "start": "00:00", "end": "07:00"}

    changed = rita.post(f"/admin/rating/timeband/{band.pk}/change/", values)
    added = rita.post("/admin/rating/timeband/add/", {**values, "name": "day"})
    draft = draft_of(rita, "cn")
    rita.post("/admin/rating/timeband/add/", {**values, "version": draft.pk, "name": "day"})

    assert changed.status_code == 409
    assert list(added.context["adminform"].form.errors) == ["version"]
    assert sorted(TimeBand.objects.values_list("version__number", "name")) == [(1, "night"), (2, "day"), (2, "night")]
    assert TimeBand.objects.get(pk=band.pk).end.hour == 6


@pytest.mark.parametrize(
    ("number", "buttons"), [(1, {"revert"}), (2, {"withdraw"}), (3, {"publish", "discard"}), (4, set())]
)
def test_the_page_of_a_version_offers_what_can_be_done_with_it(rita, number, buttons):
    deck = make_deck("cn", "010,0.60,60,60")
    publish("cn", "010,0.61,60,60", effective_from=clock.now() + timedelta(hours=1))
    decks.open_draft(deck, caller=ADMIN)
    decks.discard_draft(decks.open_draft(deck, caller=ADMIN).pk, caller=ADMIN)
    version = decks.load_version("cn", number)

    page = text(rita.get(f"/admin/rating/deckversion/{version.pk}/change/"))

    acts = {"publish", "discard", "withdraw", "revert", "approve", "decline"}
    assert {act for act in acts if f"/admin/rating/deckversion/{version.pk}/{act}/" in page} == buttons


@pytest.mark.parametrize(
    "path",
    [
        "deck/999999/", "deck/99999999999999999999/", "deck/999999/edit/", "deck/x/clone/", "deck/999999/edit-rates/",
        "deckversion/999999/publish/", "deckversion/x/revert/", "deckversion/999999/export/",
        "deckversion/99999999999999999999/figures/",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_found(rita, path):
    assert rita.get(f"/admin/rating/{path}").status_code == 404
