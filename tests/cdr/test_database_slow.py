"""A database that does not take a row in time: nothing is promised before it is stored, nothing is lost after."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import psycopg2
from django.db import connection

from billing_platform import clock
from cdr.models import Delivery
from cdr.takeup import take_up_deliveries
from tests.cdr.desk import Desk, call, make_sender
from tests.ledger_facts import ledger_fingerprint


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Another session lets nobody write to the table, as the building of an index does."""
    with closing(psycopg2.connect(**connection.get_connection_params())) as other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield
        other.rollback()


def test_delivery_that_cannot_be_stored_is_answered_503(desk: Desk) -> None:
    sender = make_sender()
    before = ledger_fingerprint()

    with locked("cdr_opendelivery"):
        answer = sender.post(call())

    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "unavailable", True)
    assert int(answer.headers["Retry-After"]) > 0
    assert ledger_fingerprint() == before
    assert not Delivery.objects.filter(organization=sender.organization).exists()


def test_delivery_whose_records_cannot_be_written_yet_is_accepted_and_taken_up(desk: Desk) -> None:
    sender = make_sender()
    record = call(seconds=95)

    with locked("cdr_callkey"):
        told = sender.post(record).json()
    clock.set_test_instant(clock.now() + timedelta(seconds=31))
    take_up_deliveries()
    clock.set_test_instant(None)

    assert (told["result"], told["state"]) == ("accepted", "pending")
    assert sender.post(record).json()["result"] == "duplicate"
    assert ([row.state for row in sender.records], sender.balance) == (["charged"], "99.76")
