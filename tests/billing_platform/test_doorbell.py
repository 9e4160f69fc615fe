"""Doorbells: heard by the right queue, and harmless when nobody can hear them."""

import json
import time
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings as django_settings

from billing_platform import doorbell, metrics
from billing_platform.celery import app
from billing_platform.embedded import Servers

RELAY = "billing_platform.tasks.relay_outbox_task"


@pytest.fixture
def valkey(servers: Servers) -> Iterator["redis.Redis"]:
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    client.flushdb()
    doorbell.breaker.reset()
    doorbell._producers.cache_clear()
    yield client
    client.flushdb()
    doorbell.breaker.reset()


def lost(task: str) -> float:
    return metrics.doorbells_lost.labels(task)._value.get()


def test_a_ring_is_a_message_with_ids_in_the_tasks_queue(valkey: "redis.Redis") -> None:
    heard = doorbell.ring(RELAY, 7)

    message = json.loads(valkey.lpop("outside"))
    assert heard
    assert (message["headers"]["task"], message["headers"]["argsrepr"]) == (RELAY, "(7,)")
    assert message["headers"].get("slot") is None


def test_unrouted_tasks_go_to_the_money_queue(valkey: "redis.Redis") -> None:
    doorbell.ring("cdr.tasks.charge_records_task", 1)

    assert (valkey.llen("money"), valkey.llen("outside")) == (1, 0)


def test_a_lost_ring_is_counted_costs_little_and_is_not_tried_again_for_a_while(
    valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    doorbell._producers.cache_clear()
    monkeypatch.setattr(app.conf, "broker_url", "redis+socket:///nowhere/valkey.sock")
    before = lost("a.task")

    started = time.monotonic()
    heard = [doorbell.ring("a.task", n) for n in range(100)]
    took = time.monotonic() - started
    doorbell._producers.cache_clear()

    assert heard == [False] * 100
    assert lost("a.task") - before == 100
    assert took < 15  # half of what each would wait for
