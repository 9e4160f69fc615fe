"""What belongs to one organisation is not there for another: every address and every table of the admin is asked.

Lemon's rows carry a mark wherever a text may stand. Pear's person holds every role but the platform's, Pear's key every
scope; whatever they ask for by Lemon's ids is "not found", no answer holds the mark, and Lemon's money stays as it is.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client

from billing_platform import clock
from billing_platform.admin_rules import organization_path
from billing_platform.auth import Caller
from billing_platform.models import (
    AuditEntry,
    JobRun,
    Membership,
    Notice,
    OutboxEvent,
    Role,
    Scope,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing_platform.webhooks import sealed_secret
from callcontrol.models import (
    Agent,
    BusinessHours,
    Callback,
    DisplayNumber,
    Dispute,
    GatePolicy,
    NumberListEntry,
    PendingUse,
    PlatformAccount,
)
from cdr.models import CallRecord, Provider, ReviewItem
from counter.models import DefaultRateNotice, ResourceUsage, ServiceItem
from ledger import adjustments, holds, limits
from ledger.funding import Funding
from ledger.models import CreditLot
from tests.cast import give_money, grant_minutes, make_deck, make_item, make_key
from tests.cdr.desk import Sender, call, make_sender
from tests.counter.prices import supplier_deck
from tests.doors.audiences import TABLE
from tests.ledger_facts import ledger_fingerprint
from tests.processes import running_counter

MARK, NUMBER = "lemon7421", "13874210000"
SHARED = {  # what these name belongs to the house, or is proved otherwise
    "/api/v1/decks/7",
    "/api/v1/decks/none/imports",
    "/api/v1/decks/none/imports/7",
    "/api/v1/decks/none/imports/7/errors",
    "/api/v1/decks/none/imports/7/apply",
    "/api/v1/decks/none/imports/7/discard",
    "/api/v1/providers/none/none/none",
    "/onlyuser/applications/none/",
}
NAMING = sorted(path for path in TABLE if {"none", "7"} & set(path.split("/")) and path not in SHARED)
LISTS = sorted(path for path, line in TABLE.items() if "GET" in line and path not in {*NAMING, *SHARED})
FILTERED = (  # as somebody would look for Lemon's rows
    f"/api/v1/cdrs?called={NUMBER}", f"/api/v1/callbacks?q={NUMBER}", f"/agent/calls/?q={NUMBER}",
    f"/api/billaccounts/?owner={MARK}-owner", f"/api/billaccounts/from-organization/?organization_id={MARK}",
    "/onlyuser/organization-trees/querybill/?accno=ACCNO",
)  # fmt: skip
MONEY = {"amount": "5", "reference": "pear 1", "reason": "pear wants it"}
START, FINISH = "2026-11-02 02:00:12", "2026-11-02 02:01:47"
USE = {"label": "callback", "providerno": "pear 1", "start_time": START}
BODIES = {  # by the end of the address: what would be done if the row were Pear's
    "top-ups": MONEY, "adjustments": MONEY, "usable-service/": {"label": "callback"}, "request-service/": USE,
    "finished-service/": USE | {"finish_time": FINISH}, "increase-resource/": {"label": "seats", "count": 1},
    "reduce-resource/": {"label": "seats", "count": 1},
}  # fmt: skip
COST_OF_A_MINUTE = "0.0357"
COSTS = re.compile(r"(?<!\d)0\.(?:0357|0714)")  # of a minute and of Lemon's two; 12:00:10.0357 is a time
KEPT_APART = sorted((model._meta.label_lower, model) for model in admin.site._registry if organization_path(model))


@dataclass
class Lemon:
    """Another organisation's things, by the parameter of an address that names them."""

    sender: Sender
    callback: Callback
    adjustment_id: int
    record: CallRecord
    run_id: int
    notice_id: int
    limits_id: int
    dispute_id: int


@pytest.fixture(scope="module")
def lemon(module_database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lemon]:
    make_item("callback", "by_deck")
    make_item("seats", "resource")
    make_deck("main", ",0.12,60,60")
    supplier_deck("supplier", f",{COST_OF_A_MINUTE},60,60")
    with running_counter(tmp_path_factory.mktemp("isolation")):
        sender = make_sender(organization=MARK)
        sender.post(call(caller=NUMBER, called=NUMBER, user_data=MARK))
        yield make_lemon(sender)


def make_lemon(sender: Sender) -> Lemon:
    """A row of each kind that belongs to an organisation."""
    account, now = sender.account, clock.now()
    user = User.objects.create_user(f"{MARK}-agent")
    Membership.objects.create(user=user, organization=MARK, role=Role.AGENT)
    agent = Agent.objects.create(user=user, organization=MARK, number=NUMBER, key=f"86{NUMBER}")
    DisplayNumber.objects.create(organization=MARK, number=NUMBER, key=NUMBER)
    NumberListEntry.objects.create(organization=MARK, kind="deny", key=f"86{NUMBER}", note=MARK)
    BusinessHours.objects.create(organization=MARK, day="mon", opens="09:00", closes="18:00")
    GatePolicy.objects.create(organization=MARK)
    endpoint = WebhookEndpoint.objects.create(
        organization=MARK, url=f"https://{MARK}.example/", topics=["x"], secret=sealed_secret("x")
    )
    ReviewItem.objects.create(kind="charge", subject=MARK, digest="0" * 64, organization=MARK)
    Provider.objects.create(code=MARK, platform="generic", organization=MARK)
    event = OutboxEvent.objects.create(topic="cdr.charged", organization=MARK, subject=MARK, payload={})
    WebhookDelivery.objects.create(event=event, endpoint=endpoint, url=endpoint.url, next_attempt_at=now)
    AuditEntry.objects.create(actor=MARK, organization=MARK, act="key.issue", object_type="key", object_id=MARK)
    PlatformAccount.objects.create(code=MARK, adapter="generic", organization=MARK, credentials=b"")
    PendingUse.objects.create(action="cancel", accno=account.accno, label="callback", reference=MARK, organization=MARK)
    DefaultRateNotice.objects.create(organization=MARK, accno=account.accno, head="138", day=now.date(), uses=1)
    ResourceUsage.objects.create(account_id=account.id, item=ServiceItem.objects.get(label="seats"), usage=1)
    with transaction.atomic():
        holds.place_hold(account.id, amount=Decimal(1), reference=MARK, expires_at=now + timedelta(hours=1))
    grant_minutes(account, "voice", "10", source=MARK)
    give_money(account, "5", reference=MARK)
    CreditLot.objects.create(account_id=account.id, reference=MARK, kind="gift", granted=1, remaining=1)
    asked = adjustments.request_adjustment(
        Funding(account.accno, Decimal("-90000"), MARK, now), by=Caller("person", MARK, MARK, name=MARK)
    )
    more = limits.Limits(Decimal(90_000), Decimal(0))
    waiting = limits.request_limits(account.accno, more, by=Caller("person", MARK, MARK, name=MARK), reason=MARK)
    callback = Callback.objects.create(
        reference=f"cb{MARK}", organization=MARK, agent=agent, placed_by=f"person:{MARK}", call_type="callback",
        accno=account.accno, label="callback", agent_number=NUMBER, agent_key=NUMBER,
        customer_number=NUMBER, customer_key=NUMBER, state="ended", created_at=now, updated_at=now,
        hold_expires_at=now, user_data=MARK,
    )  # fmt: skip
    dispute = Dispute.objects.create(
        call=callback, organization=MARK, reason="other", text=MARK, opened_by=f"person:{MARK}", opened_at=now,
        charge={"cost": None, "currency": "CNY", "billable_seconds": None, "legs": []},
    )  # fmt: skip
    (record,) = sender.records
    run = JobRun.objects.create(job="rerate", arguments=[f"--account={MARK}"], started_by=f"person:{user.username}")
    notice = Notice.objects.create(user=user, key="1", kind=MARK, path="/", created_at=now)
    return Lemon(sender, callback, asked.id, record, run.pk, notice.pk, waiting.id, dispute.pk)


@pytest.fixture(scope="module")
def pear(lemon: Lemon) -> list[Client]:
    """A person with every role but the platform's, and a key with every scope but the gateway's."""
    sender = make_sender(organization="pear")
    user = User.objects.create_user("pear", is_staff=True)
    for role in set(Role) - {Role.PLATFORM_ADMIN}:
        Membership.objects.create(user=user, organization="pear", role=role)
    person = Client(raise_request_exception=False)
    person.force_login(user)
    key = make_key(sender.organization, *(set(Scope.values) - {Scope.GATEWAY}))
    return [person, Client(raise_request_exception=False, headers={"apikey": key})]


def lemons_address(path: str, lemon: Lemon) -> str:
    """The address with Lemon's ids in it."""
    accno, user = lemon.sender.account.accno, lemon.callback.agent.user_id
    return (
        path.replace("/accounts/none", f"/accounts/{accno}")
        .replace("/billaccounts/none", f"/billaccounts/{accno}")
        .replace("/adjustments/7", f"/adjustments/{lemon.adjustment_id}")
        .replace("/limits/7", f"/limits/{lemon.limits_id}")
        .replace("/calls/none", f"/calls/{lemon.callback.reference}")
        .replace("/callbacks/none", f"/callbacks/{lemon.callback.reference}")
        .replace("/cdrs/7", f"/cdrs/{lemon.record.id}")
        .replace("/disputes/7", f"/disputes/{lemon.dispute_id}")
        .replace("/jobs/7", f"/jobs/{lemon.run_id}")
        .replace("/notices/7", f"/notices/{lemon.notice_id}")
        .replace("/cdr/7", f"/cdr/{lemon.record.id}")
        .replace("/organizations/none", f"/organizations/{MARK}")
        .replace("/organization-trees/none", f"/organization-trees/{MARK}")
        .replace("/users/none/query-org-members/", f"/users/{user}/query-org-members/?organization_id={MARK}")
        .replace("/users/none", f"/users/{user}")
    )


def ask(client: Client, method: str, address: str, body: dict[str, object]) -> HttpResponse:
    return client.generic(
        method, address, json.dumps(body), content_type="application/json", headers={"Idempotency-Key": "pear-1"}
    )


def is_silent(content: str, asked: str) -> bool:
    """Nothing of Lemon's is in the answer, but for the question itself."""
    for echo in (asked, quote(asked), quote(asked, safe="")):
        content = content.replace(echo, "")
    return MARK not in content and NUMBER not in content


@pytest.mark.parametrize("path", NAMING)
def test_what_is_another_organisations_is_not_found(lemon: Lemon, pear: list[Client], path: str) -> None:
    address, before = lemons_address(path, lemon), ledger_fingerprint()
    assert address != path, "say above which of Lemon's ids this address takes, or that it is shared"

    body = next((body for end, body in BODIES.items() if path.endswith(end)), {})

    for method in TABLE[path]:
        answers = [ask(client, method, address, body) for client in pear]
        assert 404 in {answer.status_code for answer in answers} <= {401, 403, 404}, method
        assert all(is_silent(answer.content.decode(), address) for answer in answers), method

    assert ledger_fingerprint() == before


@pytest.mark.parametrize("path", [*LISTS, *FILTERED])
def test_no_list_holds_rows_of_another_organisation(pear: list[Client], lemon: Lemon, path: str) -> None:
    address = path.replace("ACCNO", lemon.sender.account.accno)
    asked = address.partition("=")[2] or address

    for client in pear:
        assert is_silent(client.get(address).content.decode(), asked)


@pytest.mark.parametrize(("label", "model"), KEPT_APART, ids=[label for label, _model in KEPT_APART])
def test_the_admin_shows_the_own_organisation(lemon: Lemon, pear: list[Client], label: str, model: type[Model]) -> None:
    rows = model._default_manager.filter(**{organization_path(model): MARK})
    assert rows.exists(), "give Lemon such a row"
    person, table = pear[0], f"/admin/{label.replace('.', '/')}/"

    assert is_silent(person.get(table).content.decode(), table)
    for act in ("change", "history", "delete"):
        assert person.get(f"{table}{rows[0].pk}/{act}/").status_code in {403, 404}


def test_a_form_of_the_admin_writes_into_the_own_organisation_alone(lemon: Lemon, pear: list[Client]) -> None:
    person, number = pear[0], {"organization": MARK, "kind": "deny", "match": "exact", "key": "8613800000009"}
    foreigner = {"organization": MARK, "user": lemon.callback.agent.user_id, "number": "13800000009"}

    person.post("/admin/callcontrol/numberlistentry/add/", number)
    answer = person.post("/admin/callcontrol/agent/add/", foreigner)

    assert NumberListEntry.objects.get(key=number["key"]).organization == "pear"
    assert answer.status_code == 200  # the form again: there is no such person here
    assert Agent.objects.count() == 1


def lemons_own(*roles: Role) -> Client:
    user = User.objects.create_user(f"{MARK}-only-{'-'.join(roles)}")
    for role in roles:
        Membership.objects.create(user=user, organization=MARK, role=role)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def test_what_a_supplier_asks_reaches_no_agent_supervisor_or_program(lemon: Lemon, pear: list[Client]) -> None:
    program = Client(raise_request_exception=False, headers={"apikey": make_key(MARK, *Scope.values)})
    addresses = [lemons_address(path, lemon) for path, line in TABLE.items() if "GET" in line and path not in SHARED]

    for client in (lemons_own(Role.AGENT), lemons_own(Role.SUPERVISOR), program):
        for address in addresses:
            assert not COSTS.search(client.get(address).content.decode()), address

    assert "0.0714" in COSTS.findall(lemons_own(Role.FINANCE).get(f"/cdr/{lemon.record.id}/").content.decode())
