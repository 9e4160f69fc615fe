"""A batch: each item is answered alone, in order; one bad item never spoils the others."""

import math
from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from counter import items
from counter.models import ServiceRecord
from counter.uses import ServiceUse
from tests import cast
from tests.counter.told import call, end, end_one, money, start, states, transfers_of_uses, use
from tests.queries import Asked

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def acme(books):
    account = cast.acme("1000.00")
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck("flat", ",0.12,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    return account


def test_a_thousand_uses_with_bad_ones_between_them(acme):
    good = [use(acme, "voice", f"c{n}", 61, call=call()) for n in range(1000)]
    now = clock.now()
    bad = {
        7: use(acme, "nothing", "x1"),
        77: ServiceUse("C99999999", "sms", "x2", now, now),
        500: use(acme, "voice", "x3", start=now, finish=now - timedelta(seconds=1)),
        777: use(acme, "voice", "x4", svcno="not ours"),
        999: use(acme, "voice", "", svcno="S2026030200000017"),
    }

    outcomes = end(*(bad.get(n, one) for n, one in enumerate(good)))

    assert {n: outcomes[n] for n in bad} == {
        7: "service_unknown", 77: "account_not_found", 500: "validation", 777: "validation", 999: "record_not_found",
    }  # fmt: skip
    assert all(outcome.cost == Decimal("0.24") for n, outcome in enumerate(outcomes) if n not in bad)
    assert [receipt.record_id for n, receipt in enumerate(outcomes) if n not in bad] == sorted(
        (receipt.record_id for n, receipt in enumerate(outcomes) if n not in bad), key=int
    )
    assert (money(acme), ServiceRecord.objects.count()) == (("761.2", "0"), 995)


def test_the_number_of_statements_does_not_grow_with_the_batch(acme, monkeypatch):
    end_one(use(acme, "voice", "warm", 61, call=call()))
    monkeypatch.setattr(items, "ITEM_CACHE_SECONDS", math.inf)
    counts = []
    for size in (1, 400):
        with Asked() as statements:
            end(*(use(acme, "voice", f"{size}-{n}", 61, call=call()) for n in range(size)))
        counts.append(len(statements))

    assert counts[0] == counts[1] <= 20


def test_twins_are_a_repeat_or_a_conflict(acme):
    one = use(acme, "sms", "m1")
    other = use(acme, "sms", "m1", count=2, start=one.start, finish=one.finish)

    first, again, conflict, alone = end(one, one, other, use(acme, "sms", "m2"))

    assert (first.duplicate, again.duplicate, again.svcno) == (False, True, first.svcno)
    assert (conflict, alone.duplicate) == ("idempotency_conflict", False)
    assert transfers_of_uses() == [Decimal("0.05")] * 2


def test_a_good_twin_of_a_malformed_one_is_charged(acme):
    now = clock.now()
    wrong = use(acme, "voice", "c1", start=now, finish=now - timedelta(seconds=9))

    refused, receipt = end(wrong, use(acme, "voice", "c1", 61, call=call()))

    assert (refused, receipt.cost) == ("validation", Decimal("0.24"))


def test_two_ends_of_one_start_under_different_keys_charge_once(acme):
    svcno = start(acme, "sms", "call-1").svcno
    same = {"finish": clock.now()}

    outcomes = end(
        use(acme, "sms", "uuid-1", svcno=svcno, **same),
        use(acme, "sms", "call-1", **same),
        use(acme, "sms", "uuid-2", svcno=svcno, **same),
        use(acme, "sms", "uuid-3", 5, svcno=svcno),
    )

    assert [getattr(one, "duplicate", one) for one in outcomes] == [False, True, True, "idempotency_conflict"]
    assert (transfers_of_uses(), states()) == ([Decimal("0.05")], [("uuid-1", "ended")])


def test_ends_by_svcno_alone_are_told_apart(acme):
    numbers = [start(acme, "sms", f"m{n}").svcno for n in range(3)]
    same = {"finish": clock.now()}

    outcomes = end(*(use(acme, "sms", "", svcno=svcno, **same) for svcno in [*numbers, numbers[0]]))

    assert [receipt.svcno for receipt in outcomes] == [*numbers, numbers[0]]
    assert [receipt.duplicate for receipt in outcomes] == [False, False, False, True]
    assert (transfers_of_uses(), [name for name, _ in states()]) == ([Decimal("0.05")] * 3, ["m0", "m1", "m2"])


def test_wallets_of_several_organisations_move_together(acme):
    echo = cast.echo("10.00")

    first, second = end(use(acme, "sms", "m1"), use(echo, "sms", "m2"))

    assert (first.balance, second.balance) == (Decimal("999.95"), Decimal("9.95"))
    assert second.warnings == ("service_not_open", "no_hold")


def test_started_uses_of_a_batch_return_all_their_holds(acme):
    for n in range(20):
        start(acme, "voice", f"c{n}", call=call(), max_seconds=600)
    assert money(acme) == ("1000", "24")

    end(*(use(acme, "voice", f"c{n}", 61, call=call()) for n in range(20)))

    assert money(acme) == ("995.2", "0")
