"""The process: honest health, overload shed, a stop that loses nothing, no open door by accident."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import grpc
import psycopg2
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from grpc_health.v1 import health_pb2, health_pb2_grpc

from billing_platform import clock
from counter.grpc_server import serve
from counter.models import ServiceRecord
from ledger.posting import find_free_wallets
from tests import cast
from tests.counter.told import money
from tests.counter.wire import connected, refusal, wire
from tests.processes import running_counter, wait_until

pytestmark = pytest.mark.usefixtures("committed_books")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def acme(committed_books):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    return account


def end_request(account, providerno):
    now = clock.now()
    return wire.EndServiceRequest(
        accno=account.accno, label="sms", providerno=providerno,
        start_time=(now - timedelta(seconds=30)).isoformat(), finish_time=now.isoformat(),
    )  # fmt: skip


def is_locked(account):
    with transaction.atomic():
        return not find_free_wallets([account.id])


def health_of(channel, service="counter.CounterService"):
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0", "10.0.0.7:0"])
def test_a_bind_that_others_can_reach_needs_tls_or_a_word(bind):
    with pytest.raises(ImproperlyConfigured, match="is reachable by others"):
        serve([bind])


def test_plaintext_for_others_is_possible_when_it_is_said_and_needs_a_key_from_others(acme, tmp_path):
    env = {"COUNTER_ALLOW_PLAINTEXT": "1"}
    with running_counter(tmp_path, address="0.0.0.0:0", env=env) as process:
        port = process.ready["address"].rpartition(":")[2]
        with connected(f"127.0.0.1:{port}") as stub:
            assert stub.QueryAccount(wire.QueryAccountRequest(organizationid="acme")).accno == acme.accno


def test_health_follows_the_database(acme, tmp_path, fresh_database):
    with (
        running_counter(tmp_path) as process,
        grpc.insecure_channel(process.ready["address"]) as channel,
        connected(process.ready["address"]) as stub,
    ):
        assert health_of(channel) == health_of(channel, "") == SERVING
        name, request = fresh_database.name, end_request(acme, "m1")
        connection.close()  # this process must not be among those that are cut
        with closing(psycopg2.connect(fresh_database.url.replace(f"/{name}?", "/postgres?"))) as other:
            other.autocommit = True
            with other.cursor() as cursor:
                cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                wait_until(lambda: health_of(channel) == NOT_SERVING, what="not serving")
                away = refusal(stub.EndService, request)
                assert away.told == ("UNAVAILABLE", "counter_unavailable", "700", "true")
                cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        wait_until(lambda: health_of(channel) == SERVING, what="serving again")
        stub.EndService(request)

    assert money(acme) == ("99.95", "0")


def test_sigterm_answers_what_is_inside_and_takes_nothing_new(acme, tmp_path):
    env = {"FAILPOINTS": "ledger.posting.after_balance:sleep=1"}
    with (
        running_counter(tmp_path, env=env) as process,
        connected(process.ready["address"]) as stub,
        grpc.insecure_channel(process.ready["address"]) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(iter(watch)).status == SERVING
        answers = []
        inside = threading.Thread(target=lambda: answers.append(stub.EndService(end_request(acme, "m1"))))
        inside.start()
        wait_until(lambda: is_locked(acme), what="the charge to be inside")
        began = time.monotonic()
        status = process.terminate()
        took = time.monotonic() - began
        inside.join(5)

        assert (status, [answer.cost_exact for answer in answers]) == (0, ["0.05"])
        assert took < settings.COUNTER_GRACE - 0.5  # the open watch did not hold it up
        with connected(process.ready["address"]) as late:
            assert refusal(late.EndService, end_request(acme, "m2")).status == "UNAVAILABLE"

    assert (money(acme), ServiceRecord.objects.count()) == (("99.95", "0"), 1)


def test_overload_is_shed_as_unavailable_at_once(acme, tmp_path):
    env = {"COUNTER_THREADS": "2", "FAILPOINTS": "counter.grpc.before_reply:sleep=0.2"}
    query = wire.QueryAccountRequest(organizationid="acme")
    with (
        running_counter(tmp_path, env=env) as process,
        connected(process.ready["address"]) as stub,
        ThreadPoolExecutor(80) as callers,
    ):
        calls = [callers.submit(stub.QueryAccount.future, query, timeout=60) for _ in range(80)]
        codes = [call.result().code() for call in calls]

    shed, served = (codes.count(code) for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK))
    assert shed + served == 80
    assert shed > 0
    assert served >= 34  # two inside and 16 waiting for each of them
