"""The office of this room: numbers are normalised, secrets go in and never come out, roles decide."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform.demo import Demo
from billing_platform.models import AuditEntry, Membership, Role
from billing_platform.webhooks import opened_secret
from callcontrol import demo
from callcontrol.models import Agent, Callback, DisplayNumber, GatePolicy, NumberListEntry, PlatformAccount

pytestmark = pytest.mark.django_db
ADMIN = "/admin/callcontrol"


def office(role: str) -> Client:
    user = User.objects.create_user(f"{role}-person", is_staff=True)
    Membership.objects.create(user=user, organization="acme", role=role)
    client = Client()
    client.force_login(user)
    return client


def save(client: Client, path: str, **fields: Any) -> Any:
    return client.post(f"{ADMIN}/{path}", fields)


def test_platforms_secret_is_stored_encrypted_and_never_shown() -> None:
    admin = office(Role.PLATFORM_ADMIN)
    row = {"code": "p1", "adapter": "generic", "base_url": "https://p.example", "priority": 1, "enabled": "on"}

    assert "needs a key id and a secret" in save(admin, "platformaccount/add/?lang=en", **row).content.decode()
    assert not PlatformAccount.objects.exists()
    assert save(admin, "platformaccount/add/", key="k", secret="hush-hush", **row).status_code == 302

    account = PlatformAccount.objects.get()
    assert b"hush" not in bytes(account.credentials)
    page = admin.get(f"{ADMIN}/platformaccount/{account.pk}/change/").content.decode()
    assert "hush-hush" not in page
    assert save(admin, f"platformaccount/{account.pk}/change/", **row | {"priority": 5}).status_code == 302
    account.refresh_from_db()
    assert json.loads(opened_secret(bytes(account.credentials))) == {"key": "k", "secret": "hush-hush"}
    assert account.priority == 5
    trail = AuditEntry.objects.filter(object_type="platformaccount")
    assert trail.count() == 2
    assert "hush" not in str(list(trail.values()))


def test_numbers_are_normalised_and_nonsense_is_refused() -> None:
    ops = office(Role.OPS)

    save(ops, "agent/add/", organization="acme", number="138 0000 0001")
    save(ops, "agent/add/", organization="acme", number="abc")
    save(ops, "displaynumber/add/", organization="acme", number="025-0000 0001")
    save(ops, "numberlistentry/add/", organization="acme", kind="deny", match="exact", key="139 1234 5678")
    save(ops, "numberlistentry/add/", organization="acme", kind="deny", match="prefix", key="86139")
    save(ops, "numberlistentry/add/", organization="acme", kind="deny", match="exact", key="abc")

    assert list(Agent.objects.values_list("key", flat=True)) == ["8613800000001"]
    assert list(DisplayNumber.objects.values_list("key", "verified_at")) == [("02500000001", None)]
    assert sorted(NumberListEntry.objects.values_list("key", flat=True)) == ["86139", "8613912345678"]


@pytest.mark.parametrize(
    ("role", "page", "status"),
    [
        (Role.OPS, "callback/", 200),
        (Role.AUDITOR, "callback/", 200),
        (Role.FINANCE, "callback/", 403),
        (Role.OPS, "platformaccount/", 403),
        (Role.AUDITOR, "platformaccount/add/", 403),
        (Role.OPS, "gatepolicy/", 403),
        (Role.PLATFORM_ADMIN, "gatepolicy/", 200),
        (Role.OPS, "callback/add/", 403),
        (Role.OPS, "pendinguse/", 200),
    ],
)
def test_roles_decide(role: str, page: str, status: int) -> None:
    assert office(role).get(f"{ADMIN}/{page}").status_code == status


def test_customers_number_is_masked_in_the_list_and_absent_from_the_row() -> None:
    call = Callback.objects.create(
        reference="cb_1", organization="acme", placed_by="person:x", call_type="callback", accno="C1", label="callback",
        agent_number="13800000001", agent_key="8613800000001", customer_number="13912345678",
        customer_key="8613912345678", hold_expires_at="2026-03-02T10:00:00Z", created_at="2026-03-02T10:00:00Z",
        updated_at="2026-03-02T10:00:00Z",
    )  # fmt: skip
    ops = office(Role.OPS)

    pages = [ops.get(f"{ADMIN}/callback/{path}").content.decode() for path in ("", f"{call.pk}/change/")]

    assert "139****5678" in pages[0]
    assert all("13912345678" not in page for page in pages)


def test_demo_is_the_same_when_seeded_again() -> None:
    for _ in range(2):
        made = Demo(1, "small")
        demo.seed(made)

    assert (Agent.objects.get().key, DisplayNumber.objects.get().number) == ("8613800000001", "02500000001")
    assert (PlatformAccount.objects.get().base_url, GatePolicy.objects.count()) == (
        "http://127.0.0.1:8090/generic", 1,
    )  # fmt: skip
    assert made.created["platform.simulator"] == "simulator"
