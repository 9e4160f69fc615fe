"""ledger.posting: a cause posts once, both sides are named, balances follow."""

from decimal import Decimal

import pytest
from django.db import connection

from billing_platform.models import OutboxEvent
from ledger.accounts import close_account, read_account, suspend_account
from ledger.errors import AccountBlocked, AccountClosed, AccountNotFound, CauseConflict, InsufficientBalance
from ledger.models import Transfer
from ledger.posting import NewTransfer, post_payment, post_transfers
from tests.ledger_facts import LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db


def charge(account_id: int, amount: str, cause: str = "call-1", **changes: object) -> NewTransfer:
    fields: dict[str, object] = {"counterpart": "revenue:voice", "cause_type": "use", "cause_id": cause}
    return NewTransfer(account_id, -Decimal(amount), effective_at=NOON, **(fields | changes))  # type: ignore[arg-type]


def test_charge_moves_money_from_wallet_to_revenue() -> None:
    account = funded_account("10")

    (posted,) = post_transfers([charge(account.id, "2.5")])

    assert (posted.amount, posted.repeated, posted.balance, posted.state) == (Decimal("2.5"), False, 7.5, "active")
    row = Transfer.objects.select_related("debit", "credit").get(pk=posted.transfer_id)
    assert (row.debit.code, row.credit.code) == (f"wallet/{account.accno}", "revenue:voice/CNY")
    assert (row.amount, row.effective_at, row.memo) == (Decimal("2.5"), NOON, "")
    assert read_account(account.id).balance == Decimal("7.5")
    assert_books_clean(LEDGER_CHECKS)


def test_same_cause_and_content_is_the_first_transfer_again() -> None:
    account = funded_account("10")
    (first,) = post_transfers([charge(account.id, "2.5")])
    before = ledger_fingerprint()

    (again,) = post_transfers([charge(account.id, "2.50")])

    assert (again.transfer_id, again.repeated, again.balance) == (first.transfer_id, True, Decimal("7.5"))
    assert ledger_fingerprint() == before


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"amount": "3"}, id="amount"),
        pytest.param({"amount": "-2.5"}, id="direction"),
        pytest.param({"counterpart": "revenue:sms"}, id="counterpart"),
    ],
)
def test_same_cause_with_other_content_is_refused(other: dict[str, str]) -> None:
    account = funded_account("10")
    post_transfers([charge(account.id, "2.5")])
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        post_transfers([charge(account.id, other.pop("amount", "2.5"), **other)])

    assert ledger_fingerprint() == before


def test_same_cause_of_another_account_is_refused() -> None:
    account, other = funded_account("10"), funded_account("10")
    post_transfers([charge(account.id, "2.5")])
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        post_transfers([charge(other.id, "2.5")])

    assert ledger_fingerprint() == before


def test_one_cause_twice_in_a_batch_is_a_conflict_with_itself() -> None:
    account = funded_account("10")

    with pytest.raises(CauseConflict):
        post_transfers([charge(account.id, "1"), charge(account.id, "1")])


def test_batch_sums_per_wallet_and_answers_in_order() -> None:
    acme, beta = funded_account("10"), funded_account("20")
    (old,) = post_transfers([charge(acme.id, "1", "old")])

    posted = post_transfers(
        [charge(acme.id, "2", "a"), charge(beta.id, "3", "b"), charge(acme.id, "1", "old"), charge(acme.id, "4", "c")]
    )

    assert [(receipt.amount, receipt.repeated) for receipt in posted] == [(2, False), (3, False), (1, True), (4, False)]
    assert [receipt.balance for receipt in posted] == [3, 17, 3, 3]
    assert posted[2].transfer_id == old.transfer_id
    assert_books_clean(LEDGER_CHECKS)


def test_usage_goes_into_debt_and_the_account_is_overdrawn_until_money_comes() -> None:
    account = funded_account("10", credit_limit="5")

    (at_limit,) = post_transfers([charge(account.id, "15", "a")])
    (past_limit,) = post_transfers([charge(account.id, "0.000001", "b")])
    (paid,) = post_transfers([charge(account.id, "-1", "c", counterpart="settlement")])

    assert [receipt.state for receipt in (at_limit, past_limit, paid)] == ["active", "overdrawn", "active"]
    assert past_limit.balance == Decimal("-5.000001")
    assert list(OutboxEvent.objects.order_by("id").values_list("topic", flat=True)) == [
        "account.low_balance", "account.overdrawn", "account.state",
    ]  # fmt: skip


def test_suspended_account_is_charged_for_what_happened_and_stays_suspended() -> None:
    account = funded_account("10")
    suspend_account(account.accno)

    (posted,) = post_transfers([charge(account.id, "2")])

    assert (posted.balance, posted.state) == (8, "suspended")


@pytest.mark.parametrize(
    "change", [Decimal(0), Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 12, Decimal("0.0000001"), 1.5, 3]
)
def test_what_is_no_amount_is_refused(change: Decimal) -> None:
    account = funded_account("10")
    before = ledger_fingerprint()

    with pytest.raises(ValueError, match=r"amount|decimals"):
        post_transfers([NewTransfer(account.id, change, "settlement", "use", "x", NOON)])

    assert ledger_fingerprint() == before


def test_unknown_account_is_refused() -> None:
    with pytest.raises(AccountNotFound):
        post_transfers([charge(987_654_321, "1")])


def test_payment_takes_the_last_cent_and_not_one_more() -> None:
    account = funded_account("10", credit_limit="5")

    paid = post_payment(charge(account.id, "15", "order-1"))
    before = ledger_fingerprint()
    with pytest.raises(InsufficientBalance):
        post_payment(charge(account.id, "0.000001", "order-2"))

    assert (paid.balance, paid.state) == (-5, "active")
    assert Transfer.objects.get(pk=paid.transfer_id).room_after == 0
    assert ledger_fingerprint() == before


def test_payment_repeated_after_the_money_is_gone_is_the_first_payment() -> None:
    account = funded_account("10")
    first = post_payment(charge(account.id, "10", "order-1"))

    again = post_payment(charge(account.id, "10", "order-1"))

    assert (again.transfer_id, again.repeated, again.balance) == (first.transfer_id, True, 0)


def test_payment_from_blocked_accounts_is_refused() -> None:
    suspended, closed = funded_account("10"), funded_account()
    suspend_account(suspended.accno)
    close_account(closed.accno)
    before = ledger_fingerprint()

    with pytest.raises(AccountBlocked):
        post_payment(charge(suspended.id, "1", "a"))
    with pytest.raises(AccountClosed):
        post_payment(charge(closed.id, "1", "b"))

    assert ledger_fingerprint() == before


def test_wallet_without_lots_never_touches_their_table() -> None:
    account = funded_account("10")
    post_transfers([charge(account.id, "1", "warm")])  # the system account is known from here on

    with connection.execute_wrapper(_refuse_lots):
        post_transfers([charge(account.id, "1", "a")])


def _refuse_lots(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
    assert "ledger_creditlot" not in sql
    assert "ledger_lotconsumption" not in sql
    return execute(sql, params, many, context)
