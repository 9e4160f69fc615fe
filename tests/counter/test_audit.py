"""The oracle of this room: clean after honest work, and each broken promise is seen."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.oracle import looking_since
from counter.audit import use_findings
from counter.models import ServiceItem, ServicePrice, ServiceRecord
from ledger.reversals import Reversal, reverse_transfers
from rating.copies import revert_deck
from rating.decks import Publication
from rating.models import CalendarDay, Carrier, NumberSegment
from tests import cast
from tests.counter.told import NOON, call, end, end_one, start, stop_clock, use

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(db):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_item("meeting", "per_duration", price="0.10", min_seconds=30, opened_for=(account,))
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_item("both", "by_deck", legs="both", opened_for=(account,))
    cast.make_deck("flat", ",0.12,60,6", "021,0.10,60,60")
    cast.make_deck("default", ",0.60,60,60")
    for label in ("voice", "both"):
        cast.price_by("flat", label=label, organization="acme")
    return account


def found():
    return {finding.invariant: finding.breaches for finding in use_findings(repriced_max=None)}


def change(record_id, **columns):
    ServiceRecord.objects.filter(pk=record_id).update(**columns)


def test_honest_work_of_every_kind_is_clean(acme):
    cast.make_item("direct", "by_deck", opened_for=(acme,))
    for label in ("sms", "meeting", "voice"):
        cast.grant_minutes(acme, label, "1", source="m")
        cast.grant_uses(acme, label, "1", source="u")
    facts = call(caller="13800000001", agent_answer_at=clock.now() - timedelta(seconds=200))
    start(acme, "voice", "c0", call=call(), max_seconds=60)
    end(
        use(acme, "sms", "m1", count=3), use(acme, "meeting", "t1", 7), use(acme, "meeting", "t2", 200, count=2),
        use(acme, "voice", "c0", 95, call=call()), use(acme, "voice", "c1", 95, call=call("13800000001")),
        use(acme, "voice", "c2", 10, call=call(answered=False)), use(acme, "both", "b1", 61, call=facts),
        use(acme, "direct", "d1", 61, call=call()), use(acme, "voice", "c3", 61),
        use(acme, "voice", "c4", 61, call=call("hidden")),
        use(acme, "voice", "c5", 61, call=call(), estimated=True, rate_policy="highest"),
    )  # fmt: skip
    end(use(acme, "voice", "c5", 30, call=call()), use(acme, "sms", "m1", count=1, correction="t"))

    assert ServiceRecord.objects.filter(state="ended").count() == 11
    assert found() == {7: 0, 8: 0}


def test_later_prices_and_versions_do_not_change_what_was_charged(acme):
    stop_clock(NOON)
    end(use(acme, "sms", "m1"), use(acme, "meeting", "t1", 61), use(acme, "voice", "c1", 61, call=call()))
    ServicePrice.objects.update(price=Decimal(9))
    ServiceItem.objects.update(min_seconds=600, decimals=0, legs="a")
    cast.publish_deck("flat", "021,0.99,60,60")

    assert found() == {7: 0, 8: 0}


def test_an_amount_that_differs_from_its_transfer_is_seen_twice(acme):
    receipt = end_one(use(acme, "sms", "m1"))
    change(receipt.record_id, cost=Decimal("0.06"))

    assert found() == {7: 1, 8: 1}


def test_a_use_of_another_account_than_its_transfer_is_seen(acme):
    receipt = end_one(use(acme, "sms", "m1"))
    change(receipt.record_id, account_id=cast.echo().id)

    assert found()[7] == 1


def test_a_transfer_without_its_use_is_seen(acme):
    receipt = end_one(use(acme, "sms", "m1"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM counter_servicerecord WHERE id = %s", [receipt.record_id])

    assert found() == {7: 1, 8: 0}


def test_a_charge_that_was_reversed_by_hand_is_seen(acme):
    receipt = end_one(use(acme, "sms", "m1"))
    transfer_id = ServiceRecord.objects.get(pk=receipt.record_id).transfer_id
    reverse_transfers([Reversal(transfer_id, "by hand", clock.now())])

    assert found()[7] == 1


@pytest.mark.parametrize("label", ["sms", "meeting", "voice"])
def test_content_that_was_rewritten_gives_another_price(acme, label):
    receipt = end_one(use(acme, label, "m1", 59, call=call() if label == "voice" else None))
    record = ServiceRecord.objects.get(pk=receipt.record_id)
    change(record.pk, finish_at=record.finish_at + timedelta(minutes=5), explanation=record.explanation.replace(
        '"count":1', '"count":2'))  # fmt: skip

    assert found() == {7: 0, 8: 1}


def test_between_the_nightly_runs_only_new_uses_are_looked_at(acme):
    receipt = end_one(use(acme, "sms", "m1"))
    change(receipt.record_id, cost=Decimal("0.06"))

    with looking_since(clock.now() + timedelta(minutes=1)):
        assert found() == {7: 0, 8: 0}
    with looking_since(clock.now() - timedelta(minutes=1)):
        assert found() == {7: 1, 8: 1}


def test_what_is_edited_afterwards_changes_no_old_price(acme):
    stop_clock(NOON)
    cast.make_deck(
        "bands", "#!band busy days=workday from=09:00 to=18:00", ",0.12,60,6,", "021,0.10,60,60,busy",
        columns=f"{cast.DECK_COLUMNS},band",
    )  # fmt: skip
    cast.price_by("bands", label="voice", organization="acme")
    numbers = ("02160001234", "0085221234567", "95588", "13800000001")
    end(*(use(acme, "voice", number, 61, call=call(number)) for number in numbers))
    before = list(ServiceRecord.objects.order_by("pk").values_list("cost", flat=True))
    assert before == [Decimal("0.2"), Decimal("0.132"), Decimal("0.132"), Decimal("0.132")]

    cast.publish_deck("bands", ",9,60,60")
    revert_deck("bands", to=1, publication=Publication(None), caller=Caller("command", "test"))
    CalendarDay.objects.create(date=NOON.date(), day_class="holiday")
    carrier = Carrier.objects.get_or_create(code="CTCC")[0]
    NumberSegment.objects.create(prefix="8613800000001", carrier=carrier, kind="mobile", source="ported")
    cast.tariffs.refresh()

    assert found() == {7: 0, 8: 0}


def test_a_call_that_met_two_versions_is_priced_again_too(acme):
    stop_clock(NOON)
    cast.publish_deck("flat", ",0.24,60,6", "021,0.20,60,60", effective_from=NOON + timedelta(minutes=5))
    stop_clock(NOON + timedelta(minutes=10))

    receipt = end_one(use(acme, "voice", "c1", 600, call=call()))

    assert (receipt.cost, receipt.deck_version) == (Decimal("1.50"), "flat:1,flat:2")
    assert found() == {7: 0, 8: 0}
    change(receipt.record_id, finish_at=clock.now() + timedelta(minutes=5))
    assert found() == {7: 0, 8: 1}
