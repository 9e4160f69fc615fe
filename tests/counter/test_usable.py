"""May the service be used: the first refusal wins, nothing is written, nothing is held."""

from decimal import Decimal

import pytest

from counter import starting, subscriptions
from counter.models import ServiceItem, ServiceRecord
from counter.uses import UseRequest
from ledger import accounts
from tests import cast
from tests.counter.told import NOON, call, check, end, money, refusal_of, stop_clock, use

pytestmark = pytest.mark.usefixtures("books")


def test_an_open_service_of_an_account_with_money_is_usable_and_nothing_moves():
    acme = cast.acme("1.00")
    cast.make_item("sms", price="0.10", opened_for=(acme,))

    assert check(acme, "sms") == (True, 0, "")
    assert money(acme) == ("1", "0")
    assert not ServiceRecord.objects.exists()


def test_an_unknown_account_is_named_before_an_unknown_label():
    acme = cast.acme()

    assert refusal_of(check, "C99999999", "nothing").code == "account_not_found"
    assert refusal_of(check, acme, "nothing").code == "service_unknown"


def test_refusals_come_in_the_order_of_the_contract():
    """Everything is wrong at first; each repair uncovers the next refusal."""
    beta = cast.beta()
    cast.make_item("seats", "resource", enabled=False, limits=2)
    item = cast.make_item("sms", price="0.10", enabled=False, quota=Decimal(1))
    accounts.suspend_account(beta.accno)

    def answer():
        return check(beta, "sms", count=2, check_quota=True)

    assert answer() == (False, 705, "account_suspended")
    accounts.resume_account(beta.accno)
    assert answer() == (False, 704, "service_not_open")
    ServiceItem.objects.filter(pk=item.pk).update(enabled=True)
    assert answer() == (False, 704, "service_not_open")
    subscriptions.open_service(beta.accno, "sms", at=cast.LONG_AGO)
    assert answer() == (False, 706, "insufficient_balance")
    cast.give_money(beta, "0.20")
    assert answer() == (False, 707, "quota_exceeded")
    assert check(beta, "sms", count=2) == (True, 0, "")


@pytest.mark.parametrize(("money", "count", "usable"), [("0.30", 3, True), ("0.29", 3, False), ("0", 1, False)])
def test_a_use_needs_its_price(money, count, usable):
    account = cast.make_account("tight", money=money)
    cast.make_item("sms", price="0.10", opened_for=(account,))

    assert check(account, "sms", count=count)[0] is usable


@pytest.mark.parametrize(("money", "usable"), [("0.55", True), ("0.54", False)])
def test_a_duration_needs_connect_fee_and_one_increment(money, usable):
    account = cast.make_account("tight", money=money)
    cast.make_item("meeting", "per_duration", price="0.25", connect_fee=Decimal("0.05"), opened_for=(account,))

    assert check(account, "meeting", count=2)[0] is usable


@pytest.mark.parametrize(("money", "usable"), [("0.000001", True), ("0", False)])
def test_a_call_needs_anything_at_all(money, usable):
    account = cast.make_account("tight", money=money)
    cast.make_item("voice", "by_deck", opened_for=(account,))

    assert check(account, "voice")[0] is usable


def test_resources_and_free_services_need_no_money():
    beta = cast.beta()
    cast.make_item("seats", "resource", opened_for=(beta,))
    cast.make_item("free", price="0", opened_for=(beta,))

    assert check(beta, "seats") == check(beta, "free") == (True, 0, "")


def test_limits_of_a_resource_count_as_quota():
    acme = cast.acme()
    cast.make_item("seats", "resource", limits=2, opened_for=(acme,))

    assert check(acme, "seats", count=3) == (True, 0, "")
    assert check(acme, "seats", count=3, check_quota=True) == (False, 707, "quota_exceeded")
    assert check(acme, "seats", count=2, check_quota=True) == (True, 0, "")


def test_credit_is_money_and_what_is_held_is_not():
    acme = cast.acme("0.10")
    cast.make_item("sms", price="0.10", opened_for=(acme,))
    starting.start_service(UseRequest(acme.accno, "sms", "held"), organizations=None, at=cast.clock.now())

    assert check(acme, "sms") == (False, 706, "insufficient_balance")
    accounts.set_limits(acme.accno, credit_limit=Decimal("0.10"), warning_threshold=Decimal(0))
    assert check(acme, "sms") == (True, 0, "")


def test_package_minutes_are_money_while_they_are_free():
    delta = cast.delta("voice", "2")
    cast.make_item("voice", "by_deck", opened_for=(delta,))
    cast.make_deck("flat", ",0.10,60,60")
    cast.price_by("flat", label="voice", organization="delta")

    assert check(delta, "voice") == (True, 0, "")
    starting.start_service(
        UseRequest(delta.accno, "voice", "c1", call=call(), max_seconds=120), organizations=None, at=cast.clock.now()
    )
    assert check(delta, "voice") == (False, 706, "insufficient_balance")


def test_a_quota_counts_what_was_used_this_month():
    acme = cast.acme()
    cast.make_item("sms", price="0.10", quota=Decimal(3), opened_for=(acme,))
    stop_clock(NOON)  # a use that began just now began in this month
    end(use(acme, "sms", "m1", count=2))

    assert check(acme, "sms", count=1, check_quota=True) == (True, 0, "")
    assert check(acme, "sms", count=2, check_quota=True) == (False, 707, "quota_exceeded")


def test_an_overdrawn_account_has_no_money_for_new_uses():
    acme = cast.acme("0.05")
    cast.make_item("sms", price="0.10", opened_for=(acme,))
    end(use(acme, "sms", "m1"))

    assert check(acme, "sms") == (False, 706, "insufficient_balance")
    cast.give_money(acme, "1.00", reference="more")
    assert check(acme, "sms") == (True, 0, "")


def test_an_opening_counts_only_in_its_period():
    acme = cast.acme()
    cast.make_item("sms", opened_for=(acme,))
    subscriptions.close_service(acme.accno, "sms", at=cast.clock.now())

    assert check(acme, "sms") == (False, 704, "service_not_open")
    subscriptions.open_service(acme.accno, "sms", at=cast.clock.now(), price=Decimal("200.00"))
    assert check(acme, "sms") == (False, 706, "insufficient_balance")
