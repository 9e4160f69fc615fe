"""What the metrics tell of charges: exact counts after a story, and nothing of what was not committed."""

import pytest

from billing_platform import failpoints
from tests import cast
from tests.counter.prices import supplier_deck
from tests.counter.told import call, end, end_one, start, states, use
from tests.scraped import counted

pytestmark = pytest.mark.usefixtures("books")
RATED, MONEY = "billing_rated_total", ("billing_revenue_amount_total", "billing_cost_amount_total")


@pytest.fixture
def acme(books):
    account = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_item("both", "by_deck", legs="both", opened_for=(account,))
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_deck("flat", "021,0.12,60,60")
    cast.make_deck("everywhere", ",0.12,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    cast.price_by("everywhere", label="both", organization="acme")
    return account


def test_a_charged_call_is_rated_revenue_and_cost(acme):
    supplier_deck("trunk", ",0.05,60,60")

    with counted(RATED, *MONEY, "billing_rating_duration_seconds") as raised:
        end_one(use(acme, "voice", "c1", 95, call=call()))

    assert raised == {
        "billing_rated_total{result=ok}": 1, "billing_rating_duration_seconds_count{result=ok}": 1,
        "billing_revenue_amount_total{currency=CNY}": 0.24, "billing_cost_amount_total{currency=CNY}": 0.1,
    }  # fmt: skip


def test_a_batch_counts_each_leg_by_what_came_of_it(acme):
    cast.make_deck("default", "00852,0.60,60,60")
    uses = [
        use(acme, "voice", "c1", 60, call=call()),
        use(acme, "both", "c2", 60, call=call(caller="13800000001")),
        use(acme, "voice", "c3", 60, call=call("0085221234567")),
        use(acme, "voice", "c4", 60, call=call("00121255501")),
        use(acme, "voice", "c5", 60, call=call(answered=False)),
        use(acme, "sms", "m1"),
    ]

    with counted(RATED, *MONEY, "billing_rating_duration_seconds") as raised:
        outcomes = end(*uses)

    assert outcomes[3] == "no_rate"
    assert raised == {
        "billing_rated_total{result=ok}": 3, "billing_rated_total{result=default_rate}": 1,
        "billing_rated_total{result=no_rate}": 1, "billing_rating_duration_seconds_count{result=error}": 1,
        "billing_revenue_amount_total{currency=CNY}": 1.01,
    }  # fmt: skip


def test_a_repeat_and_a_correction_are_not_counted_again(acme):
    first = use(acme, "voice", "c1", 95, call=call())

    with counted(*MONEY) as raised:
        end(first, first)
        end_one(first)
        end_one(use(acme, "voice", "c1", 30, finish=first.finish, call=call(), correction="wrong length"))

    assert raised == {"billing_revenue_amount_total{currency=CNY}": 0.24}


def test_a_hold_is_no_revenue(acme):
    with counted(*MONEY) as raised:
        start(acme, "voice", "c1", call=call(), max_seconds=600)

    assert raised == {}


def test_what_was_not_committed_is_no_revenue(acme, monkeypatch):
    monkeypatch.setattr(failpoints, "_armed", failpoints.parse_failpoints("ledger.posting.after_balance:raise"))

    with counted(*MONEY) as raised, pytest.raises(failpoints.FailpointHit):
        end(use(acme, "voice", "c1", 95, call=call()))

    assert (raised, states()) == ({}, [])
