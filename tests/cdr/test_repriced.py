"""A charge that was made anew reaches the call record by the counter's event, once, whatever is repeated or late."""

from decimal import Decimal
from io import StringIO

from django.core.management import call_command

from billing_platform import clock
from billing_platform.models import JobRun, OutboxEvent
from cdr import repriced
from cdr.models import CallRecord
from cdr.schedule import CHINA
from tests.cast import make_deck, price_by
from tests.cdr.desk import Desk, Sender, call, make_sender


def rerate(sender: Sender, *, deck: str) -> None:
    price_by(deck, label="callback", organization=sender.organization)
    for record in sender.records:
        assert record.answer_time is not None
        month = record.answer_time.astimezone(CHINA).strftime("%Y-%m")  # where its charge begins
        call_command(
            "rerate", "--period", month, "--account", sender.account.accno, "--apply", stdout=StringIO(),
        )  # fmt: skip


def test_the_call_record_takes_the_new_cost_once(desk: Desk) -> None:
    sender = make_sender()
    sender.post(call(seconds=95))
    make_deck("dearer", ",0.50,60,60")
    before = sender.records[0]
    assert before.cost == Decimal("0.24")

    rerate(sender, deck="dearer")
    assert (sender.balance, sender.records[0].cost) == ("99.00", Decimal("0.24"))
    assert repriced.take_repriced() == 1

    record = sender.records[0]
    assert (record.cost, record.revision) == (Decimal("1.00"), before.revision + 1)
    assert record.warnings.split(",").count("repriced") == 1
    assert sender.get(f"cdrs/{record.pk}").json()["cost"] == "1"
    assert sender.get(f"cdrs/{record.pk}/explain").json()["price"]["cost"] == "1"
    assert repriced.take_repriced() == 0
    assert sender.records[0].revision == record.revision


def test_the_cost_of_now_counts_not_that_of_the_event(desk: Desk) -> None:
    sender = make_sender()
    sender.post(call(seconds=30))
    make_deck("dear-a", ",0.70,60,60")
    make_deck("dear-b", ",0.90,60,60")
    rerate(sender, deck="dear-a")
    rerate(sender, deck="dear-b")

    assert repriced.take_repriced() == 1
    assert sender.records[0].cost == Decimal("0.90")


def test_events_that_were_surely_seen_are_not_looked_at_again(desk: Desk) -> None:
    sender = make_sender()
    sender.post(call(seconds=30))
    make_deck("dear-c", ",0.80,60,60")
    rerate(sender, deck="dear-c")
    OutboxEvent.objects.update(created_at=clock.now() - 2 * repriced.SETTLED_AFTER)

    repriced.take_repriced()

    newest = OutboxEvent.objects.latest("id").pk
    assert JobRun.objects.filter(job=repriced.JOB).latest("id").counts == {"through": newest, "changed": 1}
    CallRecord.objects.filter(organization=sender.organization).update(cost=0)
    assert repriced.take_repriced() == 0


def test_uses_of_other_programs_have_no_record_here(desk: Desk) -> None:
    sender, other = make_sender(), make_sender()
    sender.post(call(seconds=30))
    CallRecord.objects.filter(organization=sender.organization).update(service_record_id=0)
    make_deck("dear-d", ",0.80,60,60")
    rerate(sender, deck="dear-d")

    assert (repriced.take_repriced(), sender.records[0].cost, other.records) == (0, Decimal("0.12"), [])
