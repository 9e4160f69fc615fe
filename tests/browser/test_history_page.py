"""S2: one's own calls, the totals of the whole filter, the same figures in the files."""

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from billing_platform import clock
from billing_platform.models import Notice, Role
from callcontrol.models import Callback
from cdr.models import Provider
from tests.browser.calls import make_call, make_charged_call
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.callcontrol.cast import Tenant, make_agent, make_tenant
from tests.cdr.recorded import make_record

pytestmark = pytest.mark.browser


def test_totals_equal_the_files_and_cover_more_than_the_page(stack: Stack):
    tenant = make_tenant()
    for number in range(60):
        make_call(tenant, seconds=number + 1, cost="0.18")
    make_call(tenant, seconds=0)
    make_call(tenant, seconds=30, cost="9.99", at=clock.now() - timedelta(days=40))
    page = stack.window(tenant.agent.user, path="/agent/calls/")

    exported = json.loads(page.request.get("/agent/calls/?format=json").text())["items"]
    rows = list(csv.reader(io.StringIO(page.request.get("/agent/calls/?format=csv").text())))[2:]

    assert by(page, "total-calls").get_attribute("data-value") == str(len(exported)) == str(len(rows)) == "61"
    assert by(page, "total-cost").get_attribute("data-amount") == "10.80"
    assert sum(Decimal(item["cost"]) for item in exported if item["cost"]) == Decimal("10.80")
    book = page.request.get("/agent/calls/?format=xlsx").body()
    cells = list(load_workbook(io.BytesIO(book)).active.iter_rows(min_row=3, values_only=True))  # type: ignore[union-attr]
    assert (len(cells), sum(Decimal(str(row[6])) for row in cells if row[6])) == (61, Decimal("10.80"))
    assert {(row[1], type(row[5])) for row in cells} == {("13800000001", int)}  # numbers are numbers, telephones text
    assert by(page, "total-seconds").get_attribute("data-value") == str(sum(item["seconds"] for item in exported))
    expect(by(page, "call-row")).to_have_count(50)
    by(page, "next-page").click()
    expect(by(page, "call-row")).to_have_count(11)
    assert by(page, "total-cost").get_attribute("data-amount") == "10.80"


def test_a_filter_stands_in_the_address(stack: Stack):
    tenant = make_tenant()
    make_call(tenant, seconds=20, cost="0.18", customer="13911110000")
    make_call(tenant, seconds=0, customer="13922220000")
    page = stack.window(tenant.agent.user, path="/agent/calls/")

    by(page, "filter-result").select_option("missed")
    by(page, "filter-apply").click()
    expect(by(page, "call-row")).to_have_count(1)
    page.reload()

    expect(by(page, "call-result")).to_have_text("no answer")
    expect(by(page, "filter-result")).to_have_value("missed")
    by(page, "filter-number").fill("9999")
    by(page, "filter-apply").click()
    expect(by(page, "history-empty")).to_be_visible()


def test_a_colleagues_call_is_not_there(stack: Stack):
    tenant = make_tenant()
    call = make_call(tenant, seconds=20, cost="0.18")
    colleague = make_agent(tenant.organization, "13800000009")
    supervisor = make_agent(tenant.organization, "13800000010", role=Role.SUPERVISOR)
    address = f"/agent/calls/{call.reference}/"

    people = tenant.agent.user, colleague.user, supervisor.user, make_tenant().agent.user
    assert [tenant.browser(user).get(address).status_code for user in people] == [200, 404, 200, 404]
    assert tenant.browser(colleague.user).get(f"/api/v1/callbacks/{call.reference}").status_code == 404


def test_one_call_tells_its_story(stack: Stack):
    tenant = make_tenant()
    call = make_call(tenant, seconds=75, cost="0.36")
    page = stack.window(tenant.agent.user, path="/agent/calls/", language="zh-hans")

    by(page, "call-link").click()

    expect(by(page, "call-reference")).to_have_text(call.reference)
    expect(by(page, "final-cost")).to_have_attribute("data-amount", "0.36")
    expect(by(page, "final-duration")).to_have_text("1 分 15 秒")
    expect(by(page, "call-number")).to_have_text("139****5678")
    expect(by(page, "story").locator("li")).to_have_count(1)
    assert serious_faults(page) == []


def recorded_call(stack: Stack, tenant: Tenant, *, path: str = "x.wav") -> Callback:
    """A charged call whose recording the platform keeps."""
    call = make_charged_call(tenant)
    url = f"http://127.0.0.1:{stack.site.simulator.port}/generic/recordings/{path}"
    make_record(call, url, provider=Provider.objects.get(code="simulator"))
    return call


def open_dispute(page: Page, text: str) -> None:
    by(page, "dispute-start").click()
    by(page, "dispute-reason-choice").select_option("duration")
    by(page, "dispute-text-typed").fill(text)
    by(page, "dispute-send").click()
    expect(by(page, "dispute-state")).to_have_text("open")


def test_a_dispute_goes_to_the_supervisor_and_its_answer_comes_back(stack: Stack):
    tenant = make_tenant(balance="10.00")
    call = recorded_call(stack, tenant)
    boss = make_agent(tenant.organization, "13800000010", role=Role.SUPERVISOR)
    agents = stack.window(tenant.agent.user, path="/agent/calls/")
    by(agents, "dispute-call").click()
    open_dispute(agents, "We talked for one minute.")
    record = Callback.objects.get(pk=call.pk).record_id

    supervisors = stack.window(boss.user, path="/agent/calls/")
    expect(by(supervisors, "disputes-waiting")).to_have_text("1")
    by(supervisors, "disputes-link").click()
    expect(by(supervisors, "dispute-row")).to_have_attribute("data-call", call.reference)
    supervisors.goto(f"/cdr/{record}/")
    expect(by(supervisors, "dispute")).to_have_attribute("data-state", "open")
    by(supervisors, "call-link").click()
    by(supervisors, "answer-text").fill("The recording says 95 s.")
    by(supervisors, "dispute-decline").click()
    expect(by(supervisors, "dispute-state")).to_have_text("declined")

    agents.reload()
    expect(by(agents, "dispute-answer")).to_have_text("The recording says 95 s.")
    told = Notice.objects.get(user=tenant.agent.user)
    assert (told.kind, told.path) == ("dispute.declined", f"/agent/calls/{call.reference}/#dispute")
    by(agents, "back").click()
    expect(by(agents, "call-dispute")).to_have_attribute("data-state", "declined")


def test_the_legs_add_up_to_the_ledger(stack: Stack):
    tenant = make_tenant(balance="10.00")
    call = make_charged_call(tenant)
    page = stack.window(tenant.agent.user, path="/agent/calls/")
    legs = [leg.get_attribute("data-amount") for leg in by(page, "leg-cost").all()]
    by(page, "call-link").click()

    expect(by(page, "leg")).to_have_count(2)
    assert [leg.get_attribute("data-amount") for leg in by(page, "leg-cost").all()] == legs == ["0.12", "0.24"]
    assert by(page, "leg-sum").get_attribute("data-amount") == by(page, "final-cost").get_attribute("data-amount")
    assert sum(map(Decimal, map(str, legs))) == Decimal(10) - tenant.account.balance == call.cost
    expect(by(page, "leg-sentence").nth(1)).to_contain_text("= 95 s, priced as 120 s. Deck leg-b version 1")


def test_a_recording_is_played_from_our_own_address(stack: Stack):
    tenant = make_tenant(balance="10.00")
    call = recorded_call(stack, tenant)
    make_charged_call(tenant)
    page = stack.window(tenant.agent.user, path="/agent/calls/")
    expect(by(page, "play").first).to_be_visible()

    by(page, "play").first.click()

    sound = by(page, "sound").locator("audio")
    expect(sound).to_have_js_property("duration", 1)
    href = str(sound.get_attribute("src"))
    assert href == f"/api/v1/cdrs/{Callback.objects.get(pk=call.pk).record_id}/recording"
    assert by(page, "play").locator("visible=true").count() == 0  # the other call has none
    assert str(stack.site.simulator.port) not in page.content()


def test_a_recording_that_is_gone_says_so(stack: Stack):
    tenant = make_tenant(balance="10.00")
    recorded_call(stack, tenant, path="no/such/place")
    page = stack.window(tenant.agent.user, path="/agent/calls/", language="zh-hans")

    by(page, "play").click()

    expect(by(page, "recording-error")).to_have_text("平台已不再保存该录音。")
    expect(by(page, "play")).to_be_focused()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, dark: bool):
    tenant = make_tenant(balance="10.00")
    make_call(tenant, state="failed")
    recorded_call(stack, tenant)
    page = stack.window(tenant.agent.user, path="/agent/calls/", size=NARROW, dark=dark)
    expect(by(page, "play")).to_be_visible()

    assert (overflow(page), serious_faults(page)) == (0, [])
    by(page, "dispute-call").click()
    by(page, "dispute-start").click()
    assert (overflow(page), serious_faults(page)) == (0, [])
    by(page, "dispute-reason-choice").select_option("price")
    by(page, "dispute-send").click()
    expect(by(page, "dispute-state")).to_have_text("open")
    page.goto("/agent/disputes/")
    expect(by(page, "dispute-row")).to_be_visible()
    assert (overflow(page), serious_faults(page)) == (0, [])
