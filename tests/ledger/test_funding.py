"""ledger.funding and ledger.adjustments: money by people's decision, above a limit by two of them."""

from decimal import Decimal

import pytest

from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, OutboxEvent
from ledger.accounts import close_account, read_account, set_limits
from ledger.adjustments import (
    approve_adjustment,
    list_waiting,
    needs_second_person,
    reject_adjustment,
    request_adjustment,
)
from ledger.errors import (
    AccountClosed,
    AccountNotFound,
    AdjustmentDecided,
    AdjustmentNotFound,
    CauseConflict,
    SecondPersonNeeded,
)
from ledger.funding import Funding, adjust, top_up
from ledger.models import AdjustmentRequest
from tests.ledger_facts import LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db
ALICE = Caller("person", "1", "acme", name="alice")
BOB = Caller("person", "2", "acme", name="bob")
PROGRAM = Caller("key", "abc", "acme")


def test_top_up_once_per_reference() -> None:
    account = funded_account()
    paid = Funding(account.accno, Decimal("12.34"), "bank 1", NOON, memo="transfer slip", by=ALICE)

    first, again = top_up(paid), top_up(paid)

    assert (first.repeated, again.repeated, again.transfer_id) == (False, True, first.transfer_id)
    assert read_account(account.id).balance == Decimal("12.34")
    (entry,) = AuditEntry.objects.filter(object_id=account.accno)
    assert (entry.actor, entry.act, entry.before, entry.after, entry.reason) == (
        "person:alice", "account.top_up", {"balance": "0.000000"}, {"balance": "12.340000"}, "transfer slip",
    )  # fmt: skip
    assert_books_clean(LEDGER_CHECKS)


def test_same_reference_with_another_amount_is_refused() -> None:
    account = funded_account()
    top_up(Funding(account.accno, Decimal(5), "bank 1", NOON))
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        top_up(Funding(account.accno, Decimal(6), "bank 1", NOON))

    assert ledger_fingerprint() == before


def test_same_reference_on_another_account_is_another_top_up() -> None:
    acme, beta = funded_account(), funded_account()

    top_up(Funding(acme.accno, Decimal(5), "1", NOON))
    top_up(Funding(beta.accno, Decimal(6), "1", NOON))

    assert (read_account(acme.id).balance, read_account(beta.id).balance) == (5, 6)


def test_nothing_comes_into_a_closed_or_unknown_account() -> None:
    account = funded_account()
    close_account(account.accno)
    before = ledger_fingerprint()

    with pytest.raises(AccountClosed):
        top_up(Funding(account.accno, Decimal(5), "late", NOON))
    with pytest.raises(AccountNotFound):
        top_up(Funding("C99999999", Decimal(5), "x", NOON))

    assert ledger_fingerprint() == before


def test_top_up_of_nothing_or_less_is_refused() -> None:
    account = funded_account()
    before = ledger_fingerprint()

    for amount in ("0", "-1"):
        with pytest.raises(ValueError, match="greater than 0"):
            top_up(Funding(account.accno, Decimal(amount), "x", NOON))

    assert ledger_fingerprint() == before


def test_only_an_empty_account_closes() -> None:
    account = funded_account("0.000001")
    before = ledger_fingerprint()

    with pytest.raises(CauseConflict):
        close_account(account.accno)

    assert ledger_fingerprint() == before
    adjust(Funding(account.accno, Decimal("-0.000001"), "rest", NOON))
    assert close_account(account.accno).state == "closed"


def test_limits_move_the_state_both_ways() -> None:
    account = funded_account()
    adjust(Funding(account.accno, Decimal(-5), "debt", NOON))

    raised = set_limits(account.accno, credit_limit=Decimal(5), warning_threshold=Decimal(2))
    lowered = set_limits(account.accno, credit_limit=Decimal("4.999999"), warning_threshold=Decimal(2))

    assert (raised.state, lowered.state) == ("active", "overdrawn")


@pytest.mark.parametrize(("amount", "two"), [("1000", False), ("1000.01", True), ("-1000.01", True), ("-1000", False)])
def test_second_person_above_the_limit_whatever_the_sign(amount: str, two: bool) -> None:  # noqa: FBT001
    assert needs_second_person(Decimal(amount)) is two


def test_request_moves_nothing_until_another_person_approves() -> None:
    account = funded_account()
    before = ledger_fingerprint()
    wanted = Funding(account.accno, Decimal(5000), "case 7", NOON, memo="outage")

    waiting = request_adjustment(wanted, by=ALICE)
    assert ledger_fingerprint() == before
    approved = approve_adjustment(waiting.id, by=BOB, at=NOON)

    assert (waiting.state, approved.state, approved.decided_by) == ("pending", "approved", "person:bob")
    assert read_account(account.id).balance == 5000
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "act")) == [
        ("person:alice", "account.adjustment_request"), ("person:bob", "account.adjustment"),
    ]  # fmt: skip
    assert_books_clean(LEDGER_CHECKS)


@pytest.mark.parametrize("decider", [ALICE, PROGRAM], ids=["the same person", "a program"])
def test_only_another_person_approves(decider: Caller) -> None:
    account = funded_account()
    waiting = request_adjustment(Funding(account.accno, Decimal(5000), "case 7", NOON, memo="outage"), by=ALICE)
    before = ledger_fingerprint()

    with pytest.raises(SecondPersonNeeded):
        approve_adjustment(waiting.id, by=decider, at=NOON)

    assert ledger_fingerprint() == before
    assert [adjustment.id for adjustment in list_waiting(account.accno)] == [waiting.id]


def test_decision_is_made_once() -> None:
    account = funded_account()
    waiting = request_adjustment(Funding(account.accno, Decimal(5000), "case 7", NOON, memo="outage"), by=ALICE)
    reject_adjustment(waiting.id, by=BOB, at=NOON, reason="no proof")
    before = ledger_fingerprint()

    with pytest.raises(AdjustmentDecided):
        approve_adjustment(waiting.id, by=BOB, at=NOON)
    with pytest.raises(AdjustmentNotFound):
        approve_adjustment(987_654_321, by=BOB, at=NOON)

    assert ledger_fingerprint() == before
    assert list_waiting(account.accno) == []


def test_request_repeated_is_the_first_one_and_with_other_content_a_conflict() -> None:
    account = funded_account()
    wanted = Funding(account.accno, Decimal(5000), "case 7", NOON, memo="outage")
    first = request_adjustment(wanted, by=ALICE)

    again = request_adjustment(wanted, by=ALICE)
    with pytest.raises(CauseConflict):
        request_adjustment(Funding(account.accno, Decimal(6000), "case 7", NOON, memo="outage"), by=ALICE)

    assert again.id == first.id
    assert AdjustmentRequest.objects.count() == 1


def test_money_that_opens_an_account_again_tells_it_once() -> None:
    account = funded_account()
    adjust(Funding(account.accno, Decimal(-5), "debt", NOON))

    top_up(Funding(account.accno, Decimal(4), "not enough", NOON))
    for reference in ("enough", "enough", "more"):
        top_up(Funding(account.accno, Decimal(3), reference, NOON))

    states = OutboxEvent.objects.filter(topic="account.state", subject=account.accno)
    assert [event.payload for event in states] == [{"accno": account.accno, "state": "active"}]
