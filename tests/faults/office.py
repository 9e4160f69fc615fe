"""Where the clerk works: a program with Django on the database that its environment names. See clerk.py."""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.core.management import call_command
from django.db import close_old_connections, connection

from billing_platform.models import WebhookEndpoint
from billing_platform.webhooks import new_secret, sealed_secret
from callcontrol.models import DisplayNumber, GatePolicy, PlatformAccount
from callcontrol.platforms import sealed_credentials
from counter.subscriptions import open_service
from ledger import audit
from rating.models import Deck
from tests.cast import LONG_AGO, make_account, make_item, make_key, price_by, publish_deck

LABEL, DECK = "callback", "faults"
RATE_LINE = ",0.123457,6,6"  # a started tenth of a minute costs 0.0123457: the last micro-yuan is always in play
FIRST = "first"  # the tenant of the template
DISPLAY_NUMBER = "02500000001"


def prepare() -> None:
    call_command("migrate", verbosity=0, interactive=False)
    make_item(LABEL, "by_deck")
    Deck.objects.create(code=DECK, decimals=6)
    publish_deck(DECK, RATE_LINE, effective_from=LONG_AGO)
    make_tenant(FIRST, "1000.00")


def work_on(database: str) -> None:
    connection.settings_dict["NAME"] = database


def make_tenant(organization: str, money: str) -> dict[str, str]:
    account = make_account(organization, money=money)
    open_service(account.accno, LABEL, at=LONG_AGO)
    price_by(DECK, label=LABEL, organization=organization)
    key = make_key(organization, "cdr:write", "cdr:read", "call:write", "call:read")
    return {"organization": organization, "accno": account.accno, "key": key}


def open_gate(organization: str, platform_url: str, policy: dict[str, Any]) -> None:
    PlatformAccount.objects.create(
        code=f"platform-{organization[-8:]}", adapter="generic", base_url=platform_url, organization=organization,
        credentials=sealed_credentials({"key": "key", "secret": "secret"}),
    )  # fmt: skip
    DisplayNumber.objects.create(
        organization=organization, number=DISPLAY_NUMBER, key=DISPLAY_NUMBER, verified_at=LONG_AGO, is_default=True
    )
    GatePolicy.objects.create(organization=organization, **{"live_calls_per_agent": 9, **policy})


def listen(organization: str, url: str) -> None:
    secret = sealed_secret(new_secret())
    WebhookEndpoint.objects.create(organization=organization, url=url, topics=["*"], secret=secret)


def breaches() -> dict[int, list[str]]:
    return {finding.invariant: list(finding.examples) for finding in audit.verify() if finding.breaches}


ORDERS: dict[str, Callable[..., object]] = {
    act.__name__: act for act in (prepare, work_on, make_tenant, open_gate, listen, breaches)
}  # fmt: skip


def main() -> None:
    for line in sys.stdin:
        order, values = json.loads(line)
        close_old_connections()  # the server may have been restarted meanwhile
        answer = ORDERS[order](**values)
        connection.close()  # nobody is in the way of a database that is cloned or dropped
        print(json.dumps(answer), flush=True)  # noqa: T201  the answer
