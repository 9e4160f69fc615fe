"""ledger.register: accounts found, filtered, page by page; totals are those of the whole filter."""

from decimal import Decimal

import pytest

from billing_platform.paging import PageRequest, page_request
from ledger import bounded, register
from ledger.accounts import Account, set_limits, suspend_account
from ledger.funding import Funding, adjust
from ledger.models import BillingAccount
from ledger.register import AccountFilter, CurrencyTotal, list_accounts, total_accounts
from tests.ledger_facts import NOON, funded_account

pytestmark = pytest.mark.django_db
ALL = PageRequest(50, None)


@pytest.fixture
def accounts() -> list[Account]:
    """One that has 10, one that has 2 and should warn below 5, one suspended with 7, one that owes 3; one elsewhere."""
    rich, low, stopped, owing = (funded_account(money) for money in ("10", "2", "7", "0"))
    BillingAccount.objects.filter(pk=low.id).update(name="Green Tea 绿茶")
    set_limits(low.accno, credit_limit=Decimal(0), warning_threshold=Decimal(5))
    suspend_account(stopped.accno)
    adjust(Funding(owing.accno, Decimal(-3), "debt", NOON))
    funded_account("100", organization="echo")
    return [rich, low, stopped, owing]


def found(wanted: AccountFilter) -> list[str]:
    return [account.accno for account in list_accounts(wanted, ALL).items]


def test_filters_find_what_they_name(accounts: list[Account]) -> None:
    rich, low, stopped, owing = accounts
    numbers = [account.accno for account in accounts]

    assert found(AccountFilter("acme")) == numbers
    assert found(AccountFilter("acme", states=register.BLOCKED)) == [stopped.accno, owing.accno]
    assert found(AccountFilter("acme", states=("active",))) == [rich.accno, low.accno]
    assert found(AccountFilter("acme", below_warning=True)) == [low.accno, owing.accno]
    assert found(AccountFilter("acme", text=rich.accno[2:])) == [rich.accno]
    assert found(AccountFilter("acme", text=rich.accno.lower())) == [rich.accno]
    assert found(AccountFilter("acme", text="green TEA")) == found(AccountFilter("acme", text="绿")) == [low.accno]
    assert found(AccountFilter("acme", text=stopped.owner)) == [stopped.accno]
    assert found(AccountFilter("acme", text="100%_")) == []
    assert len(found(AccountFilter(None, text="company"))) == 4


def test_pages_go_through_all_of_them_once(accounts: list[Account]) -> None:
    first = list_accounts(AccountFilter("acme"), PageRequest(3, None))
    assert first.next_cursor is not None
    second = list_accounts(AccountFilter("acme"), page_request({"cursor": first.next_cursor}, view=register.VIEW))

    assert [one.accno for one in first.items + second.items] == [account.accno for account in accounts]
    assert (len(first.items), second.next_cursor) == (3, None)


def test_totals_are_those_of_the_filter_and_never_mix_debts_with_money(accounts: list[Account]) -> None:
    assert total_accounts(AccountFilter("acme")) == [CurrencyTotal("CNY", 4, Decimal(19), Decimal(3), Decimal(0))]
    assert total_accounts(AccountFilter("acme", states=("suspended",))) == [
        CurrencyTotal("CNY", 1, Decimal(7), Decimal(0), Decimal(0))
    ]
    assert total_accounts(AccountFilter("nobody")) == []


def test_a_question_that_takes_too_long_is_given_up() -> None:
    assert bounded.rows_within(0.02, "SELECT pg_sleep(%s)", [5]) is None
    assert bounded.rows_within(5, "SELECT %s", [5]) == [(5,)]
