"""What operators see: the invariant that nothing is silent, readiness, cards, and the admin's doors."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform import clock, slots
from billing_platform.auth import Caller
from billing_platform.celery import BEAT
from billing_platform.models import AuditEntry, Membership, Role
from billing_platform.slots import claim_slot
from cdr import demo
from cdr.audit import cards, ready_part, record_findings
from cdr.deliveries import Received, store_deliveries
from cdr.models import CallRecord, FilterRule, Provider, ReviewItem
from tests.cdr.desk import Desk, call, make_sender
from tests.cdr.hooks import make_platform


def breaches() -> dict[int, tuple[str, ...]]:
    return {finding.invariant: finding.examples for finding in record_findings() if finding.breaches}


def minutes_later(minutes: int) -> None:
    clock.set_test_instant(clock.now() + timedelta(minutes=minutes))


def test_silent_delivery_is_a_breach_after_five_minutes(desk: Desk) -> None:
    (stored,) = store_deliveries([Received("cdrs", "native", b"[]", "application/json")], at=clock.now())
    minutes_later(4)
    early = breaches()
    minutes_later(2)

    assert early == {}
    assert breaches() == {6: (f"delivery {stored.id}",)}
    assert ready_part().degraded


def tick() -> None:
    """Beat sent every job and a worker took it."""
    for job, seconds in BEAT.items():
        claim_slot(job, slot=int(clock.now().timestamp()) // seconds)


def test_sweepers_that_nobody_sends_are_seen_after_three_periods(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_started", slots._started - 3600)  # this process began an hour ago
    never = ready_part()
    clock.set_test_instant(clock.now())
    tick()
    ticking = ready_part()
    clock.set_test_instant(clock.now() + timedelta(seconds=31))
    dead = ready_part()
    tick()

    assert (ticking.ok, ready_part().ok) == (True, True)
    assert (dead.ok, dead.degraded) == (False, True)
    assert dead.detail.startswith("nobody runs relay_outbox, sweep_charges, take_up_deliveries")
    assert never.detail.startswith(dead.detail)


@pytest.mark.parametrize(
    "broken",
    [
        {"state": "pending", "billed": False, "next_bill_at": None},
        {"state": "charged", "billed": False},
        {"service_record_id": None},
        {"state": "filtered", "billed": False, "rule": ""},
    ],
    ids=str,
)
def test_silent_record_is_a_breach(desk: Desk, broken: dict[str, object]) -> None:
    number = int(make_sender().post(call()).json()["cdr_id"])
    minutes_later(6)
    clean = f"record {number}" in str(breaches())

    CallRecord.objects.filter(id=number).update(**broken)

    try:
        assert (clean, f"record {number}" in str(breaches())) == (False, True)
    finally:
        CallRecord.objects.filter(id=number).delete()


def test_cards_are_for_those_who_repair(desk: Desk) -> None:
    make_sender().post(call(call_type="inbound"))

    shown = {card.key: card for card in cards(Caller("person", roles=frozenset({Role.OPS.value})))}

    assert int(shown["charges_failed"].value) >= 1
    assert shown["charges_failed"].alarm
    assert cards(Caller("person", roles=frozenset({Role.AGENT.value}))) == []


def operator(role: Role = Role.OPS, *, organization: str = "demo") -> Client:
    user = User.objects.create(username=f"person{User.objects.count()}", is_staff=True)
    Membership.objects.create(user=user, organization=organization, role=role)
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def test_operator_rotates_a_token_and_it_works_at_once(desk: Desk) -> None:
    organization = make_sender().organization
    platform = make_platform(organization)

    page = operator(organization=organization).post(
        "/admin/cdr/provider/", {"action": "new_token", "_selected_action": [platform.row.pk], "index": 0}
    )

    shown = page.content.decode()
    assert page.status_code == 200
    token = re.findall(r"[>\"\s]([A-Za-z0-9_-]{43})[<\"\s]", shown)[0]
    assert platform.push(call(), token=token).status_code == 200
    assert AuditEntry.objects.filter(act="provider.rotate_token", object_id=str(platform.row.pk)).count() == 1


def test_new_parameters_are_a_new_version_and_apply_at_once(desk: Desk) -> None:
    sender = make_sender()
    rule = FilterRule.objects.get(code="test_number")

    operator().post(
        f"/admin/cdr/filterrule/{rule.pk}/change/",
        {"position": "30", "parameters": '{"numbers": ["13800000002"]}', "enabled": "on"},
    )
    told = sender.post(call()).json()
    FilterRule.objects.filter(pk=rule.pk).update(parameters={"numbers": []})

    rule.refresh_from_db()
    assert (told["state"], told["rule"], rule.version) == ("filtered", "test_number", 2)


@pytest.mark.parametrize("page", ["callrecord", "provider", "filterrule", "reviewitem", "opendelivery"])
def test_pages_open_for_operators_and_not_for_rate_people(desk: Desk, page: str) -> None:
    make_sender().post(call(call_type="inbound"))

    assert operator().get(f"/admin/cdr/{page}/").status_code == 200
    assert operator(Role.RATE_ADMIN).get(f"/admin/cdr/{page}/").status_code == 403


def test_review_item_is_done_by_an_operator_only(desk: Desk) -> None:
    sender = make_sender()
    sender.post(call(call_type="inbound"))
    item = ReviewItem.objects.get(organization=sender.organization)
    asked = {"action": "mark_done", "_selected_action": [item.pk], "index": 0}

    operator(Role.FINANCE, organization=sender.organization).post("/admin/cdr/reviewitem/", asked)
    item.refresh_from_db()
    before = item.state
    operator(organization=sender.organization).post("/admin/cdr/reviewitem/", asked)
    item.refresh_from_db()

    assert (before, item.state) == ("open", "done")


def test_demo_platform_is_seeded_once(desk: Desk) -> None:
    for _ in range(2):
        demo.seed(demo.Demo(seed=1, size="small"))

    assert Provider.objects.filter(code="simulator").count() == 1
