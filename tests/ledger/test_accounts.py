"""ledger.accounts: opened once, numbered, found; what floors above may read of them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing_platform.models import OutboxEvent
from ledger.accounts import (
    close_account,
    find_account,
    find_accounts,
    find_personal_account,
    list_sub_accounts,
    load_account,
    open_account,
    read_account,
    resume_account,
    suspend_account,
)
from ledger.errors import AccountClosed, AccountNotFound, CauseConflict
from ledger.models import BillingAccount, LedgerAccount
from ledger.posting import NewTransfer, post_transfers
from tests.ledger_facts import NOON, funded_account, ledger_fingerprint


@pytest.mark.django_db
def test_accounts_are_numbered_by_kind_and_start_empty() -> None:
    company = open_account(kind="company", name="Acme", owner="7", organization="acme")
    person = open_account(kind="personal", name="Li", owner="7")

    assert (company.accno[0], person.accno[0]) == ("C", "P")
    assert [len(account.accno) for account in (company, person)] == [9, 9]
    assert int(person.accno[1:]) == int(company.accno[1:]) + 1 > 17
    assert (company.balance, company.held, company.available, company.state) == (0, 0, 0, "active")
    assert LedgerAccount.objects.get(code=f"wallet/{company.accno}").kind == "wallet"


@pytest.mark.django_db
def test_opening_again_finds_the_account() -> None:
    company = open_account(kind="company", name="Acme", owner="7")
    person = open_account(kind="personal", name="Li", owner="7")

    assert open_account(kind="company", name="Acme", owner="7") == company
    assert open_account(kind="personal", name="Li", owner="7") == person == find_personal_account("7")
    assert open_account(kind="company", name="Acme West", owner="7").id != company.id


@pytest.mark.django_db
def test_a_second_personal_account_under_another_name_is_refused() -> None:
    open_account(kind="personal", name="Li", owner="7")
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        open_account(kind="personal", name="Wang", owner="7")

    assert ledger_fingerprint() == before


def test_sixteen_doors_open_one_account(fresh_database: object) -> None:
    start = threading.Barrier(16)

    def open_one(_: int) -> int:
        start.wait(10)
        try:
            return open_account(kind="personal", name="Li", owner="7").id
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(open_one, range(16)))

    assert len(ids) == 1
    assert BillingAccount.objects.filter(owner="7").count() == 1


@pytest.mark.django_db
def test_accounts_are_found_by_number_owner_and_parent() -> None:
    parent = open_account(kind="company", name="Acme", owner="7")
    west = open_account(kind="company", name="West", owner="7", parent_id=parent.id)
    east = open_account(kind="company", name="East", owner="7", parent_id=parent.id)

    assert [account.name for account in list_sub_accounts(parent.id)] == ["West", "East"]
    assert load_account(west.accno).parent_accno == parent.accno
    assert find_accounts([west.accno, east.accno, "C99999999"]) == {west.accno: west, east.accno: east}
    assert (find_account("C99999999"), find_personal_account("7")) == (None, None)
    with pytest.raises(AccountNotFound):
        load_account("C99999999")


@pytest.mark.django_db
def test_states_are_told_once_per_move_and_closing_is_final() -> None:
    account = funded_account()

    suspend_account(account.accno)
    suspend_account(account.accno)
    resume_account(account.accno)
    close_account(account.accno)

    with pytest.raises(AccountClosed):
        resume_account(account.accno)
    states = OutboxEvent.objects.filter(topic="account.state", subject=account.accno).order_by("id")
    assert [event.payload["state"] for event in states] == ["suspended", "active", "closed"]


@pytest.mark.django_db
def test_resuming_an_account_in_debt_leaves_it_overdrawn() -> None:
    account = funded_account()
    suspend_account(account.accno)
    post_transfers([NewTransfer(account.id, Decimal(-1), "revenue:voice", "use", "x", NOON)])

    assert resume_account(account.accno).state == "overdrawn"


@pytest.mark.django_db
def test_views_show_floors_above_what_the_tables_hold() -> None:
    account = funded_account("10", credit_limit="3")
    post_transfers([NewTransfer(account.id, Decimal("-2.5"), "revenue:voice", "use", "x", NOON, "leg", memo="a call")])
    now = read_account(account.id)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT accno, organization, parent_id, currency, balance, held, credit_limit, warning_threshold, state"
            " FROM ledger_account_facts WHERE id = %s",
            [account.id],
        )
        assert cursor.fetchall() == [
            (now.accno, "acme", None, "CNY", Decimal("7.5"), 0, Decimal(3), 0, "active"),
        ]
        cursor.execute(
            "SELECT change, counterpart, cause_type, cause_leg, effective_at, memo FROM ledger_transfer_facts"
            " WHERE accno = %s ORDER BY id",
            [account.accno],
        )
        assert cursor.fetchall() == [
            (Decimal(10), "settlement", "top_up", "", NOON, ""),
            (Decimal("-2.5"), "revenue:voice", "use", "leg", NOON, "a call"),
        ]


def test_money_does_not_move_outside_a_transaction(fresh_database: object) -> None:
    account = funded_account("10")
    before = ledger_fingerprint()

    with pytest.raises(AssertionError, match="inside a transaction"):
        post_transfers([NewTransfer(account.id, Decimal(-1), "revenue:voice", "use", "x", NOON)])

    assert ledger_fingerprint() == before
    with transaction.atomic():
        post_transfers([NewTransfer(account.id, Decimal(-1), "revenue:voice", "use", "x", NOON)])
    assert read_account(account.id).balance == 9
