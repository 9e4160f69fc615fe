"""ledger.reversals: corrections are new transfers, never more than the whole."""

from decimal import Decimal

import pytest

from ledger.accounts import read_account
from ledger.errors import CauseConflict, ReversalExceeds
from ledger.models import Transfer
from ledger.posting import NewTransfer, post_transfers
from ledger.reversals import Reversal, reverse_transfers
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
