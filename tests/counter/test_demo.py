"""The demo's tenants, twice the same."""

from decimal import Decimal

import pytest

from billing_platform.demo import Demo
from counter import demo as room
from counter.models import AccountService, Organization, ServiceItem
from ledger import accounts
from rating import demo as rates
from tests.counter.told import call, check, end_one, use

pytestmark = pytest.mark.usefixtures("books")


def test_seeding_twice_makes_one_demo():
    for _ in range(2):
        demo = Demo(7, "small")
        rates.seed(demo)
        room.seed(demo)

    account = accounts.load_account(demo.created["account"])
    broke = accounts.load_account(demo.created["account.broke"])
    assert (account.balance, account.organization, broke.balance) == (Decimal(100), "demo", 0)
    assert set(Organization.objects.values_list("code", "parent__code")) == {
        ("demo", None), ("demo-sales", "demo"), ("broke", None),
    }  # fmt: skip
    assert (ServiceItem.objects.count(), AccountService.objects.count()) == (7, 14)
    assert check(account, "callback") == (True, 0, "")
    assert check(broke, "callback") == (False, 706, "insufficient_balance")
    for label in ("callback", "direct", "softphone"):
        receipt = end_one(use(account, label, "c1", 61, call=call("01060001234")))
        assert (receipt.cost, receipt.warnings) == (Decimal("0.132"), ("no_hold",))
