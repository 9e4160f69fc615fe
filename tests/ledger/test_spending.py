"""ledger.history.spending: what went to revenue, with what came back from there."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from ledger.history import Spending, spending
from ledger.posting import NewTransfer, post_transfers
from ledger.reversals import Reversal, reverse_transfers
from tests.ledger_facts import NOON, funded_account

pytestmark = pytest.mark.django_db


def test_uses_count_and_what_was_given_back_does_not() -> None:
    account, at = funded_account("100"), clock.now()
    week = at - timedelta(days=7)

    def use(amount: str, cause: str, days: int) -> int:
        finished = at - timedelta(days=days)
        transfer = NewTransfer(account.id, -Decimal(amount), "revenue:voice", "use", cause, finished)
        return post_transfers([transfer])[0].transfer_id

    use("9", "long ago", 8)
    use("5", "two days ago", 2)
    wrong = use("4", "wrong", 1)
    reverse_transfers([Reversal(wrong, "mistake", at, amount=Decimal("1.5"))])

    assert spending(account.id, since=week, at=at) == Spending(Decimal("7.5"), NOON)


def test_an_account_that_never_moved_has_not_begun() -> None:
    at = clock.now()

    assert spending(funded_account().id, since=at - timedelta(days=7), at=at) == Spending(Decimal(0), None)
