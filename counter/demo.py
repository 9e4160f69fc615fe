"""The demo's tenants: one with money and every kind of service, one that is broke."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing_platform.demo import Demo
from counter import directory, subscriptions
from counter.models import Application, Organization, ServiceItem, ServicePrice
from ledger import accounts, funding
from ledger.accounts import Account
from ledger.funding import Funding
from rating import tariffs
from rating.assignments import assign_deck
from rating.demo import RETAIL

ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)  # so that the demo's old calls find an open service and a price
MONEY = Decimal("100.00")
BROKE = "broke"
APPLICATION = "demo-app"
Mode = ServiceItem.Mode
ITEMS: tuple[
    tuple[str, str, str, Decimal | None, dict[str, Any]], ...
] = (  # label, name, mode, price per use or minute, other columns
    ("callback", "回拨呼叫", Mode.BY_DECK, None, {"legs": "b"}),
    ("direct", "直呼", Mode.BY_DECK, None, {"legs": "b"}),
    ("softphone", "软电话", Mode.BY_DECK, None, {"legs": "b"}),
    ("sms", "短信", Mode.PER_USE, Decimal("0.05"), {}),
    ("meeting", "电话会议", Mode.PER_DURATION, Decimal("0.10"), {"on_expire": "charge"}),
    ("seats", "坐席", Mode.RESOURCE, None, {"limits": 10}),
    (APPLICATION, "演示应用", Mode.PER_USE, Decimal(0), {"is_application": True}),
)


def seed(demo: Demo) -> None:
    """Organisations, accounts, bindings, services and openings; again: nothing to do."""
    _seed_items()
    Application.objects.get_or_create(code=APPLICATION, defaults={"name": "演示应用"})
    tenant = _seed_tenant(demo.organization, "演示公司")
    Organization.objects.get_or_create(
        code=f"{demo.organization}-sales",
        defaults={"name": "演示公司销售部", "parent": Organization.objects.get(code=demo.organization)},
    )
    funding.top_up(Funding(tenant.accno, MONEY, "demo-opening", ALWAYS, memo="demo"))
    broke = _seed_tenant(BROKE, "欠费公司")
    tariffs.refresh()
    demo.created |= {"account": tenant.accno, "account.broke": broke.accno, "application": APPLICATION}


def _seed_items() -> None:
    for label, name, mode, price, columns in ITEMS:
        item, _new = ServiceItem.objects.get_or_create(label=label, defaults={"name": name, "mode": mode, **columns})
        if price is not None:
            ServicePrice.objects.get_or_create(item=item, effective_from=ALWAYS, defaults={"price": price})


def _seed_tenant(code: str, name: str) -> Account:
    Organization.objects.get_or_create(code=code, defaults={"name": name})
    account = accounts.open_account(kind="company", name=name, owner=code, organization=code)
    directory.bind_account(account.accno, organization=code, at=ALWAYS)
    for label, _name, mode, *_columns in ITEMS:
        subscriptions.open_service(account.accno, label, at=ALWAYS)
        if mode == Mode.BY_DECK:
            assign_deck(RETAIL, tenant=code, category=label, subject=tariffs.ANYBODY, active_from=None, fallback=[])
    return account
