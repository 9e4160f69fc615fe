"""S5: a number is tested; the page shows the price, why the others lost, and what changes next."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from billing_platform import clock
from billing_platform.models import Membership, Role
from rating.explaining.form import page_zone
from rating.models import ExpectedPrice
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.cast import make_deck, price_by, publish_deck
from tests.processes import wait_until

pytestmark = pytest.mark.browser

PAGE = "/admin/rating/explain/"
COLUMNS = "prefix,destination,rate,first_increment,next_increment,band,connect_fee"
_numbers = count(1)


def make_retail() -> str:
    """A deck of its own for one test."""
    code = f"tested-{next(_numbers)}"
    make_deck(
        code,
        "#!band peak days=workday from=09:00 to=18:00 priority=20",
        "021,上海,0.06,60,6,,0.05",
        "021,上海,0.12,60,6,peak,0.05",
        "0216,上海浦东,0.30,60,60,,",
        "13,移动电话,0.15,60,6,,",
        columns=COLUMNS,
    )
    return code


def person(role: Role) -> User:
    user = User.objects.create_user(f"explain-{next(_numbers)}", is_staff=True)
    Membership.objects.create(user=user, organization="demo", role=role)
    return user


def open_when_known(stack: Stack, who: User, deck: str, *, version: int = 1, language: str = "en") -> Page:
    """The empty page, once the web process knows the version: prices of another process are noticed within a second."""
    page = stack.window(who, path=PAGE, language=language)
    answer = f"{PAGE}?number=13800138000&deck={deck}&format=json"
    wait_until(
        lambda: f'"version": {version}' in page.request.get(answer).text(),
        what=f"version {version} is known",
    )
    return page


def test_a_number_is_tested_and_kept(stack: Stack):
    deck = make_retail()
    page = open_when_known(stack, person(Role.RATE_ADMIN), deck)

    by(page, "number").fill("021-50001234")
    by(page, "deck").fill(deck)
    by(page, "at").fill("2026-10-15T17:58:30")
    by(page, "duration").fill("125")
    by(page, "ask").click()

    expect(by(page, "amount")).to_have_attribute("data-amount", "0.2660")
    expect(by(page, "sentence")).to_contain_text("17:58:30 → 18:00:35 = 125 s, priced as 126 s.")
    lines = [Decimal(line.get_attribute("data-amount") or "") for line in by(page, "step-amount").all()]
    assert sum(lines[:-1]) == lines[-1] == Decimal("0.2660")
    expect(by(page, "loser").first).to_have_attribute("data-because", "lower_priority")
    expect(by(page, "next-change")).to_have_attribute("data-at", "2026-10-15T18:00:00+08:00")
    by(page, "case-name").fill("evening")
    by(page, "keep").click()
    expect(by(page, "case")).to_contain_text("evening")
    assert ExpectedPrice.objects.get(deck__code=deck).amount == Decimal("0.2660")
    address = page.url
    by(page, "permalink").click()
    expect(by(page, "amount")).to_have_attribute("data-amount", "0.2660")
    assert "at=2026-10-15T17" in address


def test_a_second_before_and_after_a_version_another_rate_wins(stack: Stack):
    deck = make_retail()
    begins = (clock.now() + timedelta(days=40)).replace(microsecond=0)
    publish_deck(deck, "13,移动电话,0.11,60,6,,", columns=COLUMNS, effective_from=begins)
    at = begins.astimezone(page_zone())
    page = open_when_known(stack, person(Role.OPS), deck, version=2)
    page.goto(f"{PAGE}?number=13800138000&deck={deck}&duration=60&at=")

    said = by(page, "next-change")
    expect(said).to_have_attribute("data-at", at.isoformat())
    expect(said).to_contain_text("¥0.11")
    for instant, amount, version in ((at - timedelta(seconds=1), "0.1500", "1"), (at, "0.1100", "2")):
        by(page, "at").fill(instant.isoformat())
        by(page, "ask").click()
        expect(by(page, "amount")).to_have_attribute("data-amount", amount)
        expect(by(page, "winner-deck")).to_have_attribute("data-version", version)


def test_many_numbers_and_one_without_a_rate(stack: Stack):
    deck = make_retail()
    price_by(deck, label="callback", organization="demo")
    page = open_when_known(stack, person(Role.RATE_ADMIN), deck, language="zh-hans")

    by(page, "number").fill("13800138000\n021-60001234\n020-81234567")
    by(page, "category").fill("callback")
    by(page, "ask").click()

    expect(by(page, "row-amount")).to_have_count(3)
    amounts = [row.get_attribute("data-amount") for row in by(page, "row-amount").all()]
    assert amounts == ["0.1500", "0.3000", ""]
    expect(by(page, "row-error")).to_contain_text("no_rate")
    by(page, "answer-link").nth(2).click()
    expect(by(page, "nearest")).to_contain_text("8621")
    expect(by(page, "add-rate")).to_have_text("新增费率")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, dark: bool):
    deck = make_retail()
    one = f"{PAGE}?number=021-60001234&deck={deck}&at=2026-10-15T17:58:30&duration=125"
    who = person(Role.RATE_ADMIN)
    open_when_known(stack, who, deck)
    page = stack.window(who, path=one, size=NARROW, dark=dark)

    for path in (one, f"{PAGE}?number=021-60001234%0A1&deck={deck}", f"{PAGE}?number=1&deck=none"):
        page.goto(path)
        assert (overflow(page), serious_faults(page)) == (0, [])
