"""S12: the balance in words, the ledger, and money that moves only after it was shown and confirmed."""

import csv
import io
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from billing_platform.models import AuditEntry, Membership, Role
from counter import client
from ledger.models import Transfer
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.callcontrol.cast import Tenant, make_tenant

pytestmark = pytest.mark.browser


def person(organization: str, role: str) -> User:
    user = User.objects.create_user(f"{role}-{organization}-{User.objects.count()}")
    Membership.objects.create(user=user, organization=organization, role=role)
    return user


def address(tenant: Tenant) -> str:
    return f"/finance/accounts/{tenant.accno}/"


def fill(page: Page, kind: str, amount: str, reference: str, reason: str = "because") -> None:
    expect(by(page, f"open-{kind}")).to_be_visible()  # the page before may still be leaving
    if not by(page, f"{kind}-amount").is_visible():
        by(page, f"open-{kind}").click()
    for field, text in (("amount", amount), ("reference", reference), ("reason", reason)):
        by(page, f"{kind}-{field}").fill(text)
    by(page, f"{kind}-preview").click()


def confirm(page: Page, text: str) -> None:
    by(page, "confirm").fill(text)
    by(page, "confirm-submit").click()


def movements(tenant: Tenant) -> int:
    return Transfer.objects.filter(account_id=tenant.account.id).count()


def test_a_top_up_is_shown_then_confirmed_then_booked(stack: Stack):
    tenant = make_tenant(balance="88.40")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))
    expect(by(page, "balance-words")).to_have_text("The account has")

    fill(page, "top_up", "500", "BANK-7", "prepayment")
    assert by(page, "rehearsal-before").get_attribute("data-amount") == "88.40"
    assert by(page, "rehearsal-after").get_attribute("data-amount") == "588.40"
    assert movements(tenant) == 1
    assert tenant.account.balance == Decimal("88.40")
    confirm(page, "C99999999")
    expect(by(page, "confirm-error")).to_be_visible()
    assert movements(tenant) == 1
    confirm(page, tenant.accno)

    expect(by(page, "message")).to_have_text("Booked.")
    newest = by(page, "ledger-balance").first.get_attribute("data-amount")
    assert newest == by(page, "balance").get_attribute("data-amount") == "588.40"
    assert tenant.account.balance == Decimal("588.40")
    act = AuditEntry.objects.get(act="account.top_up", object_id=tenant.accno)
    assert (act.reason, act.before, act.after) == (
        "prepayment", {"balance": "88.400000"}, {"balance": "588.400000"},
    )  # fmt: skip


def test_the_same_reference_twice_is_one_entry_and_a_friendly_notice(stack: Stack):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))

    for _round in range(2):
        fill(page, "top_up", "5.00", "BANK-8")
        confirm(page, tenant.accno)

    expect(by(page, "message")).to_contain_text("BANK-8 was booked before")
    expect(by(page, "ledger-row")).to_have_count(2)
    assert tenant.account.balance == Decimal("15.00")
    fill(page, "top_up", "6.00", "BANK-8")
    expect(by(page, "refusal")).to_contain_text("idempotency_conflict")
    assert tenant.account.balance == Decimal("15.00")


def test_an_overdrawn_account_owes_in_words_without_a_bare_minus(stack: Stack):
    tenant = make_tenant(balance="1.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant), language="zh-hans")

    fill(page, "adjustment", "-4.20", "FIX-1")
    confirm(page, tenant.accno)

    expect(by(page, "balance-words")).to_have_text("账户欠费")
    expect(by(page, "balance")).to_have_text("¥3.20")
    expect(by(page, "balance")).to_have_attribute("data-amount", "-3.20")
    expect(by(page, "account-state")).to_have_attribute("data-state", "overdrawn")
    expect(by(page, "alert")).to_have_count(2)
    expect(by(page, "alert-text").first).to_contain_text("不再接受新呼叫")
    expect(by(page, "standing")).to_contain_text("进行中的通话继续")
    expect(by(page, "ledger-change").first).to_have_text("−¥4.20")


def test_above_the_limit_a_second_person_decides(stack: Stack):
    tenant = make_tenant(balance="2000.00")
    asking = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))

    fill(asking, "adjustment", "-1500.00", "FIX-2", "wrong month")
    expect(by(asking, "rehearsal-second")).to_be_visible()
    confirm(asking, tenant.accno)
    expect(by(asking, "needs-another")).to_be_visible()
    expect(by(asking, "approve")).to_have_count(0)
    assert tenant.account.balance == Decimal("2000.00")
    other = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))
    by(other, "approve").click()
    expect(by(other, "rehearsal-after")).to_have_attribute("data-amount", "500.00")
    confirm(other, tenant.accno)

    expect(by(other, "balance")).to_have_attribute("data-amount", "500.00")
    expect(by(other, "waiting")).to_have_count(0)
    assert tenant.account.balance == Decimal("500.00")


def test_limits_change_after_they_were_shown(stack: Stack):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))
    by(page, "open-limits").click()

    by(page, "credit_limit").fill("50")
    by(page, "warning_threshold").fill("20.5")
    by(page, "limits-preview").click()
    expect(by(page, "limits-reason-error")).to_be_visible()
    by(page, "limits_reason").fill("a good customer")
    by(page, "limits-preview").click()
    expect(by(page, "rehearsal-warning")).to_have_attribute("data-amount", "20.50")
    assert tenant.account.credit_limit == 0
    confirm(page, tenant.accno)

    expect(by(page, "credit-limit")).to_have_attribute("data-amount", "50.00")
    expect(by(page, "available")).to_have_attribute("data-amount", "60.00")
    expect(by(page, "below-warning")).to_be_visible()
    assert AuditEntry.objects.get(act="account.limits", object_id=tenant.accno).after == {
        "credit_limit": "50.000000", "warning_threshold": "20.500000",
    }  # fmt: skip


def test_suspended_in_words_and_no_call_starts_until_it_is_resumed(stack: Stack):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))
    refused = []

    for _act in ("suspend", "resume"):
        by(page, "open-standing").click()
        by(page, "standing-reason").fill("fraud")
        by(page, "standing-preview").click()
        expect(by(page, "rehearsal-state")).to_contain_text("New calls will be")
        confirm(page, tenant.accno)
        expect(by(page, "message")).to_contain_text("New calls are")
        client.forget_payers()
        refused.append(tenant.call().json().get("code"))

    assert refused == ["account_suspended", None]
    expect(by(page, "standing")).to_have_count(0)
    expect(by(page, "alert")).to_have_count(2)
    expect(by(page, "pricing-link").first).to_have_attribute("data-deck", "leg-a")
    by(page, "ask-number").first.fill("021-60001234")
    by(page, "ask").first.click()
    expect(page.locator("[name=subject]")).to_have_value(tenant.accno)


def test_the_list_finds_and_adds_up(stack: Stack):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.AUDITOR), path="/finance/", size=NARROW)

    expect(by(page, "total-has")).to_have_attribute("data-amount", "10.00")
    expect(by(page, "account-row")).to_have_count(1)
    assert (overflow(page), serious_faults(page)) == (0, [])
    by(page, "filter-low").check()
    by(page, "filter").click()

    expect(by(page, "accounts-none")).to_be_visible()
    expect(by(page, "filter-clear")).to_be_visible()


def test_what_is_no_amount_is_said_at_its_field_and_nothing_moves(stack: Stack):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))

    for amount in ("", "1e3"):
        with page.expect_navigation():
            fill(page, "top_up", amount, "BANK-9")
        expect(by(page, "top_up-amount-error")).to_be_visible()
        expect(by(page, "top_up-amount")).to_have_value(amount)

    assert by(page, "top_up-amount").get_attribute("aria-invalid") == "true"
    expect(by(page, "top_up-reference")).to_have_value("BANK-9")
    assert movements(tenant) == 1
    assert tenant.account.balance == Decimal("10.00")


def test_who_may_see_what(stack: Stack):
    tenant, elsewhere = make_tenant(balance="10.00"), make_tenant()
    agent = stack.window(tenant.agent.user, path=address(tenant))
    auditor = stack.window(person(tenant.organization, Role.AUDITOR), path=address(tenant))

    expect(by(agent, "balance")).to_have_attribute("data-amount", "10.00")
    expect(by(agent, "ledger")).to_have_count(0)
    expect(by(auditor, "ledger-row")).to_have_count(1)
    expect(by(auditor, "top_up-amount")).to_have_count(0)
    token = auditor.locator("[name=csrfmiddlewaretoken]").first.input_value()
    forged = {"csrfmiddlewaretoken": token, "amount": "5", "reference": "X", "reason": "x", "confirm": tenant.accno}
    answers = [
        agent.request.get(f"{address(tenant)}?format=csv").status,
        auditor.request.post(f"{address(tenant)}top-ups/", form=forged).status,
        auditor.request.get(address(elsewhere)).status,
    ]
    assert answers == [403, 403, 404]
    assert tenant.account.balance == Decimal("10.00")


def test_the_file_holds_what_the_page_shows(stack: Stack):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant))
    fill(page, "adjustment", "-2.50", "FIX-3", "=HYPERLINK(1)")
    confirm(page, tenant.accno)
    expect(by(page, "ledger-row")).to_have_count(2)

    rows = list(csv.reader(io.StringIO(page.request.get(f"{address(tenant)}?format=csv").text())))[2:]

    assert [row[2:6] for row in rows] == [
        ["FIX-3", "'=HYPERLINK(1)", "-2.500000", "7.500000"], ["opening", "", "10.000000", "10.000000"],
    ]  # fmt: skip


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, dark: bool):
    tenant = make_tenant(balance="10.00")
    page = stack.window(person(tenant.organization, Role.FINANCE), path=address(tenant), size=NARROW, dark=dark)
    assert (overflow(page), serious_faults(page)) == (0, [])

    fill(page, "top_up", "5", "BANK-10")
    expect(by(page, "rehearsal")).to_be_visible()

    assert (overflow(page), serious_faults(page)) == (0, [])
