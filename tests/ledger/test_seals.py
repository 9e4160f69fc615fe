"""ledger.seals: a day is sealed when nothing can be added to it any more, and any later touch shows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from ledger.errors import NotSealable
from ledger.models import Seal
from ledger.posting import NewTransfer, post_transfers
from ledger.seals import day_of, find_broken_seals, seal_day, seal_due_days
from tests.ledger_facts import NOON, funded_account

pytestmark = pytest.mark.usefixtures("fresh_database")
FIRST = date(2026, 3, 1)
AFTER = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)


def add_transfer(created: str, amount: str = "1", cause: str = "") -> None:
    """A transfer that began at `created`, as only raw SQL can make it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_transfer (account_id, debit_id, credit_id, amount, currency, cause_type, cause_id,"
            " effective_at, created_at) VALUES (1, 1, 2, %s, 'CNY', 'use', %s, %s, %s)",
            [Decimal(amount), cause or created, NOON, created],
        )


@contextmanager
def unguarded() -> Iterator[None]:
    """What only the owner of the database can do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield
        cursor.execute("SET session_replication_role = origin")


def sealed_days() -> None:
    add_transfer("2026-03-01T00:00:00+08:00", "1.5")
    add_transfer("2026-03-01T23:59:59.999999+08:00", "2")
    add_transfer("2026-03-03T00:00:00+08:00", "4")
    seal_due_days(at=AFTER)


def test_days_are_sealed_in_order_with_empty_ones_between_and_today_left_open() -> None:
    sealed_days()

    seals = list(Seal.objects.order_by("day"))

    assert [(seal.day, seal.rows, seal.sums) for seal in seals] == [
        (FIRST, 2, {"CNY": "3.500000"}),
        (FIRST + timedelta(days=1), 0, {}),
        (FIRST + timedelta(days=2), 1, {"CNY": "4.000000"}),
    ]
    assert [seal.previous_id for seal in seals] == [None, seals[0].pk, seals[1].pk]
    assert seals[0].partition == "ledger_transfer_202603"
    assert seal_due_days(at=AFTER) == []
    assert list(find_broken_seals()) == []


def test_empty_books_have_nothing_to_seal() -> None:
    assert seal_due_days(at=AFTER) == []


def test_no_day_is_sealed_twice_early_or_out_of_turn() -> None:
    sealed_days()

    for day in (FIRST, FIRST + timedelta(days=4)):
        with pytest.raises(NotSealable):
            seal_day(day, at=AFTER + timedelta(days=9))
    with pytest.raises(NotSealable):
        seal_day(day_of(AFTER), at=AFTER)

    assert Seal.objects.count() == 3


@pytest.mark.parametrize(
    "touch",
    [
        pytest.param("UPDATE ledger_transfer SET amount = 1.6 WHERE amount = 1.5", id="amount"),
        pytest.param("UPDATE ledger_transfer SET memo = 'x' WHERE amount = 2", id="memo"),
        pytest.param("UPDATE ledger_transfer SET account_id = 9 WHERE amount = 2", id="account"),
        pytest.param("DELETE FROM ledger_transfer WHERE amount = 2", id="deleted"),
        pytest.param(
            "INSERT INTO ledger_transfer (account_id, debit_id, credit_id, amount, currency, cause_type, cause_id,"
            " effective_at, created_at) VALUES (1, 1, 2, 9, 'CNY', 'use', 'x', now(), '2026-03-01T12:00:00Z')",
            id="added later",
        ),
    ],
)
def test_any_touch_of_a_sealed_day_shows(touch: str) -> None:
    sealed_days()

    with unguarded(), connection.cursor() as cursor:
        cursor.execute(touch)

    (broken,) = find_broken_seals()
    assert broken.startswith("seal of 2026-03-01: 2 rows")


def test_a_seal_made_again_breaks_the_chain_after_it() -> None:
    sealed_days()

    with unguarded(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_transfer SET amount = 1.6 WHERE amount = 1.5")
        cursor.execute("UPDATE ledger_seal SET sha256 = sha256(sha256) WHERE day = '2026-03-01'")

    assert [broken[:18] for broken in find_broken_seals()] == ["seal of 2026-03-01", "seal of 2026-03-02"]


def test_a_missing_seal_shows() -> None:
    sealed_days()

    with unguarded(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_seal WHERE day = '2026-03-02'")

    assert "seal of 2026-03-03 does not follow the seal before it" in list(find_broken_seals())


def test_a_transaction_that_may_still_add_to_the_day_holds_the_seal_back() -> None:
    account = funded_account("10")
    began, finish = threading.Event(), threading.Event()

    def charge_slowly() -> None:
        try:
            with transaction.atomic():
                post_transfers([NewTransfer(account.id, Decimal(-1), "revenue:voice", "use", "slow", NOON)])
                began.set()
                finish.wait(10)
        finally:
            connection.close()

    slow = threading.Thread(target=charge_slowly)
    slow.start()
    assert began.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        today = day_of(cursor.fetchone()[0])
    tomorrow = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=4)

    with pytest.raises(NotSealable, match="still running"):
        seal_day(today, at=tomorrow)
    finish.set()
    slow.join()

    assert seal_day(today, at=tomorrow) == 2
    assert list(find_broken_seals()) == []
