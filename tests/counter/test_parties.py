"""What a process remembers of accounts and openings is never older than the directory's generation."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from counter import subscriptions
from counter.models import AccountService
from ledger import accounts
from ledger.models import BillingAccount
from tests import cast
from tests.counter.told import end, end_one, use

pytestmark = pytest.mark.usefixtures("books")


def test_an_opening_counts_from_the_next_use_on():
    acme = cast.acme()
    item = cast.make_item("sms", "per_use", price="0.10")
    assert end_one(use(acme, "sms", "s1")).warnings == ("service_not_open", "no_hold")

    subscriptions.open_service(acme.accno, "sms", at=clock.now() - timedelta(hours=1))
    assert end_one(use(acme, "sms", "s2")).warnings == ("no_hold",)

    AccountService.objects.filter(account_id=acme.id, item=item).update(price=Decimal("0.30"))
    assert end_one(use(acme, "sms", "s3")).cost == Decimal("0.30")


def test_an_account_is_known_as_it_stands_now():
    acme = cast.acme()
    cast.make_item("sms", "per_use", price="0.10", opened_for=(acme,))
    (first,) = end(use(acme, "sms", "s1"), organizations=frozenset({"acme"}))
    assert first.warnings == ("no_hold",)

    accounts.suspend_account(acme.accno)
    assert end_one(use(acme, "sms", "s2")).warnings == ("account_suspended", "no_hold")

    BillingAccount.objects.filter(pk=acme.id).update(organization="other")
    assert end(use(acme, "sms", "s3"), organizations=frozenset({"acme"})) == ["account_not_found"]


def test_what_moves_no_money_tells_the_balance_of_now():
    acme = cast.acme()
    cast.make_item("sms", "per_use", price="0.10", opened_for=(acme,))
    again = use(acme, "sms", "s1")
    assert end_one(again).balance == Decimal("99.90")
    end_one(use(acme, "sms", "s2"))

    repeat = end_one(again)

    assert (repeat.duplicate, repeat.balance, repeat.account_state) == (True, Decimal("99.80"), "active")
