"""The only clock: database time, whatever the wall says; stopped in tests only."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection

from billing_platform import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _unsynchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_sync", clock._Sync())


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def test_it_is_the_database_time_aware_and_utc() -> None:
    before, told, after = database_now(), clock.now(), database_now()

    assert told.tzinfo is UTC
    assert before - timedelta(milliseconds=50) <= told <= after + timedelta(milliseconds=50)


def test_a_wrong_wall_clock_changes_nothing() -> None:
    with time_machine.travel(datetime(2031, 1, 1, tzinfo=UTC)):
        told = clock.now()

    assert abs(told - database_now()) < timedelta(seconds=2)


def test_the_database_is_asked_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, reading = [], [1000.0]
    instant = datetime(2026, 3, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "_database_instant", lambda: asked.append(1) or instant)
    monkeypatch.setattr(clock, "monotonic", lambda: reading[0])

    first = clock.now()
    reading[0] += 9.5
    second = clock.now()
    reading[0] += 1.0
    third = clock.now()

    assert (first, second, third) == (instant, instant + timedelta(seconds=9.5), instant)
    assert len(asked) == 2


def test_without_the_database_the_last_answer_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = [1000.0]
    instant = datetime(2026, 3, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "monotonic", lambda: reading[0])
    monkeypatch.setattr(clock, "_database_instant", lambda: instant)
    clock.now()

    def away() -> datetime:
        raise DatabaseError

    monkeypatch.setattr(clock, "_database_instant", away)
    reading[0] += 60

    assert clock.now() == instant + timedelta(seconds=60)


def test_never_synchronised_it_is_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> datetime:
        raise DatabaseError

    monkeypatch.setattr(clock, "_database_instant", away)

    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False):
        assert abs(clock.now() - datetime(2026, 3, 1, tzinfo=UTC)) < timedelta(seconds=1)


def test_a_test_may_stop_it_and_let_it_run_again() -> None:
    instant = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)

    clock.set_test_instant(instant)
    stopped = clock.now()
    clock.set_test_instant(None)

    assert stopped == instant
    assert abs(clock.now() - database_now()) < timedelta(seconds=1)


def test_outside_test_mode_nobody_stops_it(settings: object) -> None:
    settings.TEST_MODE = False  # type: ignore[attr-defined]

    with pytest.raises(RuntimeError):
        clock.set_test_instant(datetime(2026, 3, 1, tzinfo=UTC))


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(AssertionError):
        clock.set_test_instant(datetime(2026, 3, 1))  # noqa: DTZ001  that is the mistake


@pytest.mark.django_db(transaction=True)
def test_many_threads_ask_the_database_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    barrier = threading.Barrier(16)
    monkeypatch.setattr(clock, "_database_instant", lambda: asked.append(1) or datetime(2026, 3, 1, tzinfo=UTC))

    def ask() -> None:
        barrier.wait(5)
        clock.now()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert len(asked) == 1
