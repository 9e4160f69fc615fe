"""Holds and transfers in any order: the ledger agrees with a model of a few lines, and the oracle finds nothing."""

from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ledger.accounts import read_account, resume_account, set_limits, suspend_account
from ledger.errors import AccountBlocked, InsufficientBalance, ReversalExceeds
from ledger.holds import capture_holds, extend_hold, place_hold, release_hold
from ledger.posting import NewTransfer, post_payment, post_transfers
from ledger.reversals import Reversal, reverse_transfers
from tests.ledger_facts import LATER, LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

amounts = st.decimals("0.000001", "50", places=6)
limits = st.decimals("0", "20", places=2)
sides = st.sampled_from([0, 1])


class Side:
    """One account as the model sees it."""

    def __init__(self) -> None:
        self.id = 0
        self.accno = ""
        self.balance = self.held = self.limit = Decimal(0)
        self.suspended = False

    @property
    def room(self) -> Decimal:
        return self.balance - self.held + self.limit

    @property
    def state(self) -> str:
        if self.suspended:
            return "suspended"
        return "overdrawn" if self.balance < -self.limit else "active"


class Books(RuleBasedStateMachine):
    holds = Bundle("holds")
    charges = Bundle("charges")

    def __init__(self) -> None:
        super().__init__()
        self.sides = [Side(), Side()]
        self.open: dict[int, tuple[Side, Decimal]] = {}
        self.left: dict[int, tuple[Side, Decimal]] = {}
        self.causes = 0
        self.all = transaction.atomic()
        self.all.__enter__()

    def teardown(self) -> None:
        try:
            assert_books_clean(LEDGER_CHECKS)
        finally:
            transaction.set_rollback(True)
            self.all.__exit__(None, None, None)

    def cause(self) -> str:
        self.causes += 1
        return f"cause-{self.causes}"

    def transfer(self, side: Side, change: Decimal, counterpart: str = "revenue:voice") -> NewTransfer:
        return NewTransfer(side.id, change, counterpart, "use", f"{side.accno} {self.cause()}", NOON)

    @initialize()
    def open_accounts(self) -> None:
        for side in self.sides:
            account = funded_account()
            side.id, side.accno, side.balance = account.id, account.accno, Decimal(30)
            post_transfers([self.transfer(side, side.balance, "settlement")])

    @rule(which=sides, amount=amounts)
    def receive(self, which: int, amount: Decimal) -> None:
        side = self.sides[which]
        post_transfers([self.transfer(side, amount, "settlement")])
        side.balance += amount

    @rule(target=charges, parts=st.lists(st.tuples(sides, amounts), min_size=1, max_size=4))
    def charge(self, parts: list[tuple[int, Decimal]]) -> object:
        """Usage is always recorded, whatever it does to the balance."""
        batch = [(self.sides[which], amount) for which, amount in parts]
        posted = post_transfers([self.transfer(side, -amount) for side, amount in batch])
        for (side, amount), receipt in zip(batch, posted, strict=True):
            side.balance -= amount
            self.left[receipt.transfer_id] = side, amount
        return multiple(*(receipt.transfer_id for receipt in posted))

    @rule(which=sides, amount=amounts)
    def pay(self, which: int, amount: Decimal) -> None:
        side = self.sides[which]
        payment = self.transfer(side, -amount)
        if side.suspended or side.room < amount:
            before = ledger_fingerprint()
            with pytest.raises(AccountBlocked if side.suspended else InsufficientBalance):
                post_payment(payment)
            assert ledger_fingerprint() == before
        else:
            post_payment(payment)
            side.balance -= amount

    @rule(target=holds, which=sides, amount=amounts)
    def hold(self, which: int, amount: Decimal) -> object:
        side, reference = self.sides[which], self.cause()
        if side.state == "active" and side.room >= amount:
            held = place_hold(side.id, amount=amount, reference=reference, expires_at=LATER)
            again = place_hold(side.id, amount=amount, reference=reference, expires_at=LATER)
            assert (held.repeated, again.repeated, again.hold_id) == (False, True, held.hold_id)
            side.held += amount
            assert held.available == side.room
            self.open[held.hold_id] = side, amount
            return held.hold_id
        before = ledger_fingerprint()
        with pytest.raises(AccountBlocked if side.suspended else InsufficientBalance):
            place_hold(side.id, amount=amount, reference=reference, expires_at=LATER)
        assert ledger_fingerprint() == before
        return multiple()

    @rule(hold_id=holds)
    def release(self, hold_id: int) -> None:
        side, amount = self.open.pop(hold_id, (Side(), Decimal(0)))
        assert release_hold(hold_id, cause="x") == amount
        side.held -= amount

    @rule(hold_id=holds, cost=amounts)
    def settle(self, hold_id: int, cost: Decimal) -> None:
        if hold_id not in self.open:
            assert capture_holds([hold_id], cause="late") == {}
            return
        side, amount = self.open.pop(hold_id)
        assert capture_holds([hold_id], cause="end", with_wallets=[side.id]) == {hold_id: amount}
        post_transfers([self.transfer(side, -cost)])
        side.held -= amount
        side.balance -= cost

    @rule(hold_id=holds, more=amounts)
    def extend(self, hold_id: int, more: Decimal) -> None:
        if hold_id not in self.open:
            return
        side, amount = self.open[hold_id]
        if side.state == "active" and side.room >= more:
            assert extend_hold(hold_id, more=more, expires_at=LATER) == amount + more
            side.held += more
            self.open[hold_id] = side, amount + more
        else:
            with pytest.raises(AccountBlocked if side.suspended else InsufficientBalance):
                extend_hold(hold_id, more=more, expires_at=LATER)

    @rule(transfer_id=charges, amount=amounts)
    def reverse(self, transfer_id: int, amount: Decimal) -> None:
        side, left = self.left[transfer_id]
        reversal = Reversal(transfer_id, self.cause(), NOON, amount)
        if amount > left:
            before = ledger_fingerprint()
            with pytest.raises(ReversalExceeds):
                reverse_transfers([reversal])
            assert ledger_fingerprint() == before
        else:
            reverse_transfers([reversal])
            side.balance += amount
            self.left[transfer_id] = side, left - amount

    @rule(which=sides, limit=limits)
    def limit(self, which: int, limit: Decimal) -> None:
        side = self.sides[which]
        set_limits(side.accno, credit_limit=limit, warning_threshold=Decimal(0))
        side.limit = limit

    @rule(which=sides)
    def suspend_or_resume(self, which: int) -> None:
        side = self.sides[which]
        (resume_account if side.suspended else suspend_account)(side.accno)
        side.suspended = not side.suspended

    @invariant()
    def books_and_model_agree(self) -> None:
        for side in filter(lambda side: side.id, self.sides):
            account = read_account(side.id)
            assert (account.balance, account.held, account.credit_limit, account.state) == (
                side.balance, side.held, side.limit, side.state,
            )  # fmt: skip


@pytest.mark.django_db
def test_any_order_of_holds_and_transfers_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
