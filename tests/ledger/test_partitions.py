"""ledger.partitions: months at 00:00 +08:00, made ahead; strays are an alarm."""

import logging
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection

from ledger.models import Transfer
from ledger.partitions import count_strays, make_partitions
from tests.ledger_facts import NOON, funded_account

NEW_YEARS_EVE = datetime(2029, 12, 31, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai


def add_transfer(created: str) -> str:
    """The partition that a transfer of this instant goes to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_transfer (account_id, debit_id, credit_id, amount, currency, cause_type, cause_id,"
            " effective_at, created_at) VALUES (1, 1, 2, 1, 'CNY', 'use', %s, %s, %s)"
            " RETURNING tableoid::regclass::text",
            [created, NOON, created],
        )
        return str(cursor.fetchone()[0])


@pytest.mark.django_db
def test_months_are_made_once_and_across_the_year() -> None:
    made = make_partitions(at=NEW_YEARS_EVE)

    assert made == [
        "ledger_transfer_202912", "ledger_transfer_203001", "ledger_transfer_203002", "ledger_transfer_203003",
    ]  # fmt: skip
    assert make_partitions(at=NEW_YEARS_EVE) == []


@pytest.mark.django_db
def test_the_month_turns_at_midnight_in_shanghai() -> None:
    make_partitions(at=NEW_YEARS_EVE)

    assert add_transfer("2029-12-31T23:59:59.999999+08:00") == "ledger_transfer_202912"
    assert add_transfer("2030-01-01T00:00:00+08:00") == "ledger_transfer_203001"


@pytest.mark.django_db
def test_today_goes_to_its_month() -> None:
    funded_account("1")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text"
            "       = 'ledger_transfer_' || to_char(now() AT TIME ZONE 'Asia/Shanghai', 'YYYYMM') FROM ledger_transfer"
        )
        assert cursor.fetchall() == [(True,)]
    assert count_strays() == 0


@pytest.mark.django_db
def test_strays_are_told_and_still_count(caplog: pytest.LogCaptureFixture) -> None:
    assert add_transfer("2041-07-01T00:00:00+08:00") == "ledger_transfer_default"

    with caplog.at_level(logging.ERROR, logger="ledger.partitions"):
        strays = count_strays()

    assert strays == 1
    assert "1 transfers lie in ledger_transfer_default" in caplog.text
    assert Transfer.objects.count() == 1


def test_a_month_with_strays_is_not_made_over_them(fresh_database: object) -> None:
    add_transfer("2041-07-15T00:00:00+08:00")

    with pytest.raises(IntegrityError):
        make_partitions(at=datetime(2041, 7, 1, tzinfo=UTC))

    assert count_strays() == 1
