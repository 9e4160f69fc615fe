"""Many at once, over real gRPC and in several processes: one key is one charge, one stuck wallet stops only itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import psycopg2
import pytest
from django.db import connection, connections

from billing_platform import clock
from counter import client, committer
from counter.errors import CounterError, CounterUnavailable
from counter.metered import Submission
from counter.models import ServiceRecord
from counter.uses import ServiceUse, UseReceipt, UseRequest
from tests import cast
from tests.counter.told import end, money, transfers_of_uses, use
from tests.processes import running_counter, wait_until

pytestmark = pytest.mark.usefixtures("committed_books")


@pytest.fixture
def acme(committed_books):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    return account


@contextmanager
def two_counters(tmp_path):
    """Both answer; callers of this process are spread over them by turns."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with running_counter(tmp_path / "one") as one, running_counter(tmp_path / "two") as two:
        addresses = [one.ready["address"], two.ready["address"]]
        stubs = [client._Line(address).stub for address in addresses]
        yield stubs


@contextmanager
def other_session(url, *statements):
    """A transaction of somebody else that has done these statements and does not end."""
    session = psycopg2.connect(url, options="-c idle_in_transaction_session_timeout=0")
    try:
        with session.cursor() as cursor:
            for statement, parameters in statements:
                cursor.execute(statement, parameters)
        yield session
    finally:
        session.rollback()
        session.close()


def lock_wallet(account):
    return "SELECT 1 FROM ledger_billingaccount WHERE id = %s FOR UPDATE", [account.id]


def test_one_key_many_times_at_once_in_two_processes_is_one_hold_and_one_charge(acme, tmp_path):
    now = clock.now()
    question = client.wire.StartServiceRequest(accno=acme.accno, label="sms", providerno="m1")
    request = client._end_request(ServiceUse(acme.accno, "sms", "m1", now - timedelta(seconds=9), now))
    with two_counters(tmp_path) as stubs, ThreadPoolExecutor(50) as callers:
        starts = list(callers.map(lambda n: stubs[n % 2].StartService(question, timeout=10), range(40)))
        assert (ServiceRecord.objects.count(), money(acme)) == (1, ("100", "0.05"))
        ends = list(callers.map(lambda n: stubs[n % 2].EndService(request, timeout=10), range(100)))

    assert sum(not answer.duplicate for answer in starts) == sum(not answer.duplicate for answer in ends) == 1
    assert {answer.svcno for answer in [*starts, *ends]} == {starts[0].svcno}
    assert {answer.cost_exact for answer in ends} == {"0.05"}
    assert (transfers_of_uses(), money(acme)) == ([Decimal("0.05")], ("99.95", "0"))


def test_starts_at_once_never_hold_more_than_there_is(acme, tmp_path):
    cast.make_item("dear", price="30.00", opened_for=(acme,))

    def started(n):
        try:
            return client.start_service(UseRequest(acme.accno, "dear", f"d{n}")).svcno
        except CounterError as refusal:
            return refusal.code

    with running_counter(tmp_path), ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(started, range(10)))

    assert answers.count("insufficient_balance") == 7
    assert money(acme) == ("100", "90")


def test_a_wallet_locked_elsewhere_stops_only_its_own_uses(acme, fresh_database):
    echo = cast.echo()
    batch = [use(acme, "sms", "m1"), use(echo, "sms", "m2"), use(acme, "sms", "m3")]

    with other_session(fresh_database.url, lock_wallet(echo)):
        outcomes = end(*batch)

    assert [getattr(one, "cost", one) for one in outcomes] == [
        Decimal("0.05"), "counter_unavailable", Decimal("0.05"),
    ]  # fmt: skip
    assert (money(acme), money(echo)) == (("99.9", "0"), ("100", "0"))
    again = end(*batch)
    assert [one.duplicate for one in again] == [True, False, True]
    assert money(echo) == ("99.95", "0")


def test_a_deadlock_is_repeated_and_no_caller_sees_it(acme, fresh_database):
    """The other session locks echo's wallet, waits for acme's, and is the one that PostgreSQL lets live."""
    echo = cast.echo()
    batch = [Submission(one) for one in (use(acme, "sms", "m1"), use(echo, "sms", "m2"))]
    outcomes = []

    def settle():  # looks for a deadlock once, a second after it began to wait: long after the other waits for it
        outcomes.extend(committer.settle(batch))
        connections.close_all()

    low, high = sorted((acme, echo), key=lambda account: account.id)
    with other_session(fresh_database.url, ("SET deadlock_timeout = '10s'", []), lock_wallet(high)) as session:
        settling = threading.Thread(target=settle)
        settling.start()
        wait_until(lambda: waits_for_a_lock(fresh_database), what="the batch to wait for the higher wallet")
        with session.cursor() as cursor:
            cursor.execute(*lock_wallet(low))
    settling.join(10)

    assert [type(outcome) for outcome in outcomes] == [UseReceipt] * 2
    assert (money(acme), money(echo)) == (("99.95", "0"), ("99.95", "0"))


def waits_for_a_lock(fresh_database):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
            [fresh_database.name],
        )
        return cursor.fetchone()[0]


def test_concurrent_callers_are_settled_in_batches_and_each_gets_its_own(acme, tmp_path):
    def charged(n):
        return client.end_service(use(acme, "sms", f"m{n}", count=n + 1)).cost

    with running_counter(tmp_path), ThreadPoolExecutor(32) as callers:
        costs = list(callers.map(charged, range(64)))

    assert costs == [Decimal("0.05") * (n + 1) for n in range(64)]
    assert money(acme)[0] == str(100 - Decimal("0.05") * 2080).rstrip("0").rstrip(".")


def test_a_killed_counter_has_charged_all_of_a_batch_or_nothing(acme, tmp_path):
    batch = [use(acme, "sms", f"m{n}") for n in range(20)]
    killed = {"FAILPOINTS": "ledger.posting.after_balance:kill9"}
    with running_counter(tmp_path, env=killed), pytest.raises(CounterUnavailable):
        client.end_services(batch)
    assert (ServiceRecord.objects.count(), money(acme)) == (0, ("100", "0"))

    killed = {"FAILPOINTS": "counter.committer.after_commit:kill9"}
    with running_counter(tmp_path, env=killed), pytest.raises(CounterUnavailable):
        client.end_services(batch)
    assert (ServiceRecord.objects.count(), money(acme)) == (20, ("99", "0"))

    with running_counter(tmp_path):
        assert all(receipt.duplicate for receipt in client.end_services(batch))
    assert len(transfers_of_uses()) == 20


def test_an_answer_that_came_too_late_is_there_when_it_is_asked_again(acme, tmp_path):
    one = use(acme, "sms", "m1")
    with running_counter(tmp_path, env={"FAILPOINTS": "counter.grpc.before_reply:sleep=30@1"}):
        with pytest.raises(CounterUnavailable):
            client.end_services([one], seconds=1.5)  # enough to be charged, not to be answered
        wait_until(transfers_of_uses, what="the charge")
        assert client.end_service(one).duplicate

    assert (transfers_of_uses(), money(acme)) == ([Decimal("0.05")], ("99.95", "0"))


def test_a_connection_cut_under_the_counter_is_repeated(acme, tmp_path):
    with running_counter(tmp_path, env={"FAILPOINTS": "ledger.posting.after_balance:drop@1"}):
        receipt = client.end_service(use(acme, "sms", "m1"))

    assert (receipt.cost, transfers_of_uses()) == (Decimal("0.05"), [Decimal("0.05")])
