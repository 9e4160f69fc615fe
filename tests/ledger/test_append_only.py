"""Transfers, keys, resolutions, consumptions and seals are only added to: the database itself refuses the rest."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from ledger.funding import Funding, grant
from ledger.holds import place_hold, release_hold
from ledger.posting import NewTransfer, post_transfers
from ledger.seals import day_of, seal_day
from tests.ledger_facts import LATER, NOON, funded_account, ledger_fingerprint

TABLES = ["ledger_transferkey", "ledger_holdresolution", "ledger_lotconsumption", "ledger_seal"]


def columns_of(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table])
        return str(cursor.fetchone()[0])


def partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relid::regclass::text FROM pg_partition_tree('ledger_transfer') ORDER BY 1")
        return [row[0] for row in cursor.fetchall()]


def assert_refused(statement: str) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert refusal.value.__cause__.pgcode == "23001", statement  # restrict_violation


@pytest.fixture
def busy_books(fresh_database: object) -> None:
    """At least one row in every guarded table, yesterday's transfers sealed."""
    account = funded_account("10")
    grant(Funding(account.accno, Decimal(5), "gift", NOON), expires_at=LATER)
    with transaction.atomic():
        post_transfers([NewTransfer(account.id, Decimal(-1), "revenue:voice", "use", "x", NOON)])
        release_hold(place_hold(account.id, amount=Decimal(1), reference="a", expires_at=LATER).hold_id, cause="x")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_transfer (account_id, debit_id, credit_id, amount, currency, cause_type, cause_id,"
            " effective_at, created_at) SELECT account_id, debit_id, credit_id, amount, currency, 'old', 'old',"
            " effective_at, '2020-01-01T00:00:00Z' FROM ledger_transfer LIMIT 1 RETURNING created_at"
        )
        (instant,) = cursor.fetchone()
    seal_day(day_of(instant), at=LATER)


def test_no_row_is_updated_deleted_or_truncated(busy_books: None) -> None:
    before = ledger_fingerprint()

    for table in [*TABLES, *partitions()]:
        column = columns_of(table)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
            (rows,) = cursor.fetchone()
        assert_refused(f"TRUNCATE {table} CASCADE")
        if rows:
            assert_refused(f"UPDATE {table} SET {column} = {column}")  # noqa: S608
            assert_refused(f"DELETE FROM {table}")  # noqa: S608

    assert ledger_fingerprint() == before


def test_every_guarded_table_was_tried_with_a_row_in_it(busy_books: None) -> None:
    for table in [*TABLES, "ledger_transfer", "ledger_transfer_default"]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608
            assert cursor.fetchone() == (True,), table


def test_future_partitions_are_guarded_too(busy_books: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_make_partition('2031-05-01')")
        assert cursor.fetchone() == ("ledger_transfer_203105",)
        cursor.execute(
            "INSERT INTO ledger_transfer (account_id, debit_id, credit_id, amount, currency, cause_type, cause_id,"
            " effective_at, created_at) SELECT account_id, debit_id, credit_id, amount, currency, 'new', 'new',"
            " effective_at, '2031-05-10T00:00:00Z' FROM ledger_transfer LIMIT 1 RETURNING tableoid::regclass::text"
        )
        assert cursor.fetchone() == ("ledger_transfer_203105",)

    assert_refused("UPDATE ledger_transfer_203105 SET amount = 1")
    assert_refused("DELETE FROM ledger_transfer_203105")
    assert_refused("TRUNCATE ledger_transfer_203105")


@pytest.mark.parametrize("row", ["1, 2, 0", "1, 2, -1", "1, 2, 1000000000000", "1, 2, NaN", "1, 1, 5"], ids=str)
@pytest.mark.django_db
def test_the_table_itself_refuses_odd_rows(row: str) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_transfer (account_id, debit_id, credit_id, amount, currency, cause_type, cause_id,"
            " effective_at) VALUES (1, %s, %s, %s, 'CNY', 'use', 'x', now())",
            row.split(", "),
        )

    assert refusal.value.__cause__.pgcode == "23514"  # check_violation
