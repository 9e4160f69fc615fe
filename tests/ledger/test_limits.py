"""ledger.limits: credit that one person may give, and credit that takes two."""

import threading
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from billing_platform.auth import Caller
from billing_platform.models import AuditEntry
from ledger.accounts import close_account, read_account, set_limits
from ledger.adjustments import list_waiting, request_adjustment
from ledger.errors import AccountClosed, CauseConflict, LimitsNotWaiting, SecondPersonNeeded
from ledger.funding import Funding
from ledger.limits import Limits, approve_limits, change_limits, find_waiting, reject_limits, request_limits
from tests.ledger_facts import NOON, funded_account, ledger_fingerprint
from tests.processes import wait_until

pytestmark = pytest.mark.django_db
ALICE = Caller("person", "1", "acme", name="alice")
BOB = Caller("person", "2", "acme", name="bob")
PROGRAM = Caller("key", "abc", "acme")


def limits(credit: str, warning: str = "0") -> Limits:
    return Limits(Decimal(credit), Decimal(warning))


def test_one_person_gives_credit_up_to_the_limit_and_leaves_a_trail() -> None:
    account = funded_account("10")

    changed = change_limits(account.accno, limits("1000", "20.5"), by=ALICE, reason="a good customer")

    assert (changed.credit_limit, changed.warning_threshold, changed.available) == (1000, Decimal("20.5"), 1010)
    act = AuditEntry.objects.get(act="account.limits")
    assert (act.actor, act.reason, act.before, act.after) == (
        "person:alice", "a good customer", {"credit_limit": "0.000000", "warning_threshold": "0.000000"},
        {"credit_limit": "1000.000000", "warning_threshold": "20.500000"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("present", "wanted", "refused"),
    [
        pytest.param("0", "1000.01", True, id="above at once"),
        pytest.param("1000", "1000.01", True, id="above in a small step"),
        pytest.param("5000", "5000.01", True, id="from above to higher"),
        pytest.param("5000", "4999.99", False, id="lower, though above"),
        pytest.param("5000", "5000", False, id="as it is"),
    ],
)
def test_more_credit_than_one_person_may_give(present: str, wanted: str, refused: bool) -> None:  # noqa: FBT001
    account = funded_account("10", credit_limit=present)
    before = ledger_fingerprint()

    if refused:
        with pytest.raises(SecondPersonNeeded):
            change_limits(account.accno, limits(wanted), by=ALICE, reason="more")
        assert ledger_fingerprint() == before
    else:
        assert change_limits(account.accno, limits(wanted), by=ALICE, reason="less").credit_limit == Decimal(wanted)


def test_nothing_changes_until_another_person_approves() -> None:
    account = funded_account("10")
    before = ledger_fingerprint()

    waiting = request_limits(account.accno, limits("5000", "100"), by=ALICE, reason="a large customer")
    again = request_limits(account.accno, limits("5000", "100"), by=BOB, reason="a large customer")
    assert (ledger_fingerprint(), again.id, find_waiting(account.accno)) == (before, waiting.id, waiting)
    for decider in (ALICE, PROGRAM):
        with pytest.raises(SecondPersonNeeded):
            approve_limits(waiting.id, by=decider, at=NOON)
    with pytest.raises(CauseConflict):
        request_limits(account.accno, limits("6000"), by=BOB, reason="even more")
    assert ledger_fingerprint() == before
    approved = approve_limits(waiting.id, by=BOB, at=NOON)

    assert (approved.credit_limit, approved.warning_threshold) == (5000, 100)
    assert find_waiting(account.accno) is None
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "act", "reason")) == [
        ("person:alice", "account.limits_request", "a large customer"),
        ("person:bob", "account.limits", "a large customer"),
    ]


def test_a_decision_is_made_once_and_who_asked_may_take_it_back() -> None:
    account = funded_account("10")
    waiting = request_limits(account.accno, limits("5000"), by=ALICE, reason="a large customer")
    before = ledger_fingerprint()

    reject_limits(waiting.id, by=ALICE, at=NOON, reason="a mistake")

    for decide in (lambda: approve_limits(waiting.id, by=BOB, at=NOON), lambda: approve_limits(10**9, by=BOB, at=NOON)):
        with pytest.raises(LimitsNotWaiting):
            decide()
    assert ledger_fingerprint() == before
    assert request_limits(account.accno, limits("6000"), by=ALICE, reason="the right one").id > waiting.id


def test_a_closed_account_gets_no_limits() -> None:
    account = funded_account()
    waiting = request_limits(account.accno, limits("5000"), by=ALICE, reason="a large customer")
    close_account(account.accno)

    with pytest.raises(AccountClosed):
        request_limits(account.accno, limits("6000"), by=ALICE, reason="late")
    with pytest.raises(AccountClosed):
        approve_limits(waiting.id, by=BOB, at=NOON)

    assert read_account(account.id).credit_limit == 0
    assert find_waiting(account.accno) == waiting


def test_a_raise_is_judged_by_the_limit_that_it_replaces(fresh_database: object) -> None:
    account, lowered = funded_account("10", credit_limit="5000"), threading.Event()

    def lower() -> None:
        with closing(connection), transaction.atomic():
            set_limits(account.accno, credit_limit=Decimal(0), warning_threshold=Decimal(0))
            lowered.set()
            wait_until(somebody_waits, what="the other decision waits for this one")

    other = threading.Thread(target=lower)
    other.start()
    assert lowered.wait(10)
    with pytest.raises(SecondPersonNeeded):
        change_limits(account.accno, limits("4000"), by=ALICE, reason="a little less")
    other.join(10)

    assert read_account(account.id).credit_limit == 0


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def test_what_waits_is_read_in_one_question(django_assert_num_queries: Any) -> None:
    account = funded_account("10")
    for number in range(3):
        asked = Funding(account.accno, Decimal(-5000 - number), f"r{number}", NOON, memo="a mistake")
        request_adjustment(asked, by=ALICE)

    with django_assert_num_queries(1):
        waiting = list_waiting(account.accno)

    assert [one.amount for one in waiting] == [-5000, -5001, -5002]
