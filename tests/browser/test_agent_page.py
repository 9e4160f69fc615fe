"""S1: from a typed number to the new balance, and everything that can stop a call on the way."""

import re
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from callcontrol.models import Callback, NumberListEntry
from callcontrol.pending import resubmit_pending_uses
from rating import tariffs
from rating.explain import explain
from tests.browser.calls import make_call
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.callcontrol.cast import AGENT_NUMBER, CALLBACK, Tenant, make_tenant
from tests.processes import wait_until

pytestmark = pytest.mark.browser

TYPED, DIALLED = "021-60001234", "02160001234"
S1_BYTES_MAX = 150 * 1024


def rail(page: Page, step: str, look: str) -> None:
    expect(by(page, f"rail-{step}")).to_have_attribute("data-look", look)


def type_number(page: Page, number: str = TYPED) -> None:
    by(page, "number").fill(number)
    expect(by(page, "quote")).to_have_attribute("data-number", number)


def place(page: Page, number: str = TYPED) -> str:
    """Call the number; answers the call's id once the page shows it."""
    type_number(page, number)
    by(page, "call").click()
    expect(by(page, "live")).to_have_attribute("data-live", "1")
    return str(by(page, "live").get_attribute("data-call"))


def calls_of(tenant: Tenant) -> list[Callback]:
    return list(Callback.objects.filter(organization=tenant.organization).order_by("id"))


def settled(tenant: Tenant) -> tuple[Decimal, Decimal]:
    """The tenant's money once the worker's round has been done."""
    resubmit_pending_uses()
    return tenant.money


def test_price_balance_and_how_long_it_lasts_stand_there_before_the_call(stack: Stack):
    tenant = make_tenant(balance="88.40")
    page = stack.window(tenant.agent.user)

    type_number(page)

    quoted = page.evaluate(
        """async (number) => {
            const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
            const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
            const body = JSON.stringify({ customer_number: number });
            return (await fetch("/api/v1/callbacks/quote", { method: "POST", headers, body })).json();
        }""",
        TYPED,
    )
    assert by(page, "quote-rate").get_attribute("data-amount") == quoted["price_per_minute"] == "0.18"
    tariffs.refresh()
    legs = [{"leg": leg, "destination": number, "duration": 60} for leg, number in (("a", AGENT_NUMBER), ("b", TYPED))]
    asked = {"tenant": tenant.organization, "category": CALLBACK, "subject": tenant.accno, "legs": legs}
    assert Decimal(explain(asked)["amount"]) == Decimal("0.18")
    assert by(page, "balance").get_attribute("data-amount") == "88.40"
    assert by(page, "quote-lasts").get_attribute("data-seconds") == str(491 * 60)  # 88.40 / 0.18
    assert by(page, "quote-longest").get_attribute("data-seconds") == str(quoted["max_seconds"])
    expect(by(page, "standing")).to_have_attribute("data-allowed", "1")
    expect(by(page, "contact-number")).to_have_text(TYPED)
    assert calls_of(tenant) == []


def test_two_clicks_are_one_call_which_is_followed_to_its_charge(stack: Stack):
    tenant = make_tenant(balance="88.40")
    page = stack.window(tenant.agent.user)
    type_number(page)
    stack.let_calls_stay("a_ringing")

    page.evaluate("""() => {
        const call = document.getElementById("call");
        call.click(); setTimeout(() => call.click(), 20); setTimeout(() => call.click(), 45);
    }""")

    rail(page, "agent", "now")
    expect(by(page, "cancel")).to_be_visible()
    stack.let_calls_stay("b_ringing")
    rail(page, "customer", "now")
    stack.let_calls_stay("bridged")
    rail(page, "talking", "now")
    expect(by(page, "running-cost")).to_have_attribute("data-amount", "0.18")
    expect(by(page, "remaining")).to_have_text(re.compile(r"1:59:\d\d"))
    stack.let_calls_stay(None)
    rail(page, "ended", "done")
    expect(by(page, "final-cost")).to_have_attribute("data-amount", "0.18")
    expect(by(page, "new-balance")).to_have_attribute("data-amount", "88.22")
    expect(by(page, "number")).to_be_focused()
    (call,) = calls_of(tenant)
    assert call.cost == Decimal("0.18")
    assert tenant.money == (Decimal("88.22"), Decimal(0))
    assert len([one for one in stack.calls_at_the_platform(DIALLED) if one["reference"] == call.reference]) == 1
    expect(by(page, "call-row")).to_have_count(1)
    expect(by(page, "contact-call")).to_have_count(1)


def test_without_money_the_button_rests_and_says_why(stack: Stack):
    tenant = make_tenant(balance="0")
    page = stack.window(tenant.agent.user)
    expect(by(page, "standing")).to_have_attribute("data-code", "insufficient_balance")

    type_number(page)

    call = by(page, "call")
    expect(call).to_be_disabled()
    reason = page.locator(f"#{call.get_attribute('aria-describedby')}")
    expect(reason).to_be_visible()
    expect(reason).to_contain_text("The balance is not sufficient.")
    expect(reason).to_contain_text("Ask your finance department for a top-up")
    page.keyboard.press("Alt+c")
    assert calls_of(tenant) == []
    assert tenant.money == (Decimal(0), Decimal(0))


def test_the_whole_way_by_keyboard_alone(stack: Stack):
    tenant = make_tenant(balance="5.00")
    stack.let_calls_stay("a_ringing")
    page = stack.window(tenant.agent.user)
    expect(by(page, "number")).to_be_focused()

    page.keyboard.type(TYPED)
    expect(by(page, "call")).to_be_enabled()
    page.keyboard.press("Alt+c")
    rail(page, "agent", "now")
    page.keyboard.press("Escape")

    rail(page, "ended", "failed")
    expect(by(page, "call-state")).to_have_attribute("data-state", "cancelled")
    expect(by(page, "number")).to_be_focused()
    page.keyboard.press("Escape")
    expect(by(page, "number")).to_have_value("")
    wait_until(lambda: settled(tenant) == (Decimal("5.00"), Decimal(0)), what="the hold to come back")


def test_a_second_tab_and_a_reload_show_the_same_call(stack: Stack):
    tenant = make_tenant(balance="5.00")
    first = stack.window(tenant.agent.user)
    second = stack.tab(first.context)
    stack.let_calls_stay("bridged")

    reference = place(first)

    expect(by(second, "live")).to_have_attribute("data-call", reference)
    expect(by(second, "call")).to_be_hidden()
    first.reload()
    expect(by(first, "live")).to_have_attribute("data-call", reference)
    expect(by(first, "standing")).to_have_attribute("data-allowed", "0")
    rail(second, "talking", "now")
    assert len(calls_of(tenant)) == 1


def test_without_a_stream_the_page_polls(stack: Stack):
    tenant = make_tenant(balance="5.00")
    page = stack.window(tenant.agent.user)
    page.route("**/events", lambda route: route.abort())
    stack.let_calls_stay("a_ringing")

    reference = place(page)

    with page.expect_request(lambda asked: reference in asked.url and "if-none-match" in asked.headers):
        rail(page, "agent", "now")  # the poll names the state that it has seen
    stack.let_calls_stay("bridged")
    rail(page, "talking", "now")


def test_an_unknown_outcome_warns_against_calling_again(stack: Stack):
    tenant = make_tenant(balance="5.00")
    make_call(tenant, state="unknown")

    page = stack.window(tenant.agent.user)

    rail(page, "queued", "doubtful")
    expect(by(page, "call-advice")).to_contain_text("Do not call again")
    expect(by(page, "call")).to_be_hidden()
    expect(by(page, "standing")).to_have_attribute("data-allowed", "0")


def test_a_refused_call_leaves_the_rail_and_says_what_to_do(stack: Stack):
    tenant = make_tenant(balance="5.00")
    page = stack.window(tenant.agent.user, language="zh-hans")

    type_number(page, "13912340010")
    by(page, "call").click()

    rail(page, "ended", "failed")
    expect(by(page, "call-advice")).to_contain_text("未产生费用。请重试，或联系管理员。")
    expect(by(page, "call-advice")).to_contain_text("provider_error")
    expect(by(page, "refused")).to_be_hidden()
    expect(by(page, "call")).to_be_enabled()
    wait_until(lambda: settled(tenant) == (Decimal("5.00"), Decimal(0)), what="the hold to come back")


@pytest.mark.parametrize(("language", "advice"), [("en", "tell your supervisor"), ("zh-hans", "该客户禁止呼叫")])
def test_a_number_that_must_not_be_called_is_refused_before_the_click(stack: Stack, language: str, advice: str):
    tenant = make_tenant(balance="5.00")
    NumberListEntry.objects.create(organization=tenant.organization, kind="deny", key="862160001234")
    page = stack.window(tenant.agent.user, language=language)

    type_number(page)

    expect(by(page, "standing")).to_have_attribute("data-code", "number_blacklisted")
    expect(by(page, "standing")).to_contain_text(advice)
    expect(by(page, "call")).to_be_disabled()


def test_a_refusal_that_made_no_call_stands_below_the_button(stack: Stack):
    tenant = make_tenant(balance="5.00")
    page = stack.window(tenant.agent.user, language="zh-hans")
    type_number(page)
    NumberListEntry.objects.create(organization=tenant.organization, kind="deny", key="862160001234")

    by(page, "call").click()

    expect(by(page, "refused")).to_contain_text("如有误，请联系班长")
    expect(by(page, "refused")).to_contain_text("number_blacklisted")
    expect(by(page, "number")).to_be_focused()
    assert calls_of(tenant) == []
    assert tenant.money == (Decimal("5.00"), Decimal(0))


def test_ones_own_number_and_no_number_at_all(stack: Stack):
    page = stack.window(make_tenant(balance="5.00").agent.user)

    type_number(page, AGENT_NUMBER)
    expect(by(page, "standing")).to_have_attribute("data-code", "same_numbers")
    type_number(page, "12")

    expect(by(page, "standing")).to_have_attribute("data-code", "validation")
    expect(by(page, "call")).to_be_disabled()


def test_the_last_minute_is_announced(stack: Stack):
    page = stack.window(make_tenant(balance="0.40").agent.user)  # pays for one minute
    stack.let_calls_stay("bridged")

    place(page)

    rail(page, "talking", "now")
    expect(by(page, "ending-soon")).to_be_visible()
    expect(by(page, "alarm")).to_have_text("The call ends in less than a minute.")


def test_redial_takes_the_number_without_showing_it(stack: Stack):
    tenant = make_tenant(balance="88.40")
    page = stack.window(tenant.agent.user)
    stack.let_calls_stay("a_ringing")
    place(page, "13912340001")  # busy
    stack.let_calls_stay(None)
    rail(page, "ended", "done")
    page.goto("/")

    by(page, "redial").click()

    expect(by(page, "number")).to_have_value("139****0001")
    expect(by(page, "call")).to_be_focused()
    assert by(page, "quote-rate").get_attribute("data-amount") == "0.18"
    stack.let_calls_stay("a_ringing")
    page.keyboard.press("Enter")
    rail(page, "agent", "now")
    assert [call.customer_number for call in calls_of(tenant)] == ["13912340001"] * 2


@pytest.mark.parametrize(("language", "dark"), [("zh-hans", False), ("en", True)], ids=["zh-light", "en-dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, language: str, dark: bool):
    page = stack.window(make_tenant(balance="5.00").agent.user, language=language, size=NARROW, dark=dark)
    assert page.locator("html").get_attribute("lang") == language
    assert (overflow(page), serious_faults(page)) == (0, [])
    stack.let_calls_stay("b_ringing")

    place(page)

    assert (overflow(page), serious_faults(page)) == (0, [])
    expect(by(page, "cancel")).to_be_in_viewport()


def test_the_first_load_is_light(stack: Stack):
    page = stack.window(None, path="/login/")
    tenant = make_tenant(balance="5.00")
    sizes: list[int] = []
    fresh = stack.window(tenant.agent.user, path="/healthz")
    fresh.context.new_cdp_session(fresh).send("Network.clearBrowserCache")
    fresh.on("requestfinished", lambda request: sizes.append(sum(
        request.sizes()[part] for part in ("responseBodySize", "responseHeadersSize")
    )))  # fmt: skip

    fresh.goto("/", wait_until="networkidle")

    assert 5 <= len(sizes) <= 12
    assert sum(sizes) <= S1_BYTES_MAX
    assert page.url.endswith("/login/")


def test_hostile_text_in_the_address_is_only_text(stack: Stack):
    page = stack.window(
        make_tenant(balance="5.00").agent.user, path="/?number=%3Cscript%3Ealert(1)%3C/script%3E&redial=x"
    )

    expect(by(page, "number")).to_have_value("<script>alert(1)</script>")
    expect(by(page, "standing")).to_have_attribute("data-code", "validation")
