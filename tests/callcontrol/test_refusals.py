"""Every refusal of placing a call: its code, its status, and that nothing moved."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from billing_platform import clock
from billing_platform.auth import issue_key
from billing_platform.models import Membership, Role
from callcontrol.models import Agent, BusinessHours, Callback, CallSlot, DisplayNumber, NumberListEntry
from ledger import accounts
from rating import tariffs
from rating.models import CalendarDay
from tests.callcontrol.cast import CUSTOMER, Tenant, make_agent, make_tenant
from tests.callcontrol.stage import Stage
from tests.ledger_facts import ledger_fingerprint
from tests.processes import wait_until

pytestmark = pytest.mark.usefixtures("stage")
MONDAY_NOON = datetime.fromisoformat("2026-03-02T12:00:00+08:00")


def refused(tenant: Tenant, customer: str = CUSTOMER, **body: Any) -> tuple[int, str, dict[str, Any]]:
    """Ask for a call that must be refused, and see that neither money nor slots nor rows moved."""
    before = ledger_fingerprint(), _rows(tenant)
    response = tenant.call(customer, **body)
    assert (ledger_fingerprint(), _rows(tenant)) == before
    return response.status_code, response.json()["code"], response.json()


def _rows(tenant: Tenant) -> tuple[int, list[int]]:
    slots = CallSlot.objects.filter(organization=tenant.organization).order_by("holder")
    return Callback.objects.filter(organization=tenant.organization).count(), list(slots.values_list("live", flat=True))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"customer_number": ""}, "customer_number"),
        ({"customer_number": "abc"}, "customer_number"),
        ({"customer_number": "anonymous"}, "customer_number"),
        ({"customer_number": "1" * 33}, "customer_number"),
        ({"customer_number": 13912345678}, "customer_number"),
        ({"ring_timeout": 4}, "ring_timeout"),
        ({"ring_timeout": 121}, "ring_timeout"),
        ({"ring_timeout": True}, "ring_timeout"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"dial_first": "both"}, "dial_first"),
        ({"record": "yes"}, "record"),
        ({"user_data": "界" * 86}, "user_data"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_malformed_field_is_named(body: dict[str, Any], field: str) -> None:
    acme = make_tenant()

    status, code, problem = refused(acme, **{"customer": body.pop("customer_number", CUSTOMER), **body})

    assert (status, code) == (400, "validation")
    assert list(problem["errors"]) == [field]


def test_body_that_is_no_object_is_refused() -> None:
    acme = make_tenant()

    response = acme.browser().post("/api/v1/callbacks", "[1]", content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (400, "validation")


def test_both_sides_the_same_number() -> None:
    assert refused(make_tenant(), "+86 138-0000-0001")[:2] == (400, "same_numbers")


def test_service_that_is_not_open() -> None:
    status, code, problem = refused(make_tenant(opened=False))

    assert (status, code, problem["billing_code"]) == (403, "service_not_open", 704)


def test_suspended_account() -> None:
    gamma = make_tenant()
    accounts.suspend_account(gamma.accno)

    status, code, problem = refused(gamma)

    assert (status, code, problem["billing_code"]) == (403, "account_suspended", 705)


def test_broke_account() -> None:
    status, code, problem = refused(make_tenant(balance="0"))

    assert (status, code, problem["billing_code"]) == (402, "insufficient_balance", 706)


def test_less_than_one_increment_fails_after_the_gate_and_frees_everything() -> None:
    beta = make_tenant(balance="0.17")

    response = beta.call()

    assert (response.status_code, response.json()["code"]) == (402, "insufficient_balance")
    call = Callback.objects.get(organization=beta.organization)
    assert (call.state, call.refusal, call.hold_amount) == ("failed", "insufficient_balance", None)
    assert set(CallSlot.objects.filter(organization=beta.organization).values_list("live", flat=True)) == {0}
    assert beta.money == (beta.account.balance, 0)


def test_display_number_of_somebody_else_or_unverified() -> None:
    acme, echo = make_tenant(), make_tenant()
    DisplayNumber.objects.create(organization=acme.organization, number="02160000001", key="862160000001")
    DisplayNumber.objects.create(
        organization=echo.organization, number="02160000002", key="862160000002", verified_at=clock.now()
    )

    for number in ("021-6000 0001", "021-6000 0002"):
        status, code, problem = refused(acme, display_to_customer=number)
        assert (status, code, problem["number"]) == (403, "display_number_not_allowed", number)


@pytest.mark.parametrize(
    ("owner", "match", "key"),
    [("own", "exact", "8613912345678"), ("own", "prefix", "86139"), ("platform", "exact", "8613912345678")],
)
def test_number_on_a_deny_list(owner: str, match: str, key: str) -> None:
    acme = make_tenant()
    entry = NumberListEntry.objects.create(
        organization=acme.organization if owner == "own" else "", kind="deny", match=match, key=key
    )
    try:
        assert refused(acme, "139 1234 5678")[:2] == (403, "number_blacklisted")
    finally:
        entry.delete()


def test_deny_list_of_another_tenant_and_other_numbers_do_not_matter() -> None:
    acme, echo = make_tenant(), make_tenant()
    NumberListEntry.objects.create(organization=echo.organization, kind="deny", key="8613912345678")
    NumberListEntry.objects.create(organization=acme.organization, kind="deny", key="861391234567")

    assert acme.call().status_code == 201


def test_allow_mode_lets_only_listed_numbers_through() -> None:
    acme = make_tenant(allow_list_only=True)
    NumberListEntry.objects.create(organization=acme.organization, kind="allow", match="prefix", key="86137")

    assert refused(acme, CUSTOMER)[:2] == (403, "not_in_whitelist")
    assert acme.call("13712345678").status_code == 201


def test_destination_that_the_rate_blocks() -> None:
    acme = make_tenant()

    response = acme.call("0066 2 123 4567")

    assert (response.status_code, response.json()["code"]) == (403, "destination_blocked")
    assert acme.money == (acme.account.balance, 0)


def test_closed_hours_say_when_they_open() -> None:
    acme = make_tenant()
    for day in ("mon", "tue"):
        BusinessHours.objects.create(organization=acme.organization, day=day, opens=time(9), closes=time(11, 30))
    clock.set_test_instant(MONDAY_NOON)

    status, code, problem = refused(acme)

    assert (status, code) == (403, "outside_business_hours")
    assert datetime.fromisoformat(problem["next_open"]) == datetime.fromisoformat("2026-03-03T09:00:00+08:00")


def test_holiday_closes_and_its_own_hours_open() -> None:
    acme = make_tenant()
    BusinessHours.objects.create(organization=acme.organization, day="mon", opens=time(9), closes=time(0))
    CalendarDay.objects.create(date=MONDAY_NOON.date(), day_class="holiday")
    tariffs.refresh()
    clock.set_test_instant(MONDAY_NOON)

    assert refused(acme)[:2] == (403, "outside_business_hours")
    BusinessHours.objects.create(organization=acme.organization, day="holiday", opens=time(12), closes=time(13))
    quoted = acme.browser().post(
        "/api/v1/callbacks/quote", {"customer_number": CUSTOMER}, content_type="application/json"
    )
    assert quoted.json()["allowed"] is True


def test_too_many_calls_to_one_customer_in_an_hour(settings: Any) -> None:
    settings.CALLBACK_CUSTOMER_RATE = (1, 3600)
    acme = make_tenant(balance="50", live_calls_per_agent=5)
    assert acme.call(max_seconds=60).status_code == 201

    response = acme.call(max_seconds=60)

    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert 3000 < int(response.headers["Retry-After"]) <= 3600
    assert acme.call("13712345678", max_seconds=60).status_code == 201


def test_too_many_live_calls_of_an_agent_and_of_the_organisation() -> None:
    acme = make_tenant(balance="50", live_calls_per_agent=1, live_calls_max=2)
    second, third = make_agent(acme.organization, "13800000002"), make_agent(acme.organization, "13800000003")
    assert acme.call(max_seconds=60).status_code == 201

    status, code, problem = refused(acme, max_seconds=60)
    assert (status, code, problem["limit"]) == (429, "concurrency_limit", 1)
    assert acme.call("13712345678", client=acme.browser(second.user)).status_code == 201
    response = acme.call("13712345679", client=acme.browser(third.user))
    assert (response.status_code, response.json()["limit"], response.headers["Retry-After"]) == (429, 2, "15")


def test_platform_refuses_and_the_hold_returns(stage: Stage) -> None:
    acme = make_tenant()

    response = acme.call("13912340010")

    body = response.json()
    assert (response.status_code, body["code"], body["provider_code"]) == (502, "provider_error", "refused")
    call = Callback.objects.get(organization=acme.organization)
    assert (call.state, call.refusal, call.provider_code) == ("failed", "provider_error", "refused")
    wait_until(lambda: acme.account.held == 0, what="the hold returned")
    assert acme.call("13712345678").status_code == 201


def test_agent_uses_no_number_of_somebody_else() -> None:
    acme = make_tenant()
    other = make_agent(acme.organization, "13800000002")
    boss = make_agent(acme.organization, "13800000009", role=Role.SUPERVISOR)

    assert refused(acme, agent_number=other.number)[:2] == (403, "forbidden")
    assert refused(acme, agent_number="13600000000")[:2] == (403, "forbidden")
    assert acme.call(client=acme.browser(boss.user), agent_number=other.number).status_code == 201


def test_person_without_a_telephone_must_name_a_number() -> None:
    acme = make_tenant()
    Agent.objects.filter(pk=acme.agent.pk).update(user=None)

    response = acme.call()

    assert (response.status_code, list(response.json()["errors"])) == (400, ["agent_number"])


def test_strangers_and_those_without_the_right_are_turned_away() -> None:
    acme = make_tenant()
    clerk = User.objects.create_user(f"clerk-{acme.organization}")
    Membership.objects.create(user=clerk, organization=acme.organization, role=Role.FINANCE)
    reader = issue_key(name="reader", organization=acme.organization, scopes=["call:read"])

    assert acme.call(client=acme.browser(clerk)).status_code == 403
    assert acme.call(client=acme.program(reader), key="k", agent_number="13800000001").status_code == 403
    assert acme.call(client=acme.program("nobody.x"), key="k").status_code == 401
    assert not Callback.objects.filter(organization=acme.organization).exists()


def test_quote_shows_the_refusal_it_would_give() -> None:
    acme = make_tenant()
    NumberListEntry.objects.create(organization=acme.organization, kind="deny", key="8613912345678")
    browser = acme.browser()

    def quoted(number: str) -> dict[str, Any]:
        path, body = "/api/v1/callbacks/quote", {"customer_number": number}
        response = browser.post(path, body, content_type="application/json")
        assert response.status_code == 200
        return response.json()

    assert quoted(CUSTOMER)["code"] == "number_blacklisted"
    assert quoted("13800000001")["code"] == "same_numbers"
    assert quoted("006621234567") | {"detail": ""} == {
        "allowed": False, "code": "destination_blocked", "billing_code": 716, "detail": "",
    }  # fmt: skip
    beta = make_tenant(balance="0")
    body = beta.browser().post(
        "/api/v1/callbacks/quote", {"customer_number": CUSTOMER}, content_type="application/json"
    )
    assert (body.json()["allowed"], body.json()["billing_code"]) == (False, 706)


def test_hours_in_the_tenants_own_zone() -> None:
    acme = make_tenant()
    BusinessHours.objects.create(organization=acme.organization, day="mon", opens=time(12), closes=time(13))
    clock.set_test_instant(MONDAY_NOON - timedelta(seconds=1))

    assert refused(acme)[1] == "outside_business_hours"
