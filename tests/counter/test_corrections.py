"""A truer charge replaces the one in force: an estimate once, a correction once per id. Nothing is edited."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from billing_platform.models import OutboxEvent
from counter.models import QuotaUse, ReplacedCharge, UnitPack
from ledger.funding import Funding, adjust
from tests import cast
from tests.counter.told import NOON, call, end, end_one, money, refusal_of, start, stop_clock, transfers_of_uses, use

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def acme(books):
    account = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck(
        "flat", "#!band peak from=13:00 to=14:00", "021,0.10,60,60,", "021,0.12,60,60,peak",
        columns=f"{cast.DECK_COLUMNS},band",
    )  # fmt: skip
    cast.price_by("flat", label="voice", organization="acme")
    stop_clock(NOON)
    return account


def test_the_true_end_replaces_the_estimate_once(acme):
    now = clock.now()
    assumed = use(acme, "voice", "c1", 600, finish=now, call=call(), estimated=True, rate_policy="highest")
    assert end_one(assumed).cost == Decimal("1.20")

    true = use(acme, "voice", "c1", 61, finish=now, call=call())
    receipt = end_one(true)

    assert (receipt.cost, receipt.warnings, receipt.duplicate) == (Decimal("0.20"), ("replaced_estimate",), False)
    assert (money(acme), transfers_of_uses()) == (("99.8", "0"), [Decimal("1.2"), Decimal("-1.2"), Decimal("0.2")])
    assert end_one(true).duplicate
    truer = use(acme, "voice", "c1", 30, finish=now, call=call())
    assert refusal_of(end_one, truer).code == "idempotency_conflict"
    assert refusal_of(end_one, assumed).code == "idempotency_conflict"
    assert ReplacedCharge.objects.values_list("cause", "cost").get() == ("estimate", Decimal("1.2"))


def test_an_estimate_with_the_times_of_the_true_end_is_priced_anew(acme):
    now = clock.now()
    facts = {"finish": now, "call": call()}
    assumed = use(acme, "voice", "c1", 60, estimated=True, rate_policy="highest", **facts)
    assert end_one(assumed).cost == Decimal("0.12")
    assert end_one(assumed).duplicate

    receipt = end_one(use(acme, "voice", "c1", 60, **facts))

    assert (receipt.cost, receipt.warnings) == (Decimal("0.10"), ("replaced_estimate",))
    assert money(acme) == ("99.9", "0")


def test_a_free_truth_returns_the_whole_estimate(acme):
    now = clock.now()
    end_one(use(acme, "voice", "c1", 600, finish=now, call=call(), estimated=True))

    receipt = end_one(use(acme, "voice", "c1", 20, finish=now, call=call(answered=False)))

    assert (receipt.cost, money(acme)) == (0, ("100", "0"))
    assert transfers_of_uses() == [Decimal("1.0"), Decimal("-1.0")]


def test_an_estimate_that_expired_is_replaced_by_the_end(acme):
    svcno = start(acme, "voice", "c1", call=call(), max_seconds=600).svcno
    end_one(use(acme, "voice", "c1", 600, call=call(), estimated=True))

    receipt = end_one(use(acme, "voice", "uuid-1", 61, call=call(), svcno=svcno))

    assert (receipt.svcno, receipt.cost, money(acme)) == (svcno, Decimal("0.20"), ("99.8", "0"))


def test_a_correction_replaces_once_per_id(acme):
    now = clock.now()
    end_one(use(acme, "voice", "c1", 600, finish=now, call=call()))
    fixed = use(acme, "voice", "c1", 61, finish=now, call=call(), correction="ticket-1")

    first, again = end_one(fixed), end_one(fixed)

    assert (first.cost, first.warnings, first.duplicate) == (Decimal("0.20"), ("corrected",), False)
    assert (again.cost, again.duplicate) == (Decimal("0.20"), True)
    other = use(acme, "voice", "c1", 30, finish=now, call=call(), correction="ticket-1")
    assert refusal_of(end_one, other).code == "idempotency_conflict"
    assert end_one(use(acme, "voice", "c1", 30, finish=now, call=call(), correction="ticket-2")).cost == Decimal("0.10")
    assert (money(acme), len(transfers_of_uses())) == (("99.9", "0"), 5)


def test_a_correction_with_a_long_id_is_told_apart_from_its_neighbour(acme):
    now = clock.now()
    end_one(use(acme, "voice", "c1", 600, finish=now, call=call()))
    ids = ["x" * 63 + "1", "x" * 63 + "2"]

    costs = [
        end_one(use(acme, "voice", "c1", seconds, finish=now, call=call(), correction=one)).cost
        for seconds, one in zip((61, 1), ids, strict=True)
    ]

    assert (costs, money(acme)) == ([Decimal("0.20"), Decimal("0.10")], ("99.9", "0"))


def test_a_correction_tells_that_calls_may_start_again_only_when_they_may(acme):
    now = clock.now()
    adjust(Funding(acme.accno, Decimal("-99.70"), "spent before", now))
    end_one(use(acme, "voice", "c1", 600, finish=now, call=call()))
    told = OutboxEvent.objects.filter(subject=acme.accno, topic__startswith="account.").order_by("id")
    before = list(told.values_list("topic", flat=True))

    end_one(use(acme, "voice", "c1", 301, finish=now, call=call(), correction="ticket-1"))
    still_owing = money(acme), told.count()
    end_one(use(acme, "voice", "c1", 61, finish=now, call=call(), correction="ticket-2"))

    assert before == ["account.low_balance", "account.overdrawn"]
    assert (still_owing, money(acme)) == ((("-0.3", "0"), 2), ("0.1", "0"))
    assert list(told.values_list("topic", "payload"))[2:] == [
        ("account.state", {"accno": acme.accno, "state": "active"})
    ]


def test_a_correction_of_a_free_charge_has_nothing_to_reverse(acme):
    now = clock.now()
    end_one(use(acme, "voice", "c1", 60, finish=now, call=call(answered=False)))

    end_one(use(acme, "voice", "c1", 60, finish=now, call=call(), correction="ticket-1"))

    assert (money(acme), transfers_of_uses()) == (("99.9", "0"), [Decimal("0.1")])


def test_drawn_minutes_return_before_the_truth_draws_its_own(acme):
    pack = cast.grant_minutes(acme, "voice", "12")
    now = clock.now()
    assumed = end_one(use(acme, "voice", "c1", 600, finish=now, call=call(), estimated=True))
    assert (assumed.pack_units, assumed.cost, remaining(pack)) == (10, 0, Decimal(2))

    receipt = end_one(use(acme, "voice", "c1", 61, finish=now, call=call()))

    assert (receipt.pack_units, receipt.cost, remaining(pack)) == (2, 0, Decimal(10))


def remaining(pack):
    return UnitPack.objects.values_list("remaining", flat=True).get(pk=pack)


def test_the_months_quota_counts_the_truth_only(acme):
    cast.make_item("metered", "by_deck", quota=Decimal(100), opened_for=(acme,))
    cast.price_by("flat", label="metered", organization="acme")
    now = clock.now()
    end_one(use(acme, "metered", "c1", 600, finish=now, call=call(), estimated=True))

    end_one(use(acme, "metered", "c1", 61, finish=now, call=call()))

    assert QuotaUse.objects.values_list("used", flat=True).get() == 2


def test_in_one_batch_estimate_truth_and_correction_follow_each_other(acme):
    now = clock.now()
    outcomes = end(
        use(acme, "voice", "c1", 600, finish=now, call=call(), estimated=True),
        use(acme, "voice", "c1", 61, finish=now, call=call()),
        use(acme, "voice", "c1", 1, finish=now - timedelta(seconds=1), call=call(), correction="t1"),
    )

    assert [receipt.cost for receipt in outcomes] == [Decimal("1.0"), Decimal("0.2"), Decimal("0.1")]
    assert money(acme) == ("99.9", "0")
