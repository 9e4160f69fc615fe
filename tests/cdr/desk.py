"""What the stories about call records share: a tenant that sends, the record that it sends, what became of it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from django.test import Client

from billing_platform import clock
from billing_platform.models import Scope
from cdr.models import CallRecord
from counter.models import ServiceRecord
from counter.subscriptions import open_service
from ledger.accounts import Account, load_account
from tests.cast import LONG_AGO, make_account, make_key, price_by
from tests.processes import Process

numbers = count(1)
CONTENT = "application/json"
MARCH = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # for what is never charged
NDJSON = "application/x-ndjson"


@dataclass
class Desk:
    """The counter process of a module's tests."""

    counter: Process
    directory: Path


@dataclass
class Sender:
    """A tenant with money whose callback calls are priced by a deck, and its key."""

    organization: str
    account: Account
    key: str
    client: Client

    def post(self, body: object, *, content_type: str = CONTENT) -> Any:
        """POST records; bytes go as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/api/v1/cdrs", raw, content_type=content_type, headers={"apikey": self.key})

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers={"apikey": self.key})

    @property
    def balance(self) -> str:
        return f"{load_account(self.account.accno).balance:.2f}"

    @property
    def records(self) -> list[CallRecord]:
        return list(CallRecord.objects.filter(organization=self.organization).order_by("id"))

    @property
    def uses(self) -> list[ServiceRecord]:
        return list(ServiceRecord.objects.filter(organization=self.organization).order_by("id"))


def make_sender(
    *, organization: str = "", money: str = "100.00", label: str = "callback", deck: str = "main"
) -> Sender:
    """A tenant of its own for one test."""
    organization = organization or f"tenant{next(numbers)}"
    account = make_account(organization, money=money)
    open_service(account.accno, label, at=LONG_AGO)
    price_by(deck, label=label, organization=organization)
    key = make_key(organization, Scope.CDR_WRITE.value, Scope.CDR_READ.value)
    return Sender(organization, account, key, Client())


def an_hour_ago() -> datetime:
    """A whole second, so that texts and instants agree."""
    return (clock.now() - timedelta(hours=1)).replace(microsecond=0)


def call(*, seconds: int | None = 95, start: datetime | None = None, **fields: object) -> dict[str, Any]:
    """A native record: answered after 12 s, talked for `seconds` (None: not answered); `fields` replace or add."""
    began = start or an_hour_ago()
    answered = began + timedelta(seconds=12)
    ended = answered + timedelta(seconds=seconds or 0)
    record = {
        "provider": "mockpbx", "provider_call_id": f"mp-{next(numbers):04d}", "call_type": "callback", "leg": "call",
        "caller": "13800000001", "called": "13800000002", "start_time": text(began),
        "agent_answer_time": text(began + timedelta(seconds=5)),
        "answer_time": text(answered) if seconds is not None else None, "end_time": text(ended),
        "hangup_cause": "normal_clearing" if seconds is not None else "no_answer", "hangup_by": "customer",
    }  # fmt: skip
    return record | fields


def text(instant: datetime) -> str:
    """As senders in China write it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
