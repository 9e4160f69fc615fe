"""ledger.lots: granted and expiring money is spent in order, goes back where it came from, and expires once."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from ledger.accounts import Account, read_account
from ledger.errors import CauseConflict, InsufficientBalance
from ledger.funding import Funding, expire_lots, grant
from ledger.holds import place_hold
from ledger.models import CreditLot, Transfer
from ledger.posting import NewTransfer, Posted, post_payment, post_transfers
from ledger.reversals import Reversal, reverse_transfers
from tests.ledger_facts import LATER, LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def granted(account: Account, amount: str, reference: str, **terms: object) -> None:
    fields: dict[str, object] = {"expires_at": None, "kind": "gift", "priority": 50}
    grant(Funding(account.accno, Decimal(amount), reference, NOON), **(fields | terms))  # type: ignore[arg-type]


def spend(account: Account, amount: str, cause: str = "call-1", *, at: datetime = NOON) -> Posted:
    return post_transfers([NewTransfer(account.id, -Decimal(amount), "revenue:voice", "use", cause, at)])[0]


def remaining(account: Account) -> dict[str, Decimal]:
    return dict(CreditLot.objects.filter(account_id=account.id).values_list("reference", "remaining"))


def test_grant_is_balance_and_lot_at_once_and_repeats_do_nothing() -> None:
    account = funded_account("10")
    granted(account, "5", "welcome", expires_at=LATER)
    before = ledger_fingerprint()

    granted(account, "5", "welcome", expires_at=LATER)

    assert (read_account(account.id).balance, remaining(account)) == (15, {"welcome": 5})
    assert ledger_fingerprint() == before
    assert_books_clean(LEDGER_CHECKS)


def test_same_grant_with_another_expiry_is_refused() -> None:
    account = funded_account()
    granted(account, "5", "welcome", expires_at=LATER)
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        granted(account, "5", "welcome", expires_at=LATER + DAY)

    assert ledger_fingerprint() == before


def test_spending_order_is_priority_kind_expiry_age_with_base_money_at_fifty() -> None:
    account = funded_account("1")
    granted(account, "1", "last", priority=60)
    granted(account, "1", "paid ends", kind="paid", expires_at=LATER)
    granted(account, "1", "gift no end")
    granted(account, "1", "gift late", expires_at=LATER + DAY)
    granted(account, "1", "gift soon", expires_at=LATER)
    granted(account, "1", "first", priority=10)

    order = []
    for number in range(7):
        before = remaining(account)
        spend(account, "1", f"call-{number}")
        after = remaining(account)
        order.append(next((name for name in before if before[name] != after[name]), "base"))

    assert order == ["first", "gift soon", "gift late", "gift no end", "paid ends", "base", "last"]
    assert_books_clean(LEDGER_CHECKS)


def test_one_charge_draws_from_several_lots() -> None:
    account = funded_account("10")
    granted(account, "2", "a", expires_at=LATER)
    granted(account, "3", "b")

    spend(account, "4")

    assert remaining(account) == {"a": 0, "b": 1}
    assert_books_clean(LEDGER_CHECKS)


def test_lot_is_not_usable_at_the_instant_it_expires() -> None:
    account = funded_account("10")
    granted(account, "5", "welcome", expires_at=NOON + DAY)

    spend(account, "1", "late", at=NOON + DAY)
    spend(account, "1", "in time", at=NOON + DAY - timedelta(microseconds=1))

    assert remaining(account) == {"welcome": 4}


def test_expiry_is_posted_once_however_late_and_however_often_the_job_runs() -> None:
    account = funded_account("10")
    granted(account, "5", "welcome", expires_at=NOON + DAY)
    spend(account, "2")

    early = expire_lots(at=NOON + DAY - timedelta(microseconds=1), limit=10)
    late = expire_lots(at=NOON + 9 * DAY, limit=10)
    again = expire_lots(at=NOON + 9 * DAY, limit=10)

    assert (early, late, again) == (0, 1, 0)
    assert (read_account(account.id).balance, remaining(account)) == (10, {"welcome": 0})
    row = Transfer.objects.select_related("credit").get(cause_type="lot_expiry")
    assert (row.amount, row.credit.code) == (3, "promotion/CNY")
    assert_books_clean(LEDGER_CHECKS)


def test_debt_falls_on_base_money_never_on_an_expired_lot() -> None:
    account = funded_account("1")
    granted(account, "5", "welcome", expires_at=NOON + DAY)

    spend(account, "3", at=NOON + DAY)
    expire_lots(at=NOON + DAY, limit=10)

    assert (read_account(account.id).balance, read_account(account.id).state) == (-2, "overdrawn")
    assert_books_clean(LEDGER_CHECKS)


def test_refund_goes_back_to_the_lots_last_consumed_first() -> None:
    account = funded_account("10")
    granted(account, "2", "a", expires_at=LATER)
    granted(account, "3", "b")
    charge = spend(account, "7")  # a 2, b 3, base 2

    steps = []
    for number, part in enumerate(["1", "3", "3"]):
        reverse_transfers([Reversal(charge.transfer_id, f"part {number}", NOON, Decimal(part))])
        steps.append(remaining(account))

    assert steps == [{"a": 0, "b": 0}, {"a": 0, "b": 2}, {"a": 2, "b": 3}]
    assert read_account(account.id).balance == 15
    assert_books_clean(LEDGER_CHECKS)


def test_refund_in_parts_returns_to_a_lot_no_more_than_this_charge_took() -> None:
    account = funded_account("0")
    granted(account, "5", "a", expires_at=LATER)
    granted(account, "9", "b")
    charge = spend(account, "8", "mixed")  # a 5, b 3
    spend(account, "4", "other")  # b 4

    reverse_transfers([Reversal(charge.transfer_id, "first half", NOON, Decimal(4))])
    reverse_transfers([Reversal(charge.transfer_id, "second half", NOON, Decimal(4))])

    assert remaining(account) == {"a": 5, "b": 5}
    assert_books_clean(LEDGER_CHECKS)


def test_refund_to_an_expired_lot_expires_again_by_its_own_transfer() -> None:
    account = funded_account("10")
    granted(account, "5", "welcome", expires_at=NOON + DAY)
    charge = spend(account, "4")
    expire_lots(at=NOON + DAY, limit=10)

    reverse_transfers([Reversal(charge.transfer_id, "complaint", NOON + 2 * DAY)])
    back = read_account(account.id).balance
    expired = expire_lots(at=NOON + 2 * DAY, limit=10)

    assert (back, expired, read_account(account.id).balance) == (14, 1, 10)
    assert list(Transfer.objects.filter(cause_type="lot_expiry").order_by("id").values_list("amount", flat=True)) == [
        1,
        4,
    ]
    assert_books_clean(LEDGER_CHECKS)


def test_expired_credit_is_no_room_before_the_job_has_run() -> None:
    account = funded_account("2")
    granted(account, "5", "welcome", expires_at=clock.now() - timedelta(seconds=1))
    before = ledger_fingerprint()

    with pytest.raises(InsufficientBalance):
        place_hold(account.id, amount=Decimal("2.000001"), reference="call", expires_at=LATER)
    with pytest.raises(InsufficientBalance):
        post_payment(NewTransfer(account.id, Decimal("-2.000001"), "revenue:plan", "order", "1", clock.now()))

    assert ledger_fingerprint() == before
    assert place_hold(account.id, amount=Decimal(2), reference="call", expires_at=LATER).available == 0
