"""The ledger in /admin/: seen by those who may, edited by nobody."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from billing_platform.models import Membership
from ledger.funding import Funding, grant
from ledger.holds import place_hold
from ledger.models import BillingAccount, CreditLot, Hold, Transfer
from tests.ledger_facts import LATER, NOON, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db
PAGES = ["billingaccount", "transfer", "hold", "creditlot", "adjustmentrequest", "limitrequest", "seal"]


def staff(role: str) -> Client:
    user = User.objects.create_user(role, password="long enough 1", is_staff=True)
    Membership.objects.create(user=user, organization="acme", role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rows() -> dict[str, object]:
    """One row of each kind, by the name of its page."""
    account = funded_account("10")
    grant(Funding(account.accno, Decimal(5), "welcome", NOON), expires_at=LATER)
    with transaction.atomic():
        place_hold(account.id, amount=Decimal(1), reference="call", expires_at=LATER)
    models = {"billingaccount": BillingAccount, "transfer": Transfer, "hold": Hold, "creditlot": CreditLot}
    return {name: model.objects.latest("pk").pk for name, model in models.items()}


@pytest.mark.parametrize("role", ["finance", "ops", "auditor", "platform_admin"])
def test_readers_see_every_list_and_row(role: str, rows: dict[str, object]) -> None:
    client = staff(role)

    assert {page: client.get(f"/admin/ledger/{page}/").status_code for page in PAGES} == dict.fromkeys(PAGES, 200)
    for page, key in rows.items():
        assert client.get(f"/admin/ledger/{page}/{key}/change/").status_code == 200


def test_nobody_adds_changes_or_deletes(rows: dict[str, object]) -> None:
    client = staff("platform_admin")
    before = ledger_fingerprint()

    for page, key in rows.items():
        assert client.get(f"/admin/ledger/{page}/add/").status_code == 403
        assert client.post(f"/admin/ledger/{page}/{key}/change/", {"amount": "1"}).status_code == 403
        assert client.post(f"/admin/ledger/{page}/{key}/delete/", {"post": "yes"}).status_code == 403

    assert ledger_fingerprint() == before


@pytest.mark.parametrize("role", ["agent", "supervisor", "rate_admin"])
def test_others_do_not_see_that_it_exists(role: str, rows: dict[str, object]) -> None:
    client = staff(role)

    assert {client.get(f"/admin/ledger/{page}/").status_code for page in PAGES} == {403}
