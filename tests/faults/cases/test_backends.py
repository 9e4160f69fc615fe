"""Foreign sessions lock what we need, end our connections, or take them all."""

import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from billing_platform.supervision import wait_until
from counter import client
from counter.uses import CallFacts, ServiceUse, UseReceipt
from tests.faults.cases.test_counter import asking
from tests.faults.clerk import Tenant
from tests.faults.stage import Stage
from tests.faults.supervisor import HOST
from tests.faults.workload import Journal, Sender, cost_of

pytestmark = pytest.mark.faults

LOCK_WALLET = "SELECT FROM ledger_billingaccount WHERE accno = %s FOR UPDATE"
OURS = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
WAITING = f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'"  # noqa: S608  no input
END_ONE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS} ORDER BY random() LIMIT 1"  # noqa: S608
END_ALL = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS} AND application_name <> 'foreign'"  # noqa: S608
TERMINATED, EVERY_SECONDS = 15, 1.0
FAST_SECONDS = 8.0
SWEEPS = 5


@contextmanager
def foreign_session(stage: Stage) -> Iterator[extensions.connection]:
    """Somebody with a transaction open in our database, who will not be ended for being idle."""
    with closing(psycopg2.connect(stage.stack.url, application_name="foreign")) as session:
        with session.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0; SET deadlock_timeout = '30s'")
        session.commit()
        yield session
        session.rollback()


def lock(session: extensions.connection, tenant: Tenant) -> None:
    with session.cursor() as cursor:
        cursor.execute(LOCK_WALLET, [tenant.accno])


def test_f06_locked_wallet_waits_and_all_others_are_charged(stage: Stage, tmp_path: Path) -> None:
    other = stage.stack.clerk.make_tenant(f"{stage.tenant.organization}-o")
    records = [stage.calls.record(number, seconds=61) for number in range(6)]
    with foreign_session(stage) as session:
        lock(session, stage.tenant)
        threads = [threading.Thread(target=stage.sender().post, args=(record,)) for record in records[:5]]
        for thread in threads:
            thread.start()
        Sender(stage.stack.web_port, other, Journal(tmp_path / "other.jsonl")).post(records[5])
        for thread in threads:
            thread.join()
        assert any(charged_after_sweep(stage, other) for _ in range(SWEEPS)), "one locked wallet keeps another"
        assert stage.states() == {"pending": 5}

    stage.settle()

    assert stage.states() == {"charged": 5}
    assert stage.balance == Decimal(1000) - 5 * cost_of(61)


def charged_after_sweep(stage: Stage, tenant: Tenant) -> bool:
    stage.stack.sweep()
    query = "SELECT count(*) FROM call_records WHERE organization = %s AND state = 'charged'"
    return wait_until(lambda: stage.stack.books.value(query, tenant.organization) == 1, seconds=5)


def test_f21_backends_ended_one_a_second_under_load(stage: Stage) -> None:
    with stage.load():
        stage.await_answered(20)
        for _ in range(TERMINATED):
            stage.stack.books.rows(END_ONE)
            time.sleep(EVERY_SECONDS)
        told = sum(1 for entry in stage.journal.entries() if entry.answers)
        stage.await_answered(told + 20)

    assert all(part.is_sound for part in stage.stack.parts)


def test_f22_connections_exhausted_is_told_at_once_and_passes(stage: Stage) -> None:
    stage.post(stage.calls.record(0))
    record = stage.calls.record(1, seconds=61)
    with ExitStack() as undo, foreign_session(stage) as session:
        session.autocommit = True
        take_all_connections(stage, undo)
        with session.cursor() as cursor:
            cursor.execute(END_ALL)
        take_all_connections(stage, undo)
        started = time.monotonic()
        reply = stage.post(record)
        took = time.monotonic() - started
        ready = readiness(stage.stack.web_port)

    assert (reply.status, reply.body["retryable"]) == (503, True)
    assert took < FAST_SECONDS
    assert ready == 503
    assert stage.repeat_until_answered(record).body["result"] == "accepted"


def readiness(port: int) -> int:
    with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as wire:
        wire.request("GET", "/readyz")
        return wire.getresponse().status


def take_all_connections(stage: Stage, undo: ExitStack) -> None:
    """Until the server has none left, for half a second: others may give theirs back meanwhile."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        with suppress(psycopg2.OperationalError):
            undo.enter_context(closing(psycopg2.connect(stage.stack.url, application_name="foreign")))


def test_f23_deadlock_is_repeated_as_a_whole_and_charges_once(stage: Stage, seed: int) -> None:
    """The batch holds the first wallet and wants the second, a foreign session the other way round."""
    other = stage.stack.clerk.make_tenant(f"{stage.tenant.organization}-o")
    receipts = list[object]()
    uses = [use(stage, tenant, f"f23-{random.Random(seed).random()}") for tenant in (stage.tenant, other)]

    with asking(stage), foreign_session(stage) as session:
        lock(session, other)
        charging = threading.Thread(target=lambda: receipts.extend(client.end_services(uses)))
        charging.start()
        assert wait_until(lambda: stage.stack.books.value(WAITING) > 0, seconds=10), "the batch does not wait"
        lock(session, stage.tenant)  # the batch, looking first, is the victim; it gives way and comes again
        session.rollback()
        charging.join()

    assert [receipt.cost for receipt in receipts if isinstance(receipt, UseReceipt)] == [cost_of(61)] * 2
    assert stage.balance == Decimal(1000) - cost_of(61)
    assert deadlocks(stage) > 0


def use(stage: Stage, tenant: Tenant, reference: str) -> ServiceUse:
    end = stage.calls.ended
    return ServiceUse(
        tenant.accno, "callback", f"{reference}-{tenant.accno}", end - timedelta(seconds=61), end,
        organization=tenant.organization, call=CallFacts("13800000001", "13912340001", "callback"),
    )  # fmt: skip


def deadlocks(stage: Stage) -> int:
    """Told by the server a moment later."""
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert wait_until(lambda: stage.stack.books.value(query) > 0, seconds=10), "there was no deadlock"
    return int(stage.stack.books.value(query))
