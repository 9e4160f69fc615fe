"""S2: one's own calls, the totals of the whole filter, the same figures in the files."""

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from billing_platform import clock
from billing_platform.models import Role
from tests.browser.calls import make_call
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.callcontrol.cast import make_agent, make_tenant

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, dark: bool):
    tenant = make_tenant()
    make_call(tenant, seconds=20, cost="0.18")
    make_call(tenant, state="failed")
    page = stack.window(tenant.agent.user, path="/agent/calls/", size=NARROW, dark=dark)

    assert (overflow(page), serious_faults(page)) == (0, [])
