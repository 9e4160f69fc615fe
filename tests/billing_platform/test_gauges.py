"""Gauges that the database knows: read when somebody scrapes, kept for seconds, bounded in time, else absent."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client

from billing_platform import clock, gauges, metrics, registry
from billing_platform.metrics import Reading
from billing_platform.models import OutboxEvent
from billing_platform.outbox import NewEvent, dead_readings, record_events, waiting_readings
from tests.scraped import read_now, scraped

OPEN = "billing_holds_open"


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    gauges.forget()
    yield
    gauges.forget()
    clock.set_test_instant(None)


def one_hold() -> Sequence[Reading]:
    return [Reading(metrics.holds_open, 1)]


def slow_room() -> Sequence[Reading]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    return [Reading(metrics.wallets, 7, ("active",))]


def lost_room() -> Sequence[Reading]:
    raise OperationalError("server closed the connection unexpectedly")


def rooms(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(registry, "GAUGES", [f"{__name__}.{name}" for name in names])


def limit_in_force() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        (limit,) = cursor.fetchone()
    return str(limit)


@pytest.mark.django_db
def test_a_scrape_has_the_readings_of_every_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "BUDGET_SECONDS", 30.0)  # what a busy machine may take is no matter here
    record_events([NewEvent("call.ended", "acme", "c-1", {})])

    told = Client(REMOTE_ADDR="127.0.0.1").get("/metrics").content.decode().splitlines()

    assert 'billing_outbox_pending{topic="call.ended"} 1.0' in told
    assert {"billing_holds_open 0.0", "billing_charge_oldest_age_seconds 0.0"} <= set(told)
    assert {f'billing_charge_backlog{{reason="{state}"}} 0.0' for state in ("pending", "review")} <= set(told)
    assert 'billing_wallets{state="overdrawn"} 0.0' in told
    assert "# TYPE billing_dead_letters gauge" in told
    assert len([line for line in told if not line.startswith("#")]) < 2000


@pytest.mark.django_db
def test_a_slow_room_has_no_readings_and_the_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, "one_hold", "slow_room")
    monkeypatch.setattr(gauges, "BUDGET_SECONDS", 1.0)
    before = limit_in_force()

    started = time.monotonic()
    told = scraped(gauges.readings())

    assert time.monotonic() - started < 30
    assert told[OPEN] == 1
    assert not [sample for sample in told if sample.startswith("billing_wallets")]
    assert limit_in_force() == before


@pytest.mark.django_db
def test_without_the_database_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, "lost_room", "one_hold")

    assert gauges.readings() == []


@pytest.mark.django_db
def test_readings_are_kept_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, "one_hold")
    monkeypatch.setattr(gauges, "BUDGET_SECONDS", 30.0)
    monkeypatch.setattr(gauges, "KEPT_SECONDS", 3600.0)
    first = gauges.readings()
    rooms(monkeypatch)

    assert (gauges.readings(), read_now(first)) == (first, {OPEN: 1})
    gauges.forget()
    assert gauges.readings() == []


@pytest.mark.django_db
def test_events_are_told_by_topic_with_the_age_of_the_oldest() -> None:
    clock.set_test_instant(clock.now())
    record_events([NewEvent("call.ended", "acme", f"c-{number}", {}) for number in range(3)])
    clock.set_test_instant(clock.now() + timedelta(seconds=90))
    record_events([NewEvent("cdr.charged", "acme", "c-9", {})])
    OutboxEvent.objects.filter(subject="c-0").update(state="dead")
    OutboxEvent.objects.filter(subject="c-1").update(state="delivered")

    assert read_now(waiting_readings()) == {
        "billing_outbox_pending{topic=call.ended}": 1, "billing_outbox_pending{topic=cdr.charged}": 1,
        "billing_outbox_oldest_age_seconds{topic=call.ended}": 90.0,
        "billing_outbox_oldest_age_seconds{topic=cdr.charged}": 0.0,
    }  # fmt: skip
    assert read_now(dead_readings()) == {"billing_dead_letters{topic=call.ended}": 1}
