"""Package units: drawn before money, earliest expiry first, only by usage inside their period."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from counter import packs, starting
from counter.models import UnitPack
from counter.uses import NamedUse
from tests import cast
from tests.counter.told import call, end_one, expire_at, money, refusal_of, start, stop_clock, transfers_of_uses, use

pytestmark = pytest.mark.usefixtures("books")


def voice(account, organization):
    """Calls at 0.10 a minute with a fee of 0.05 for each call."""
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck("flat", ",0.10,60,60,0.05", columns=f"{cast.DECK_COLUMNS},connect_fee")
    cast.price_by("flat", label="voice", organization=organization)


def left(account):
    rows = UnitPack.objects.filter(account_id=account.id).order_by("pk")
    return [(float(remaining), float(reserved)) for remaining, reserved in rows.values_list("remaining", "reserved")]


def test_an_account_with_minutes_and_no_money_may_call():
    delta = cast.delta("voice", "5")
    voice(delta, "delta")

    granted = start(delta, "voice", "c1", call=call())

    assert (granted.max_seconds, granted.limit_reason, granted.hold) == (300, "balance", Decimal(0))
    assert (granted.pack_units, left(delta)) == (5, [(5, 5)])
    receipt = end_one(use(delta, "voice", "c1", 95, call=call()))
    assert (receipt.cost, receipt.pack_units, receipt.charged_seconds) == (0, 2, 120)
    assert (left(delta), money(delta), transfers_of_uses()) == ([(3, 0)], ("0", "0"), [])


def test_the_rest_of_a_call_is_priced_as_its_later_slice():
    acme = cast.acme("1.00")
    voice(acme, "acme")
    cast.grant_minutes(acme, "voice", "2")

    granted = start(acme, "voice", "c1", call=call(), max_seconds=300)
    receipt = end_one(use(acme, "voice", "c1", 181, call=call()))

    assert (granted.hold, granted.pack_units) == (Decimal("0.30"), 2)
    assert (receipt.cost, receipt.pack_units, receipt.charged_seconds) == (Decimal("0.20"), 2, 240)
    assert (left(acme), money(acme)) == ([(0, 0)], ("0.8", "0"))


def test_the_pack_that_ends_first_is_drawn_first():
    acme = cast.acme()
    voice(acme, "acme")
    cast.grant_minutes(acme, "voice", "2", days=30, source="long")
    cast.grant_minutes(acme, "voice", "2", days=10, source="short")

    receipt = end_one(use(acme, "voice", "c1", 180, call=call()))

    assert (receipt.cost, receipt.pack_units, left(acme)) == (0, 3, [(1, 0), (0, 0)])


def test_only_usage_inside_the_period_draws():
    acme = cast.acme()
    voice(acme, "acme")
    now = clock.now()
    packs.grant_units(
        acme.id, meter="voice", unit="minute", units=Decimal(5), valid_from=now - timedelta(hours=3),
        valid_to=now - timedelta(hours=1), source="gone",
    )  # fmt: skip

    before = end_one(use(acme, "voice", "c1", 60, finish=now - timedelta(hours=4), call=call()))
    inside = end_one(use(acme, "voice", "c2", 60, finish=now - timedelta(hours=2), call=call()))
    after = end_one(use(acme, "voice", "c3", 60, finish=now, call=call()))

    assert [receipt.pack_units for receipt in (before, inside, after)] == [0, 1, 0]


def test_reserved_units_are_not_given_twice():
    delta = cast.delta("voice", "3")
    voice(delta, "delta")
    start(delta, "voice", "c1", call=call(), max_seconds=120)

    assert start(delta, "voice", "c2", call=call()).max_seconds == 60
    assert refusal_of(start, delta, "voice", "c3", call=call()).code == "insufficient_balance"
    assert left(delta) == [(3, 3)]


@pytest.mark.parametrize("way", ["cancel", "expiry", "unanswered"])
def test_reserved_units_return_when_the_call_does_not_happen(way):
    delta = cast.delta("voice", "3")
    voice(delta, "delta")
    expire = clock.now() + timedelta(minutes=1)
    start(delta, "voice", "c1", call=call(), max_seconds=120, expire=expire)
    assert left(delta) == [(3, 2)]

    if way == "cancel":
        named = NamedUse(delta.accno, "voice", "c1")
        starting.cancel_service(named, reason="", organizations=None, at=clock.now())
    elif way == "expiry":
        expire_at(expire)
    else:
        end_one(use(delta, "voice", "c1", 20, call=call(answered=False)))

    assert left(delta) == [(3, 0)]


def test_reserved_units_of_a_pack_that_ended_meanwhile_are_still_drawn():
    acme = cast.acme()
    voice(acme, "acme")
    now = clock.now()
    packs.grant_units(
        acme.id, meter="voice", unit="minute", units=Decimal(5), valid_from=now - timedelta(hours=1),
        valid_to=now + timedelta(seconds=30), source="ends",
    )  # fmt: skip
    start(acme, "voice", "c1", call=call(), start=now, max_seconds=120)

    stop_clock(now + timedelta(minutes=2))
    receipt = end_one(use(acme, "voice", "c1", 100, start=now, call=call()))

    assert (receipt.pack_units, receipt.cost, left(acme)) == (2, 0, [(3, 0)])


def test_uses_draw_packs_of_uses_and_durations_packs_of_minutes():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    cast.make_item("meeting", "per_duration", price="0.10", opened_for=(acme,))
    for label in ("sms", "meeting"):
        cast.grant_minutes(acme, label, "4", source="minutes")
        cast.grant_uses(acme, label, "2", source="uses")

    sms = end_one(use(acme, "sms", "m1", 60, count=3))
    meeting = end_one(use(acme, "meeting", "m1", 150, count=2))

    assert (sms.cost, sms.pack_units, sms.count) == (Decimal("0.05"), 2, 3)
    assert (meeting.cost, meeting.pack_units) == (Decimal("0.20"), 4)
    assert left(acme) == [(4, 0), (0, 0), (0, 0), (2, 0)]


def test_the_same_source_grants_once():
    acme = cast.acme()
    now = clock.now()
    terms = {"meter": "voice", "unit": "minute", "valid_from": now, "valid_to": now + timedelta(days=1)}

    first = packs.grant_units(acme.id, units=Decimal(5), source="order-1", **terms)

    assert packs.grant_units(acme.id, units=Decimal(5), source="order-1", **terms) == first
    assert refusal_of(packs.grant_units, acme.id, units=Decimal(6), source="order-1", **terms).code == (
        "idempotency_conflict"
    )
