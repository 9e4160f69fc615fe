"""The office pages of this room, by role."""

import re

import pytest
from django.contrib.auth import get_user_model

from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, Membership, Role
from counter.audit import cards
from counter.models import Organization, ServiceItem, ServicePrice, ServiceRecord
from tests import cast
from tests.counter.told import NOON, call, end_one, start, stop_clock, use

pytestmark = pytest.mark.usefixtures("books")
PAGES = (
    "organization", "application", "accountbinding", "serviceitem", "accountservice", "unitpack", "resourceusage",
    "servicerecord", "defaultratenotice",
)  # fmt: skip


@pytest.fixture
def log_in(client):
    def logged_in(role):
        user = get_user_model().objects.create(username=f"a-{role}", is_staff=True)
        Membership.objects.create(user=user, organization="acme", role=role)
        client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def acme(books):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck("default", ",0.60,60,60")
    cast.grant_minutes(account, "voice", "1")
    return account


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPS, Role.RATE_ADMIN, Role.PLATFORM_ADMIN])
def test_lists_open_for_the_office(acme, log_in, role):
    end_one(use(acme, "voice", "c1", 120, call=call()))
    office = log_in(role)

    assert {page: office.get(f"/admin/counter/{page}/").status_code for page in PAGES} == dict.fromkeys(PAGES, 200)


def test_a_use_shows_its_sum_and_cannot_be_changed(acme, log_in):
    receipt = end_one(use(acme, "voice", "c1", 120, call=call(), summary="<script>"))
    office = log_in(Role.PLATFORM_ADMIN)
    path = f"/admin/counter/servicerecord/{receipt.record_id}/change/"

    page = office.get(path).content.decode()

    assert "<dt><strong>winner</strong></dt>" in page
    assert "default" in page
    assert "<script></" not in page
    assert office.post(path, {"cost": "0"}).status_code == 403
    assert office.get("/admin/counter/servicerecord/add/").status_code == 403
    assert ServiceRecord.objects.get().cost == receipt.cost


def test_a_price_is_added_and_none_is_rewritten(acme, log_in):
    item = ServiceItem.objects.get(label="sms")
    old = ServicePrice.objects.get(item=item)
    office = log_in(Role.RATE_ADMIN)
    path = f"/admin/counter/serviceitem/{item.pk}/change/"
    kept = {
        name: getattr(item, name)
        for name in (
            "name", "legs", "on_expire", "hold_seconds", "keep_seconds", "max_seconds", "min_seconds", "unit_seconds",
            "rounding", "decimals", "limits",
        )
    }  # fmt: skip
    (prefix,) = set(re.findall(r'name="([^"]*)-TOTAL_FORMS"', office.get(path).content.decode()))
    prices = {
        "TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "MIN_NUM_FORMS": 0, "MAX_NUM_FORMS": 1000,
        "0-effective_from_0": "2026-06-01", "0-effective_from_1": "00:00:00", "0-price": "0.07", "0-connect_fee": "0",
        "0-increment": "60",
    }  # fmt: skip
    form = kept | {"enabled": "on", "quota": ""} | {f"{prefix}-{name}": value for name, value in prices.items()}

    response = office.post(path, form)

    assert response.status_code == 302
    prices = list(ServicePrice.objects.filter(item=item).order_by("effective_from").values_list("pk", "price"))
    assert prices[0] == (old.pk, old.price)
    assert [f"{price:.2f}" for _, price in prices] == ["0.05", "0.07"]
    assert AuditEntry.objects.filter(act="serviceitem.change").exists()


def test_only_the_platform_admin_makes_organisations(acme, log_in):
    form = {"code": "new", "name": "New", "zone": "Asia/Shanghai", "parent": ""}

    assert log_in(Role.OPS).post("/admin/counter/organization/add/", form).status_code == 403
    assert log_in(Role.PLATFORM_ADMIN).post("/admin/counter/organization/add/", form).status_code == 302
    assert Organization.objects.filter(code="new").exists()
    assert AuditEntry.objects.filter(act="organization.add").count() == 1


def test_cards_tell_default_rates_and_open_uses_to_those_who_may_look(acme):
    stop_clock(NOON)  # a use that began just now began today
    end_one(use(acme, "voice", "c1", 120, call=call()))
    start(acme, "sms", "m1")

    shown = {card.key: (card.value, card.alarm) for card in cards(Caller("person", roles=frozenset({Role.OPS})))}

    assert shown == {"default_rate": ("1", True), "open_uses": ("1", False)}
    assert cards(Caller("person", roles=frozenset({Role.AGENT}))) == []
