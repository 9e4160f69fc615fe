"""S4: a file is uploaded, mapped, checked while the page waits, read as a difference, scheduled, tested, reverted."""

from datetime import datetime, timedelta
from itertools import count

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from billing_platform import clock
from billing_platform.models import Membership, Role
from rating import decks
from rating.importing.imports import ImportOrder
from rating.importing.jobs import check_import, receive_import
from rating.models import Deck, DeckImport
from tests.browser.midnights import begin_later, offers_next_midnight
from tests.browser.stack import NARROW, WIDE, Size, Stack, by, overflow, serious_faults
from tests.rating.deck_files import ADMIN, csv_of, make_deck

pytestmark = pytest.mark.browser

COLUMNS = "prefix,destination,rate,first_increment,next_increment"
ROWS = ("010,北京 Beijing,0.12,60,6", "021,上海 Shanghai,0.15,60,6", "0571,杭州 Hangzhou,0.15,60,60")
FILE = "Vorwahl;Ziel;Preis\n010;Beijing;0,13\n021;Shanghai;0,12\n0755;Shenzhen;0,20\n"
_numbers = count(1)


def person() -> User:
    user = User.objects.create_user(f"importer-{next(_numbers)}", is_staff=True)
    Membership.objects.create(user=user, organization="demo", role=Role.RATE_ADMIN)
    return user


def retail() -> Deck:
    return make_deck(f"imported-{next(_numbers)}", *ROWS, columns=COLUMNS)


def upload(page: Page, content: bytes, *, name: str = "spring.csv") -> None:
    """Send a file; leads to its mapping."""
    page.locator("[name=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    by(page, "mode-merge").click()
    by(page, "upload").click()


def newest(deck: Deck) -> DeckImport:
    return DeckImport.objects.filter(deck=deck).latest("pk")


def checked(deck: Deck, *lines: str) -> DeckImport:
    ticket = receive_import(ImportOrder(deck.code, csv_of(*lines)), caller=ADMIN)
    check_import(ticket.import_id)
    return newest(deck)


def ask_price(page: Page, deck: Deck, at: datetime) -> None:
    """Ask what a minute to Beijing costs at an instant."""
    by(page, "number").fill("010-60001234")
    by(page, "deck").fill(deck.code)
    by(page, "at").fill(at.strftime("%Y-%m-%dT%H:%M:%S"))
    by(page, "duration").fill("60")
    by(page, "ask").click()


def test_a_deck_is_imported_seen_published_for_tomorrow_tested_and_reverted(stack: Stack):
    deck, began = retail(), clock.now()
    page = stack.window(person(), path=f"/admin/rating/deck/{deck.pk}/")
    by(page, "deck-import").click()
    upload(page, FILE.encode())

    expect(by(page, "look-delimiter")).to_contain_text(";")
    expect(by(page, "column-2")).to_contain_text("0,13")
    for column, field in enumerate(("prefix", "destination", "rate")):
        by(page, f"column-{column}").locator("select").select_option(field)
    page.locator("[name=decimal_comma]").check()
    page.locator("[name=rate_unit]").select_option("minute")
    by(page, "go-on").click()
    expect(by(page, "progress")).to_have_attribute("data-state", "received")
    check_import(newest(deck).pk)

    expect(by(page, "diff-new")).to_have_attribute("data-count", "1")
    expect(by(page, "diff-raised")).to_have_attribute("data-count", "1")
    expect(by(page, "diff-lowered")).to_have_attribute("data-count", "1")
    by(page, "tab-dearer").click()
    expect(by(page, "differences").locator("[data-prefix='010']")).to_contain_text("+8.33 %")
    by(page, "schedule").click()
    assert offers_next_midnight(page, since=began)
    begins = begin_later(page, "spring")
    expect(by(page, "rail-row_count")).to_be_visible()  # one more than three
    page.locator("[name=confirm]").fill(by(page, "token").inner_text())
    by(page, "act").click()
    expect(by(page, "version-2")).to_have_attribute("data-standing", "scheduled")

    page.goto("/admin/rating/explain/")
    ask_price(page, deck, begins - timedelta(seconds=1))
    expect(by(page, "amount")).to_have_attribute("data-amount", "0.1200")
    ask_price(page, deck, begins + timedelta(hours=9))
    expect(by(page, "amount")).to_have_attribute("data-amount", "0.1300")

    page.goto(f"/admin/rating/deck/{deck.pk}/")
    by(page, "version-1-revert").click()
    begin_later(page, "back")
    by(page, "act").click()
    expect(by(page, "version-3")).to_have_attribute("data-standing", "scheduled")
    first, last = (decks.load_version(deck.code, number) for number in (1, 3))
    assert first.content_hash == last.content_hash


def test_what_is_no_deck_file_is_refused_with_a_word(stack: Stack):
    deck = retail()
    page = stack.window(person(), path=f"/admin/rating/deck/{deck.pk}/import/", language="zh-hans")

    upload(page, b"%PDF-1.7 whatever", name="prices.pdf")

    expect(by(page, "refusal")).to_have_attribute("data-code", "E_ENCODING")
    assert serious_faults(page) == []
    assert not DeckImport.objects.filter(deck=deck, job_id__isnull=False).exists()


def test_a_file_is_left_and_found_again_and_the_bell_tells_its_end(stack: Stack):
    deck = retail()
    page = stack.window(person(), path=f"/admin/rating/deck/{deck.pk}/import/")
    upload(page, csv_of("010,0.13,60,6"))
    by(page, "go-on").click()
    expect(by(page, "progress")).to_be_visible()
    story = newest(deck)

    page.goto(f"/admin/rating/deck/{deck.pk}/import/")
    expect(by(page, f"import-{story.pk}")).to_have_attribute("data-state", "received")
    page.goto("/ops/jobs/")
    expect(by(page, "job-row")).to_have_attribute("data-state", "waiting")
    by(page, "job-link").click()
    expect(by(page, "job-cancel")).to_be_visible()
    expect(by(page, "bell-badge")).to_be_hidden()
    check_import(story.pk)
    # The page asks by itself; the panel that comes has ended.
    expect(by(page, "job")).to_have_attribute("data-state", "done")
    expect(by(page, "job")).to_have_attribute("data-per-cent", "100")
    expect(by(page, "job-said")).not_to_be_empty()
    expect(page.locator('[data-testid="count"][data-name="raised"]')).to_have_attribute("data-value", "1")

    page.reload()
    expect(by(page, "bell")).to_have_attribute("data-unread", "1")
    by(page, "bell").click()
    by(page, "notice-open").click()
    expect(by(page, "subject")).to_be_visible()
    expect(by(page, "bell-badge")).to_be_hidden()
    by(page, "subject").click()
    expect(by(page, "diff-raised")).to_have_attribute("data-count", "1")


def test_the_second_of_two_browsers_meets_the_first(stack: Stack):
    deck, rita = retail(), person()
    places = [checked(deck, f"010,0.1{digit},60,6").pk for digit in (3, 4)]
    mine, theirs = (
        stack.window(one, path=f"/admin/rating/deck/{deck.pk}/import/{pk}/schedule/")
        for one, pk in zip((rita, person()), places, strict=True)
    )

    for page in (mine, theirs):
        begin_later(page, "mine")
    by(mine, "act").click()
    expect(by(mine, "version-2")).to_have_attribute("data-standing", "scheduled")
    by(theirs, "act").click()
    expect(by(theirs, "conflict-who")).to_have_text(rita.username)
    by(theirs, "again").click()
    by(theirs, "compare-again").click()
    expect(by(theirs, "progress")).to_be_visible()
    check_import(newest(deck).pk)

    expect(by(theirs, "diff-raised")).to_have_attribute("data-count", "1")
    by(theirs, "tab-dearer").click()
    expect(by(theirs, "differences")).to_contain_text("+7.69 %")


@pytest.mark.parametrize(("language", "dark", "size"), [("en", True, WIDE), ("zh-hans", False, NARROW)])
def test_accessibility_in_both_languages_light_dark_and_narrow(stack: Stack, *, language: str, dark: bool, size: Size):
    deck = retail()
    ready = checked(deck, "010,0.66,60,6", "021,,60,60", "0755,0.2,60,60")
    refused = checked(deck, "#!deck currency=USD", "010,0.66,60,6")
    ticket = receive_import(ImportOrder(deck.code, csv_of("010,0.13,60,6")), caller=ADMIN)
    page = stack.window(person(), path="/admin/", size=size, dark=dark, language=language)
    home = f"/admin/rating/deck/{deck.pk}/import/"
    for path in (
        home, f"{home}{ready.pk}/map/", f"{home}{ready.pk}/", f"{home}{ready.pk}/?tab=error", f"{home}{refused.pk}/",
        f"{home}{ready.pk}/schedule/", f"{home}{ready.pk}/discard/", f"{home}{ticket.import_id}/",
    ):  # fmt: skip
        page.goto(path)
        expect(page.locator(".dk-waiting")).to_have_count(0)
        assert (path, overflow(page), serious_faults(page)) == (path, 0, [])
        assert page.locator("html").get_attribute("lang") == language
