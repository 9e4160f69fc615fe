"""S3 and S6: a deck's page, bulk edit with its preview, a version scheduled, withdrawn, published again, reverted."""

import hashlib
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from billing_platform import clock
from billing_platform.models import Membership, Role
from rating import decks
from rating.models import Deck, DeckVersion
from tests.browser.midnights import begin_later, offers_next_midnight
from tests.browser.stack import NARROW, WIDE, Size, Stack, by, overflow, serious_faults
from tests.rating.deck_files import ADMIN, make_deck

pytestmark = pytest.mark.browser

COLUMNS = "prefix,destination,rate,first_increment,next_increment,band,cost_rate"
ROWS = (
    "#!band peak days=workday from=09:00 to=18:00",
    "010,北京 Beijing,0.12,60,6,peak,0.08",
    "010,北京 Beijing,0.06,60,6,,0.05",
    "021,上海 Shanghai,0.13,60,6,,0.08",
    "0571,杭州 Hangzhou,0.15,60,60,,0.16",
    "13,中国移动,0.10,60,60,,",
)


def person(role: str) -> User:
    user = User.objects.create_user(f"{role}-{User.objects.count()}", is_staff=True)
    Membership.objects.create(user=user, organization="demo", role=role)
    return user


def retail() -> Deck:
    number = Deck.objects.count()
    return make_deck(f"retail-{number}", *ROWS, columns=COLUMNS, name_zh="国内零售", name_en="Domestic retail")


def exported(page: Page, deck: Deck, number: int) -> str:
    """The digest of a version's file, as the page gives it."""
    version = decks.load_version(deck.code, number)
    return hashlib.sha256(page.request.get(f"/admin/rating/deckversion/{version.pk}/export/").body()).hexdigest()


def act(page: Page, reason: str) -> None:
    page.locator("[name=reason]").fill(reason)
    by(page, "act").click()


def schedule(page: Page, reason: str) -> datetime:
    """Publish for an instant that the test does not reach; answers it."""
    begins = begin_later(page, reason)
    by(page, "act").click()
    return begins


def bulk_edit(page: Page) -> None:
    """+5 % on 01, drawn up; leads to the page that publishes it."""
    by(page, "deck-edit").click()
    page.locator("[name=begins]").fill("01")
    page.locator("[name=amount]").fill("5")
    by(page, "preview").click()
    expect(by(page, "edit-raised")).to_have_attribute("data-count", "2")
    by(page, "reason").fill("spring")
    by(page, "draw-up").click()
    expect(by(page, "diff-raised")).to_have_attribute("data-count", "2")


def test_a_bulk_edit_is_scheduled_withdrawn_published_again_and_reverted(stack: Stack):
    deck, began = retail(), clock.now()
    page = stack.window(person(Role.RATE_ADMIN), path="/admin/rating/deck/", language="zh-hans")
    page.get_by_role("link", name=deck.code).first.click()
    expect(by(page, "live-version")).to_have_attribute("data-version", "1")
    expect(by(page, "below-cost")).to_have_attribute("data-count", "1")
    first = exported(page, deck, 1)

    bulk_edit(page)
    expect(by(page, "diff-same")).to_have_attribute("data-count", "3")
    assert offers_next_midnight(page, since=began)
    begins = schedule(page, "spring")

    expect(by(page, "next-version")).to_have_attribute("data-version", "2")
    expect(by(page, "next-from")).to_have_text(begins.strftime("%Y-%m-%d %H:%M"))
    expect(by(page, "version-2")).to_have_attribute("data-standing", "scheduled")
    expect(by(page, "average-change")).to_have_text("+5.00 %")
    by(page, "version-2-withdraw").click()
    act(page, "not yet")
    expect(by(page, "version-2")).to_have_attribute("data-standing", "withdrawn")
    expect(by(page, "next-version")).to_have_attribute("data-version", "")

    bulk_edit(page)
    schedule(page, "now it is")
    expect(by(page, "version-3")).to_have_attribute("data-standing", "scheduled")
    by(page, "version-1-revert").click()
    schedule(page, "back")
    expect(by(page, "version-4")).to_have_attribute("data-standing", "scheduled")

    assert exported(page, deck, 2) == exported(page, deck, 3) != first
    assert exported(page, deck, 4) == first
    hashes = dict(DeckVersion.objects.filter(deck=deck).values_list("number", "content_hash"))
    assert (hashes[4], hashes[3]) == (hashes[1], hashes[2])


def test_the_second_of_two_admins_meets_a_conflict_that_names_the_first(stack: Stack):
    deck = retail()
    rita, otto = person(Role.RATE_ADMIN), person(Role.RATE_ADMIN)
    edit = f"/admin/rating/deck/{deck.pk}/edit/?begins=021&step=percent&amount=5"
    mine, theirs = (stack.window(one, path=edit) for one in (rita, otto))
    for page in (theirs, mine):
        by(page, "reason").fill("mine")
        by(page, "draw-up").click()
        expect(by(page, "diff-raised")).to_have_attribute("data-count", "1")

    schedule(mine, "first")
    expect(by(mine, "version-3")).to_have_attribute("data-standing", "scheduled")
    schedule(theirs, "second")

    expect(by(theirs, "conflict-who")).to_have_text(rita.username)
    assert serious_faults(theirs) == []
    by(theirs, "conflict-compare").click()
    expect(by(theirs, "diff-raised")).to_have_attribute("data-count", "1")
    assert decks.load_version(deck.code, 2).state == "draft"
    assert not DeckVersion.objects.filter(deck=deck, number__gt=3).exists()


def test_a_guard_rail_wants_its_token_typed(stack: Stack):
    deck = retail()
    page = stack.window(person(Role.RATE_ADMIN), path=f"/admin/rating/deck/{deck.pk}/edit/?step=percent&amount=40")
    by(page, "reason").fill("inflation")
    by(page, "draw-up").click()
    expect(by(page, "rail-average_rise")).to_be_visible()

    with page.expect_navigation():
        schedule(page, "really")
    expect(by(page, "rail-average_rise")).to_be_visible()
    assert decks.latest_version(deck).number == 1
    page.locator("[name=confirm]").fill(by(page, "token").inner_text())
    by(page, "act").click()

    expect(by(page, "version-2")).to_have_attribute("data-standing", "scheduled")


def test_a_clone_has_the_same_file(stack: Stack):
    deck = retail()
    page = stack.window(person(Role.RATE_ADMIN), path=f"/admin/rating/deck/{deck.pk}/")

    by(page, "deck-clone").click()
    page.locator("[name=code]").fill(f"{deck.code}-copy")
    by(page, "act").click()

    expect(by(page, "version-1")).to_have_attribute("data-standing", "draft")
    copy = Deck.objects.get(code=f"{deck.code}-copy")
    assert exported(page, copy, 1) == exported(page, deck, 1)


def test_an_auditor_sees_everything_and_no_button(stack: Stack):
    deck = retail()
    decks.open_draft(deck, caller=ADMIN)
    page = stack.window(person(Role.AUDITOR), path=f"/admin/rating/deck/{deck.pk}/")

    expect(by(page, "lint-findings")).to_be_visible()
    expect(by(page, "version-2")).to_have_attribute("data-standing", "draft")
    for button in ("deck-edit", "deck-draft", "deck-clone", "version-2-publish", "version-2-discard"):
        expect(by(page, button)).to_have_count(0)
    forged = {"csrfmiddlewaretoken": page.locator("[name=csrfmiddlewaretoken]").first.input_value(), "reason": "x"}
    draft = decks.load_version(deck.code, 2)
    answer = page.request.post(
        f"/admin/rating/deckversion/{draft.pk}/publish/", form=forged, headers={"Referer": page.url}
    )
    assert answer.status == 403
    assert decks.load_version(deck.code, 2).state == "draft"


@pytest.mark.parametrize(("language", "dark", "size"), [("en", True, WIDE), ("zh-hans", False, NARROW)])
def test_accessibility_in_both_languages_light_dark_and_narrow(stack: Stack, *, language: str, dark: bool, size: Size):
    deck = retail()
    draft = decks.open_draft(deck, caller=ADMIN, reason="a long reason " * 10)
    page = stack.window(person(Role.RATE_ADMIN), path="/admin/rating/deck/", size=size, dark=dark, language=language)
    for path in (
        f"deck/{deck.pk}/", f"deck/{deck.pk}/compare/?a=1&b=2",
        f"deck/{deck.pk}/edit/?begins=0&step=percent&amount=5", f"deck/{deck.pk}/edit/?step=add&amount=-9",
        f"deckversion/{draft.pk}/publish/", f"deckversion/{draft.pk}/findings/",
    ):  # fmt: skip
        page.goto(f"/admin/rating/{path}")
        expect(page.locator(".dk-waiting")).to_have_count(0)
        assert (path, overflow(page), serious_faults(page)) == (path, 0, [])
        assert page.locator("html").get_attribute("lang") == language
