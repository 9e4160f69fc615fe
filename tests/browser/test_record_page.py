"""S8: one call, and why it cost what it cost; the same figures in both languages, and the ledger's."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, expect

from billing_platform import clock
from billing_platform.auth import issue_key
from billing_platform.job_commands import run_command
from billing_platform.models import JobRun, Membership, Role
from billing_platform.templatetags.figures import plain
from cdr.models import CallRecord
from cdr.repriced import take_repriced
from ledger.accounts import read_account
from rating import tariffs
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.callcontrol.cast import Tenant, make_tenant
from tests.cast import make_deck, price_by
from tests.cdr.desk import call

pytestmark = pytest.mark.browser

_numbers = count(1)


def person(tenant: Tenant, role: Role) -> User:
    user = User.objects.create_user(f"record-{next(_numbers)}", is_staff=True)
    Membership.objects.create(user=user, organization=tenant.organization, role=role)
    return user


def post(tenant: Tenant, **fields: object) -> CallRecord:
    """A record by the API, charged at once."""
    key = issue_key(name="sender", organization=tenant.organization, scopes=["cdr:write"])
    start = (clock.now() - timedelta(hours=1)).replace(microsecond=0)
    answer = tenant.program(key).post("/api/v1/cdrs", call(start=start, **fields), content_type="application/json")  # type: ignore[arg-type]
    return CallRecord.objects.get(pk=int(answer.json()["cdr_id"]))


def amounts(page: Page | Locator, testid: str) -> list[str | None]:
    return [one.get_attribute("data-amount") for one in by(page, testid).all()]


def test_both_legs_add_up_to_the_ledger_in_both_languages(stack: Stack):
    tenant = make_tenant(balance="10.00")
    record = post(tenant, seconds=95)

    pages = [
        stack.window(person(tenant, Role.FINANCE), path=f"/cdr/{record.pk}/", language=language)
        for language in ("en", "zh-hans")
    ]

    for page in pages:
        expect(by(page, "sentence")).to_have_count(2)
        legs = [Decimal(amount or "") for amount in amounts(page, "sentence")]
        assert sum(legs) == record.cost == Decimal(amounts(page, "ledger-sum")[0] or "")
        assert Decimal(10) - tenant.account.balance == record.cost
    assert amounts(pages[0], "step-amount") == amounts(pages[1], "step-amount")
    expect(by(pages[0], "sentence").first).to_contain_text("priced as")
    expect(by(pages[1], "sentence").first).to_contain_text("秒计费。费率表")


def test_a_filtered_call_says_why_nothing_was_charged(stack: Stack):
    tenant = make_tenant()
    record = post(tenant, seconds=None)

    page = stack.window(person(tenant, Role.SUPERVISOR), path=f"/cdr/{record.pk}/", language="zh-hans")

    expect(by(page, "sentence")).to_contain_text("无人接听")
    expect(by(page, "ledger-sum")).to_have_count(0)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, dark: bool):
    tenant = make_tenant(balance="10.00")
    record = post(tenant, seconds=95)
    page = stack.window(person(tenant, Role.OPS), path=f"/cdr/{record.pk}/", size=NARROW, dark=dark)

    by(page, "open-body").click()

    expect(by(page, "body")).to_contain_text("138****0002")
    assert (overflow(page), serious_faults(page)) == (0, [])


def test_from_the_call_to_its_re_rating_and_back(stack: Stack):
    """By keyboard, in a narrow dark window: what would change, apply, and the call's page has both amounts."""
    tenant = make_tenant(balance="10.00")
    record = post(tenant, seconds=95)
    make_dearer(tenant)
    finance, auditor = person(tenant, Role.FINANCE), person(tenant, Role.AUDITOR)
    page = stack.window(finance, path=f"/cdr/{record.pk}/", size=NARROW, language="zh-hans", dark=True)

    by(page, "rerate-link").press("Enter")
    expect(by(page, "use")).to_have_value(str(record.service_record_id))
    by(page, "ask").press("Enter")
    expect(by(page, "job")).to_have_attribute("data-state", "waiting")
    assert (overflow(page), serious_faults(page)) == (0, [])
    run_command(latest_run())
    expect(by(page, "result")).to_have_attribute("data-state", "done")  # by itself
    assert (overflow(page), serious_faults(page)) == (0, [])
    read = stack.window(auditor, path=page.url.removeprefix(stack.site.url))
    assert amounts(read, "total-old") == amounts(page, "total-old") == [plain(record.cost)]
    expect(by(read, "apply")).to_have_count(0)
    assert serious_faults(read) == []

    by(page, "apply-reason").fill("价格有误")
    by(page, "confirm").fill("2000-01")
    by(page, "confirm").press("Enter")
    expect(by(page, "confirm-error")).to_be_visible()
    by(page, "confirm").fill(by(page, "period").input_value())
    by(page, "confirm").press("Enter")
    expect(by(page, "job")).to_have_attribute("data-state", "waiting")
    run_command(latest_run())

    expect(by(page, "applied")).to_be_visible()
    total = Decimal(amounts(page, "total-new")[0] or "")
    assert total == Decimal(10) - read_account(tenant.account.id).balance > record.cost
    take_repriced()
    page.goto(f"/cdr/{record.pk}/")
    assert [Decimal(one or "") for one in amounts(page, "ledger-sum")] == [total]
    assert amounts(page, "old-cost") == [plain(record.cost)]


def make_dearer(tenant: Tenant) -> None:
    """The customer's leg costs 0.50 a minute in place of 0.12, since ever."""
    make_deck(f"dearer-{tenant.organization}", ",0.50,60,60")
    price_by(f"dearer-{tenant.organization}", label="callback.b", organization=tenant.organization, accno=tenant.accno)


def latest_run() -> int:
    """The run that the page has just asked for; a worker would take it up."""
    tariffs.refresh()
    return JobRun.objects.filter(job="rerate").latest("id").pk
