"""Uses that go on, and uses whose time ran out."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from counter import keeping
from tests import cast
from tests.counter.told import (
    call,
    end_one,
    expire_at,
    money,
    refusal_of,
    start,
    states,
    stop_clock,
    transfers_of_uses,
    use,
)

pytestmark = pytest.mark.usefixtures("books")


def keep(account, label, providerno="", *, expire=None, organizations=None):
    return keeping.keep_service(
        account.accno, label, providerno=providerno, expire=expire, organizations=organizations, at=clock.now()
    )


def meeting(money="10.00", **columns):
    """Meetings at 0.10 a minute, held in windows of 600 s = 1.00."""
    acme = cast.acme(money)
    cast.make_item("meeting", "per_duration", price="0.10", opened_for=(acme,), **columns)
    return acme


def test_keeping_moves_the_expiry_and_holds_the_next_window():
    acme = meeting()
    expire = clock.now() + timedelta(minutes=10)
    svcno = start(acme, "meeting", "m1", expire=expire).svcno

    kept = keep(acme, "meeting", "m1", expire=expire + timedelta(minutes=10))

    assert kept == (svcno, expire + timedelta(minutes=10))
    assert money(acme) == ("10", "2")
    receipt = end_one(use(acme, "meeting", "m1", 61))
    assert (receipt.cost, money(acme)) == (Decimal("0.20"), ("9.8", "0"))


def test_keeping_never_shortens_and_without_a_time_adds_the_items_interval():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", keep_seconds=60, opened_for=(acme,))
    stop_clock(cast.clock.now())
    long, short = clock.now() + timedelta(hours=1), clock.now() + timedelta(seconds=5)
    start(acme, "sms", "m1", expire=long)
    start(acme, "sms", "m2", expire=short)

    assert keep(acme, "sms", "m1")[1] == long
    assert keep(acme, "sms", "m2")[1] == clock.now() + timedelta(seconds=60)
    assert money(acme) == ("100", "0.1")


def test_without_a_providerno_every_open_use_is_kept_and_the_newest_answered():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    expire = clock.now() + timedelta(minutes=5)
    start(acme, "sms", "m1", expire=expire)
    newest = start(acme, "sms", "m2", expire=expire).svcno
    end_one(use(acme, "sms", "m0"))

    assert keep(acme, "sms", expire=expire + timedelta(minutes=5)) == (newest, expire + timedelta(minutes=5))
    assert expire_at(expire) == 0


def test_without_money_the_old_expiry_stays():
    acme = meeting("1.50")
    expire = clock.now() + timedelta(minutes=10)
    start(acme, "meeting", "m1", expire=expire)

    refused = refusal_of(keep, acme, "meeting", "m1", expire=expire + timedelta(minutes=10))

    assert (refused.code, refused.grpc_status) == ("insufficient_balance", "RESOURCE_EXHAUSTED")
    assert money(acme) == ("1.5", "1")
    assert expire_at(expire) == 1


def test_only_what_is_open_is_kept():
    acme, echo = meeting(), cast.echo()
    start(acme, "meeting", "m1")
    end_one(use(acme, "meeting", "m1"))
    later = clock.now() + timedelta(minutes=5)

    assert refusal_of(keep, acme, "meeting", "m1", expire=later).fields["state"] == "ended"
    assert refusal_of(keep, acme, "meeting", "m2", expire=later).code == "record_not_found"
    assert refusal_of(keep, acme, "meeting", expire=later).code == "record_not_found"
    assert refusal_of(keep, echo, "meeting", "m1", expire=later).code == "record_not_found"
    assert refusal_of(keep, acme, "meeting", "m1", organizations=frozenset()).code == "account_not_found"
    assert refusal_of(keep, acme, "nothing", "m1").code == "service_unknown"
    assert refusal_of(keep, acme, "meeting", "m1", expire=clock.now()).code == "validation"


def test_the_window_after_the_package_is_paid_with_money():
    acme = meeting(hold_seconds=600)
    cast.grant_minutes(acme, "meeting", "10")
    assert start(acme, "meeting", "m1").hold == 0

    keep(acme, "meeting", "m1")

    assert money(acme) == ("10", "1")
    receipt = end_one(use(acme, "meeting", "m1", 12 * 60))
    assert (receipt.cost, receipt.pack_units, money(acme)) == (Decimal("0.20"), 10, ("9.8", "0"))


def test_expiry_releases_uses_and_calls_and_charges_durations():
    acme = meeting()
    cast.make_item("voice", "by_deck", opened_for=(acme,))
    cast.make_item("charged", "by_deck", on_expire="charge", opened_for=(acme,))
    cast.make_item("timed", "per_duration", price="0.10", on_expire="charge", opened_for=(acme,))
    cast.make_deck("flat", "021,0.12,60,60")
    for label in ("voice", "charged"):
        cast.price_by("flat", label=label, organization="acme")
    expire = clock.now() + timedelta(minutes=3)
    began = expire - timedelta(minutes=3)
    start(acme, "meeting", "m1", expire=expire)
    start(acme, "voice", "c1", call=call(), max_seconds=60, expire=expire)
    start(acme, "charged", "c2", call=call(), max_seconds=60, start=began, expire=expire)
    start(acme, "timed", "t1", start=began, expire=expire)

    assert expire_at(expire) == 4

    assert states() == [("m1", "expired"), ("c1", "expired"), ("c2", "ended"), ("t1", "ended")]
    assert (money(acme), sorted(transfers_of_uses())) == (("9.34", "0"), [Decimal("0.30"), Decimal("0.36")])
    assert expire_at(expire) == 0
    true = end_one(use(acme, "timed", "t1", 61, finish=began + timedelta(seconds=61)))
    assert (true.cost, true.warnings) == (Decimal("0.20"), ("replaced_estimate",))


def test_a_use_kept_for_more_than_a_day_is_charged_for_one_when_it_expires():
    acme = cast.acme("10000.00")
    cast.make_item("timed", "per_duration", price="0.10", on_expire="charge", opened_for=(acme,))
    stop_clock(clock.now())
    start(acme, "timed", "t1")
    stop_clock(clock.now() + timedelta(hours=23))
    keep(acme, "timed", "t1", expire=clock.now() + timedelta(hours=24))

    assert expire_at(clock.now() + timedelta(hours=24)) == 1

    assert transfers_of_uses() == [Decimal("144.0")]
    assert states() == [("t1", "ended")]
