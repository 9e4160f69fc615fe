"""What a call cost us stands beside what it cost the customer: known or unknown, never guessed, never told."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing_platform import clock
from counter.models import ReplacedCharge, ServiceRecord
from rating.costs import cost_tariff, costs_are_known
from tests import cast
from tests.counter.prices import supplier_deck
from tests.counter.told import NOON, call, end, end_one, stop_clock, use

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def acme(books):
    account = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_item("both", "by_deck", legs="both", opened_for=(account,))
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_deck("flat", ",0.12,60,60")
    cast.make_deck("default", ",0.60,60,60")
    for label in ("voice", "both"):
        cast.price_by("flat", label=label, organization="acme")
    stop_clock(NOON)
    return account


def costs():
    return list(ServiceRecord.objects.order_by("pk").values_list("supplier_cost", "supplier_deck_version"))


def test_without_a_suppliers_deck_the_cost_is_unknown(acme):
    end(use(acme, "voice", "c1", 61, call=call()), use(acme, "sms", "m1"))

    assert costs() == [(None, ""), (None, "")]
    assert not costs_are_known()
    assert cost_tariff(category="voice", carrier="CMCC", at=clock.now(), currency="CNY") is None


def test_the_trunks_carrier_says_whose_deck_it_is(acme):
    supplier_deck("any-trunk", "86,0.05,60,60")
    supplier_deck("cmcc-trunk", "86,0.03,60,60", carrier="CMCC")

    end(
        use(acme, "voice", "c1", 61, call=call(carrier="CMCC")), use(acme, "voice", "c2", 61, call=call(carrier="X")),
        use(acme, "voice", "c3", 61, call=call()),
    )  # fmt: skip

    assert costs() == [
        (Decimal("0.06"), "cmcc-trunk:1"), (Decimal("0.1"), "any-trunk:1"), (Decimal("0.1"), "any-trunk:1"),
    ]  # fmt: skip


def test_a_label_of_its_own_wins_over_every_label(acme):
    supplier_deck("all", ",0.05,60,60")
    supplier_deck("voice-only", ",0.01,60,60", category="voice")

    end(use(acme, "voice", "c1", 60, call=call()), use(acme, "both", "b1", 60, call=call(caller="13800000001")))

    assert costs() == [(Decimal("0.01"), "voice-only:1"), (Decimal("0.1"), "all:1")]


def test_a_number_that_the_supplier_has_no_price_for_is_unknown_not_free(acme):
    supplier_deck("far", "852,0.50,60,60")

    end(use(acme, "voice", "c1", 60, call=call()), use(acme, "voice", "c2", 60, call=call("hidden")),
        use(acme, "voice", "c3", 60, call=call("0085221234567")))  # fmt: skip

    assert [amount for amount, _ in costs()] == [None, None, Decimal("0.5")]


def test_another_currency_is_unknown_too(acme):
    supplier_deck("dollars", ",0.01,60,60", currency="USD")

    end_one(use(acme, "voice", "c1", 60, call=call()))

    assert costs() == [(None, "")]


def test_an_unanswered_call_costs_nothing_where_the_number_has_a_price(acme):
    supplier_deck("far", "852,0.50,60,60")

    end(use(acme, "voice", "c1", 20, call=call("0085221234567", answered=False)),
        use(acme, "voice", "c2", 20, call=call(answered=False)))  # fmt: skip

    assert costs() == [(Decimal(0), "far:1"), (None, "")]


def test_package_minutes_are_not_free_for_us(acme):
    supplier_deck("any-trunk", ",0.05,60,60")
    cast.grant_minutes(acme, "voice", "2")

    receipt = end_one(use(acme, "voice", "c1", 150, call=call()))

    assert (receipt.cost, costs()[0][0]) == (Decimal("0.12"), Decimal("0.15"))


def test_the_cost_before_stands_in_the_history(acme):
    supplier_deck("any-trunk", ",0.05,60,60")
    now = clock.now()
    end_one(use(acme, "voice", "c1", 600, finish=now, call=call(), estimated=True))

    end_one(use(acme, "voice", "c1", 60, finish=now, call=call()))

    assert (costs(), ReplacedCharge.objects.get().supplier_cost) == (
        [(Decimal("0.05"), "any-trunk:1")], Decimal("0.5"))  # fmt: skip


def test_finance_reads_it_and_no_answer_or_explanation_tells_it(acme):
    supplier_deck("secret-trunk", ",0.0321,60,60")

    receipt = end_one(use(acme, "voice", "c1", 60, call=call()))

    record = ServiceRecord.objects.get()
    told = json.dumps([record.explanation, record.content, record.warnings, record.deck_version, repr(receipt)])
    assert "0.0321" not in told
    assert "secret" not in told
    with connection.cursor() as cursor:
        cursor.execute("SELECT supplier_cost, supplier_deck_version FROM counter_use_explanations")
        assert cursor.fetchall() == [(Decimal("0.0321"), "secret-trunk:1")]


def test_the_version_in_force_when_the_call_began_counts(acme):
    supplier_deck("any-trunk", ",0.05,60,60")
    cast.publish_deck("any-trunk", ",0.09,60,60", effective_from=NOON + timedelta(minutes=1))

    end_one(use(acme, "voice", "c1", 60, call=call()))
    stop_clock(NOON + timedelta(minutes=4))
    end_one(use(acme, "voice", "c2", 60, call=call()))

    assert costs() == [(Decimal("0.05"), "any-trunk:1"), (Decimal("0.09"), "any-trunk:2")]
