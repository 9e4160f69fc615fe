"""ledger.holds: money set aside when it fits, given back once."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform.clock import now
from ledger.accounts import close_account, read_account, set_limits, suspend_account
from ledger.errors import AccountBlocked, AccountClosed, AccountNotFound, CauseConflict, HoldClosed, InsufficientBalance
from ledger.holds import (
    HeldMoney,
    capture_holds,
    expire_holds,
    extend_hold,
    find_expired,
    place_hold,
    release_hold,
)
from ledger.models import HoldResolution
from ledger.posting import NewTransfer, post_transfers
from tests.ledger_facts import LATER, LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db


def hold(account_id: int, amount: str, reference: str = "call-1") -> HeldMoney:
    return place_hold(account_id, amount=Decimal(amount), reference=reference, expires_at=LATER)


def test_hold_takes_the_last_cent_of_the_credit_and_not_one_more() -> None:
    account = funded_account("10", credit_limit="5")

    held = hold(account.id, "15")
    before = ledger_fingerprint()
    with pytest.raises(InsufficientBalance):
        hold(account.id, "0.000001", "call-2")

    assert (held.amount, held.available, held.repeated) == (15, 0, False)
    assert (read_account(account.id).balance, read_account(account.id).held) == (10, 15)
    assert ledger_fingerprint() == before
    assert_books_clean(LEDGER_CHECKS)


def test_same_reference_is_the_first_hold_again() -> None:
    account = funded_account("10")
    first = hold(account.id, "7")
    before = ledger_fingerprint()

    again = hold(account.id, "7")  # there is no room for a second one

    assert (again.hold_id, again.repeated, again.available) == (first.hold_id, True, 3)
    assert ledger_fingerprint() == before


def test_same_reference_while_there_is_room_holds_nothing_twice() -> None:
    account = funded_account("100")
    hold(account.id, "7")

    hold(account.id, "7")

    assert read_account(account.id).held == 7


def test_same_reference_with_another_amount_is_refused() -> None:
    account = funded_account("100")
    hold(account.id, "7")
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        hold(account.id, "8")

    assert ledger_fingerprint() == before


def test_reference_that_has_ended_is_refused() -> None:
    account = funded_account("10")
    release_hold(hold(account.id, "7").hold_id, cause="cancelled")

    with pytest.raises(HoldClosed) as refusal:
        hold(account.id, "7")

    assert refusal.value.fields == {"state": "released"}
    assert read_account(account.id).held == 0


def test_blocked_accounts_hold_nothing() -> None:
    suspended, closed, overdrawn = funded_account("10"), funded_account(), funded_account("1")
    suspend_account(suspended.accno)
    close_account(closed.accno)
    post_transfers([NewTransfer(overdrawn.id, Decimal(-2), "revenue:voice", "use", "x", NOON)])
    before = ledger_fingerprint()

    with pytest.raises(AccountBlocked):
        hold(suspended.id, "1")
    with pytest.raises(AccountClosed):
        hold(closed.id, "1")
    with pytest.raises(InsufficientBalance):
        hold(overdrawn.id, "1")
    with pytest.raises(AccountNotFound):
        hold(987_654_321, "1")

    assert ledger_fingerprint() == before


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1e12", "0.0000001"])
def test_what_is_no_amount_is_not_held(amount: str) -> None:
    account = funded_account("10")

    with pytest.raises(ValueError, match=r"amount|decimals|more than 0"):
        hold(account.id, amount)

    assert read_account(account.id).held == 0


def test_capture_gives_back_and_the_charge_takes_what_was_used() -> None:
    account = funded_account("10")
    held = hold(account.id, "7")

    captured = capture_holds([held.hold_id], cause="end", with_wallets=[account.id])
    post_transfers([NewTransfer(account.id, Decimal("-2.5"), "revenue:voice", "use", "x", NOON)])

    assert captured == {held.hold_id: 7}
    assert (read_account(account.id).balance, read_account(account.id).held) == (Decimal("7.5"), 0)
    assert_books_clean(LEDGER_CHECKS)


def test_capture_of_many_holds_of_many_accounts_lowers_each_once() -> None:
    acme, beta = funded_account("10"), funded_account("10")
    ids = [hold(acme.id, "1", "a").hold_id, hold(acme.id, "2", "b").hold_id, hold(beta.id, "3", "c").hold_id]

    captured = capture_holds([*ids, ids[0]], cause="end")

    assert captured == dict(zip(ids, (1, 2, 3), strict=True))
    assert (read_account(acme.id).held, read_account(beta.id).held) == (0, 0)
    assert HoldResolution.objects.filter(hold_id__in=ids, outcome="captured").count() == 3


def test_hold_ends_once_whoever_comes_second() -> None:
    account = funded_account("10")
    held = hold(account.id, "7")
    assert release_hold(held.hold_id, cause="cancelled") == 7
    before = ledger_fingerprint()

    assert release_hold(held.hold_id, cause="again") == 0
    assert capture_holds([held.hold_id], cause="late") == {}
    assert expire_holds([held.hold_id], cause="sweeper") == {}

    assert ledger_fingerprint() == before
    assert_books_clean(LEDGER_CHECKS)


def test_sweeper_ends_what_is_over_and_spares_what_was_extended() -> None:
    account = funded_account("10")
    soon = now() - timedelta(minutes=1)
    over = place_hold(account.id, amount=Decimal(1), reference="over", expires_at=soon)
    later = soon + timedelta(seconds=1)
    extended = place_hold(account.id, amount=Decimal(2), reference="extended", expires_at=later)
    found = find_expired(at=now(), limit=10)
    extend_hold(extended.hold_id, more=Decimal(0), expires_at=LATER)

    ended = expire_holds(found, cause="sweeper")

    assert found == [over.hold_id, extended.hold_id]
    assert ended == {over.hold_id: 1}
    assert read_account(account.id).held == 2


def test_extension_holds_more_and_never_ends_earlier() -> None:
    account = funded_account("10")
    held = hold(account.id, "4")

    whole = extend_hold(held.hold_id, more=Decimal(6), expires_at=NOON)
    again = hold(account.id, "10")

    assert whole == 10
    assert (again.hold_id, again.expires_at, again.available) == (held.hold_id, LATER, 0)
    assert_books_clean(LEDGER_CHECKS)


def test_extension_beyond_the_room_changes_nothing() -> None:
    account = funded_account("10")
    held = hold(account.id, "4")
    before = ledger_fingerprint()

    with pytest.raises(InsufficientBalance):
        extend_hold(held.hold_id, more=Decimal("6.000001"), expires_at=LATER)

    assert ledger_fingerprint() == before


def test_extension_of_an_ended_hold_is_refused() -> None:
    account = funded_account("10")
    held = hold(account.id, "4")
    release_hold(held.hold_id, cause="cancelled")

    with pytest.raises(HoldClosed):
        extend_hold(held.hold_id, more=Decimal(1), expires_at=LATER)

    assert read_account(account.id).held == 0


def test_raised_limit_makes_room_and_a_lowered_one_keeps_what_is_held() -> None:
    account = funded_account("10")
    hold(account.id, "10")
    set_limits(account.accno, credit_limit=Decimal(3), warning_threshold=Decimal(0))
    second = hold(account.id, "3", "call-2")

    lowered = set_limits(account.accno, credit_limit=Decimal(0), warning_threshold=Decimal(0))

    assert second.available == 0
    assert (lowered.held, lowered.available, lowered.state) == (13, -3, "active")
    assert_books_clean(LEDGER_CHECKS)
