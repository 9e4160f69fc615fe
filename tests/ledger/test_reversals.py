"""ledger.reversals: corrections are new transfers, never more than the whole."""

from decimal import Decimal

import pytest

from billing_platform.models import OutboxEvent
from ledger.accounts import load_account, read_account, resume_account, suspend_account
from ledger.errors import CauseConflict, ReversalExceeds
from ledger.models import Transfer
from ledger.posting import NewTransfer, post_transfers
from ledger.reversals import Reversal, opposite_transfers, reverse_transfers
from tests.ledger_facts import LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db


def charged(amount: str = "6") -> tuple[int, int]:
    """(account, transfer) of a charge against a balance of 10."""
    account = funded_account("10")
    transfer = NewTransfer(account.id, -Decimal(amount), "revenue:voice", "use", f"call of {account.accno}", NOON)
    return account.id, post_transfers([transfer])[0].transfer_id


def test_full_reversal_gives_everything_back_to_the_same_sides() -> None:
    account_id, transfer_id = charged()

    (posted,) = reverse_transfers([Reversal(transfer_id, "wrong rate", NOON)])

    row = Transfer.objects.select_related("debit").get(pk=posted.transfer_id)
    assert (row.reverses, row.debit.code, row.amount) == (transfer_id, "revenue:voice/CNY", 6)
    assert read_account(account_id).balance == 10
    assert_books_clean(LEDGER_CHECKS)


def test_same_reason_again_is_the_first_reversal() -> None:
    account_id, transfer_id = charged()
    (first,) = reverse_transfers([Reversal(transfer_id, "wrong rate", NOON)])

    (again,) = reverse_transfers([Reversal(transfer_id, "wrong rate", NOON)])

    assert (again.transfer_id, again.repeated) == (first.transfer_id, True)
    assert read_account(account_id).balance == 10


def test_second_full_reversal_for_another_reason_is_refused() -> None:
    _, transfer_id = charged()
    reverse_transfers([Reversal(transfer_id, "wrong rate", NOON)])
    before = ledger_fingerprint()

    with pytest.raises(ReversalExceeds):
        reverse_transfers([Reversal(transfer_id, "complaint", NOON)])

    assert ledger_fingerprint() == before


def test_parts_together_reach_the_whole_and_not_more() -> None:
    account_id, transfer_id = charged("6")
    reverse_transfers([Reversal(transfer_id, "a", NOON, Decimal(2)), Reversal(transfer_id, "b", NOON, Decimal(4))])
    before = ledger_fingerprint()

    with pytest.raises(ReversalExceeds):
        reverse_transfers([Reversal(transfer_id, "c", NOON, Decimal("0.000001"))])

    assert read_account(account_id).balance == 10
    assert ledger_fingerprint() == before


def test_parts_of_one_batch_that_exceed_together_are_refused_together() -> None:
    _, transfer_id = charged("6")
    before = ledger_fingerprint()

    with pytest.raises(ReversalExceeds):
        reverse_transfers([Reversal(transfer_id, "a", NOON, Decimal(4)), Reversal(transfer_id, "b", NOON, Decimal(3))])

    assert ledger_fingerprint() == before


def test_same_reason_with_another_amount_is_a_conflict() -> None:
    _, transfer_id = charged("6")
    reverse_transfers([Reversal(transfer_id, "a", NOON, Decimal(2))])
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        reverse_transfers([Reversal(transfer_id, "a", NOON, Decimal(3))])

    assert ledger_fingerprint() == before


def test_reversal_before_its_transfer_is_refused() -> None:
    before = ledger_fingerprint()

    with pytest.raises(ReversalExceeds):
        reverse_transfers([Reversal(987_654_321, "early", NOON)])

    assert ledger_fingerprint() == before


def test_reversal_of_a_reversal_is_refused() -> None:
    _, transfer_id = charged()
    (reversal,) = reverse_transfers([Reversal(transfer_id, "wrong rate", NOON)])
    before = ledger_fingerprint()

    with pytest.raises(ReversalExceeds):
        reverse_transfers([Reversal(reversal.transfer_id, "undo", NOON)])

    assert ledger_fingerprint() == before


@pytest.mark.parametrize("amount", ["-1", "0", "0.0000001"])
def test_what_is_no_amount_is_not_reversed(amount: str) -> None:
    _, transfer_id = charged()
    before = ledger_fingerprint()

    with pytest.raises(ValueError, match=r"amount|decimals|more than 0"):
        reverse_transfers([Reversal(transfer_id, "odd", NOON, Decimal(amount))])

    assert ledger_fingerprint() == before


def owing(balance: str, *, credit_limit: str = "5") -> tuple[int, str, int]:
    """(account, its number, transfer) of a charge that left this balance."""
    account = funded_account("10", credit_limit=credit_limit)
    change = Decimal(balance) - 10
    transfer = NewTransfer(account.id, change, "revenue:voice", "use", f"call of {account.accno}", NOON)
    return account.id, account.accno, post_transfers([transfer])[0].transfer_id


def anew(accno: str, amount: str) -> NewTransfer:
    """The charge that takes the place of the wrong one."""
    return NewTransfer(
        load_account(accno).id, -Decimal(amount), "revenue:voice", "use", f"call of {accno}", NOON, cause_leg="anew"
    )


def told(accno: str) -> list[tuple[str, str]]:
    """What was told about the account so far: the topic, and the state or the balance."""
    events = OutboxEvent.objects.filter(subject=accno).order_by("id").values_list("topic", "payload")
    return [(topic, payload.get("state") or payload["balance"]) for topic, payload in events]


def test_money_given_back_tells_that_calls_may_start_again_once() -> None:
    account_id, accno, transfer_id = owing("-10")
    debt = [("account.low_balance", "-10.000000"), ("account.overdrawn", "-10.000000")]

    (short,) = reverse_transfers([Reversal(transfer_id, "a", NOON, Decimal("4.999999"))])
    told_short = told(accno)
    receipts = [reverse_transfers([Reversal(transfer_id, "b", NOON, Decimal("0.000001"))])[0] for _ in range(2)]
    reverse_transfers([Reversal(transfer_id, "c", NOON, Decimal(1))])

    assert (short.balance, short.state, told_short) == (Decimal("-5.000001"), "overdrawn", debt)
    assert [(one.balance, one.state, one.repeated) for one in receipts] == [(-5, "active", False), (-5, "active", True)]
    assert (told(accno), read_account(account_id).balance) == ([*debt, ("account.state", "active")], -4)


def test_money_given_back_to_a_suspended_account_tells_nothing_until_it_is_resumed() -> None:
    account_id, accno, transfer_id = owing("-10")
    suspend_account(accno)

    (posted,) = reverse_transfers([Reversal(transfer_id, "complaint", NOON)])
    while_suspended = told(accno)[2:]
    resume_account(accno)

    assert (posted.balance, posted.state, read_account(account_id).state) == (10, "suspended", "active")
    assert while_suspended == [("account.state", "suspended")]
    assert told(accno)[3:] == [("account.state", "active")]


def test_a_charge_and_its_reversal_in_one_posting_tell_only_what_came_of_both() -> None:
    _, accno, transfer_id = owing("-10")
    account_id, other, other_transfer_id = owing("-10")
    before, before_other = told(accno), told(other)

    post_transfers([*opposite_transfers([Reversal(transfer_id, "wrong rate", NOON)]), anew(accno, "19")])
    post_transfers([*opposite_transfers([Reversal(other_transfer_id, "wrong rate", NOON)]), anew(other, "15")])

    assert told(accno) == before
    assert told(other) == [*before_other, ("account.state", "active")]
    assert read_account(account_id).balance == -5
    assert_books_clean(LEDGER_CHECKS)
