"""A process that dies between the two transactions: the delivery is there, and its records are made from it, once."""

import json
import signal
from datetime import UTC, timedelta

import msgspec
import pytest

from billing_platform import clock
from cdr import intake, takeup
from cdr.adapters import native
from cdr.deliveries import Received, store_deliveries
from cdr.messages import CallMessage, Payload
from cdr.models import CallRecord, Delivery, OpenDelivery, ReviewItem
from cdr.providers import find_hook
from cdr.takeup import take_up_deliveries
from tests.cdr.desk import Desk, Sender, call, make_sender
from tests.cdr.hooks import make_platform
from tests.ledger_facts import assert_books_clean
from tests.processes import send

PROGRAM = """
import sys, django
django.setup()
from django.conf import settings
from django.test import Client
settings.COUNTER_ADDRESS = [sys.argv[1]]
Client().post("/api/v1/cdrs", sys.stdin.buffer.read(), content_type="application/json", headers={"apikey": sys.argv[2]})
"""


def later() -> None:
    """Half a minute and more has passed: whoever was at work on a delivery is gone."""
    clock.set_test_instant(clock.now() + timedelta(seconds=45))


def post_elsewhere(desk: Desk, sender: Sender, body: object, *, failpoints: str) -> int:
    """Post in a process of its own; answers its exit status."""
    words = ["-c", PROGRAM, desk.counter.ready["address"], sender.key]
    return send(words, given=json.dumps(body).encode(), env={"FAILPOINTS": failpoints}).end()[0]


def received(sender: Sender, *records: object) -> Received:
    body = json.dumps(list(records)).encode()
    return Received("cdrs", "native", body, "application/json", sender.organization)


def test_delivery_without_rows_is_taken_up_once(desk: Desk) -> None:
    sender = make_sender()
    store_deliveries([received(sender, call(seconds=95), call(seconds=None))], at=clock.now())
    assert take_up_deliveries() == 0
    later()

    assert take_up_deliveries() == 1

    assert [row.state for row in sender.records] == ["charged", "filtered"]
    assert (sender.balance, take_up_deliveries(), OpenDelivery.objects.count()) == ("99.76", 0, 0)


def test_delivery_of_a_webhook_keeps_its_provider(desk: Desk) -> None:
    sender = make_sender()
    platform = make_platform(sender.organization)
    provider = find_hook(platform.row.code)
    pushed = Received("cdr", "generic", json.dumps(call(seconds=30)).encode(), "", sender.organization, provider)
    store_deliveries([pushed], at=clock.now())
    later()

    take_up_deliveries()

    assert [(row.provider_id, row.state) for row in sender.records] == [(platform.row.pk, "charged")]


@pytest.mark.parametrize(
    "moment",
    ["cdr.intake.after_commit", "cdr.charging.before_counter", "cdr.charging.after_counter", "cdr.intake.mid_batch"],
)
def test_kill_at_any_moment_leaves_one_charge_each(desk: Desk, moment: str) -> None:
    sender = make_sender()
    records = [call(seconds=95), call(seconds=30), call(seconds=None)]
    hit = "@2" if moment.endswith("mid_batch") else ""

    assert post_elsewhere(desk, sender, records, failpoints=f"{moment}:kill9{hit}") == -signal.SIGKILL
    assert sender.records == []
    later()
    take_up_deliveries()
    told = sender.post(records).json()

    assert [row.state for row in sender.records] == ["charged", "charged", "filtered"]
    assert (sender.balance, len(sender.uses)) == ("99.64", 2)
    assert told["counts"] == {"duplicate": 3}
    assert_books_clean(("ledger.audit.ledger_findings", "cdr.audit.record_findings"))


def test_kill_before_the_commit_promises_nothing(desk: Desk) -> None:
    sender = make_sender()
    record = call(seconds=30)

    post_elsewhere(desk, sender, record, failpoints="cdr.intake.before_commit:kill9")

    assert not Delivery.objects.filter(organization=sender.organization).exists()
    assert sender.post(record).json()["result"] == "accepted"


def test_delivery_that_failed_three_times_is_given_up_visibly(desk: Desk) -> None:
    sender = make_sender()
    (stored,) = store_deliveries([received(sender, call(seconds=30))], at=clock.now())
    OpenDelivery.objects.filter(delivery_id=stored.id).update(attempts=takeup.ATTEMPTS_MAX)
    later()

    take_up_deliveries()

    item = ReviewItem.objects.get(delivery_id=stored.id)
    assert (item.kind, item.state) == ("dead", "open")
    assert not OpenDelivery.objects.filter(delivery_id=stored.id).exists()


def test_bad_value_in_one_delivery_does_not_hold_up_its_neighbours(desk: Desk) -> None:
    """The database refuses a text longer than its column, which no adapter of ours lets through."""
    good, bad = make_sender(), make_sender()
    body = json.dumps(call(seconds=30)).encode()
    parsed = native.parse(Payload(body, "application/json", UTC))
    broken = [
        msgspec.structs.replace(message, trunk="x" * 65) for message in parsed if isinstance(message, CallMessage)
    ]
    batch = [
        Received("cdrs", "native", body, "application/json", bad.organization, parsed=broken),
        Received("cdrs", "native", body, "application/json", good.organization, parsed=parsed),
    ]

    told = intake.accept_deliveries(batch)

    assert [(one.result, one.state) for (one,) in told] == [("accepted", "pending"), ("accepted", "charged")]
    assert good.balance == "99.88"
    assert not CallRecord.objects.filter(organization=bad.organization).exists()
    assert OpenDelivery.objects.count() == 1
    later()
    take_up_deliveries()
    assert bad.balance == "99.88"
