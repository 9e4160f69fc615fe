"""Who plays in the tests of this room: a tenant with money and an agent, or with one thing missing."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from billing_platform import clock
from billing_platform.auth import Caller, issue_key
from billing_platform.models import Membership, Role
from callcontrol.models import Agent, DisplayNumber, GatePolicy, PlatformAccount
from callcontrol.platforms import sealed_credentials
from counter import directory, subscriptions
from counter.models import Organization, ServiceItem, ServicePrice
from ledger import accounts, funding
from ledger.funding import Funding
from rating.assignments import assign_deck
from rating.decks import Publication
from rating.importing.imports import ImportOrder, apply_import
from rating.models import Deck
from tests.callcontrol.simulated import KEY, SECRET

ALWAYS = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
CALLBACK = "callback"
FEE = "report"  # a service charged per use
DECK = """\
#!deck currency=CNY zone=Asia/Shanghai numbering=national rounding=half_up decimals=4
prefix,destination,rate,first_increment,next_increment,blocked
,any,{rate},60,60,
"""
BLOCKED = "0066,blocked,9,60,60,true\n"
AGENT_NUMBER, CUSTOMER, DISPLAY = "13800000001", "13912345678", "02500000001"
_numbers = count(1)


@dataclass
class Tenant:
    """An organisation with its account, one agent logged in, and a program's key."""

    organization: str
    accno: str
    agent: Agent
    key: str

    @property
    def account(self) -> accounts.Account:
        found = accounts.find_account(self.accno)
        assert found is not None
        return found

    @property
    def money(self) -> tuple[Decimal, Decimal]:
        """Balance and holds."""
        return self.account.balance, self.account.held

    def browser(self, user: User | None = None) -> Client:
        client = Client()
        client.force_login(user or self.agent.user)  # type: ignore[arg-type]
        return client

    def program(self, key: str | None = None, **headers: str) -> Client:
        return Client(headers={"apikey": key or self.key, **headers})

    def call(self, customer: str = CUSTOMER, *, client: Client | None = None, key: str = "", **body: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return (client or self.browser()).post(
            "/api/v1/callbacks", {"customer_number": customer, **body}, content_type="application/json", headers=headers
        )


def make_services() -> None:
    """The services that the tests use: callbacks priced 0.06 + 0.12 a minute, and reports at 0.10 each."""
    for code, rate, more in (("leg-a", "0.06", ""), ("leg-b", "0.12", BLOCKED), ("default", "0.60", "")):
        Deck.objects.create(code=code, family=code, name_zh=code, name_en=code)
        publication = Publication(effective_from=ALWAYS, reason="test")
        apply_import(
            ImportOrder(code, (DECK.format(rate=rate) + more).encode(), publication=publication),
            caller=Caller("task", "test"),
        )
    ServiceItem.objects.create(label=CALLBACK, name="Callback", mode="by_deck", legs="both")
    item = ServiceItem.objects.create(label=FEE, name="Report", mode="per_use")
    ServicePrice.objects.create(item=item, effective_from=ALWAYS, price=Decimal("0.10"))


def make_platform(base_url: str, *, code: str = "simulator", **more: Any) -> PlatformAccount:
    credentials = sealed_credentials({"key": KEY, "secret": SECRET})
    return PlatformAccount.objects.create(
        code=code, adapter="generic", base_url=base_url, credentials=credentials, **more
    )


def make_tenant(*, balance: str = "1.00", opened: bool = True, parent: str = "", **policy: Any) -> Tenant:
    """A tenant of its own: nothing of another test's is in its way."""
    organization = f"tenant{next(_numbers)}"
    above = Organization.objects.get(code=parent) if parent else None
    Organization.objects.create(code=organization, name=organization.title(), parent=above)
    account = directory.create_account(owner=organization, kind="company", name=organization, organization=organization)
    if Decimal(balance):
        funding.top_up(Funding(account.accno, Decimal(balance), "opening", clock.now()))
    for label in (CALLBACK, FEE) if opened else ():
        subscriptions.open_service(account.accno, label, at=ALWAYS)
    for leg in ("a", "b"):
        assign_deck(
            f"leg-{leg}", tenant=organization, category=f"{CALLBACK}.{leg}", subject="*any", active_from=ALWAYS,
            fallback=[],
        )  # fmt: skip
    directory.bind_account(account.accno, organization=organization, at=ALWAYS)
    agent = make_agent(organization, AGENT_NUMBER)
    DisplayNumber.objects.create(
        organization=organization, number=DISPLAY, key="02500000001", verified_at=ALWAYS, is_default=True
    )
    GatePolicy.objects.create(organization=organization, **{"live_calls_per_agent": 1, "live_calls_max": 5, **policy})
    key = issue_key(name=organization, organization=organization, scopes=["call:write", "call:read"])
    return Tenant(organization, account.accno, agent, key)


def make_agent(organization: str, number: str, *, role: str = Role.AGENT) -> Agent:
    user = User.objects.create_user(f"agent{next(_numbers)}")
    Membership.objects.create(user=user, organization=organization, role=role)
    return Agent.objects.create(user=user, organization=organization, number=number, key=f"86{number}")
