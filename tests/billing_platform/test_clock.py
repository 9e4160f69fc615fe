"""The only clock: database time, whatever the wall says; stopped in tests only."""

import threading
import time
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
    started = time.monotonic()
    before, told, after = database_now(), clock.now(), database_now()
    trips = timedelta(seconds=time.monotonic() - started)

    assert told.tzinfo is UTC
    assert before - trips <= told <= after + trips


def test_a_wrong_wall_clock_changes_nothing() -> None:
    before = database_now()
    with time_machine.travel(datetime(2031, 1, 1, tzinfo=UTC)):
        told = clock.now()

    assert abs(told - before) < timedelta(hours=1)


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


def test_a_look_of_another_thread_in_between_turns_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    instant = datetime(2026, 3, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(clock, "_database_instant", lambda: instant)
    clock.now()
    asked = []

    def interrupted() -> float:
        asked.append(1)
        if len(asked) == 2:  # between what it read and what it answers; 10.5 s later by the database
            monkeypatch.setattr(clock, "monotonic", lambda: 1010.5)
            monkeypatch.setattr(clock, "_database_instant", lambda: instant + timedelta(seconds=10.5))
            clock._resync()
        return 1009.5

    monkeypatch.setattr(clock, "monotonic", interrupted)

    assert (clock.now(), len(asked)) == (instant + timedelta(seconds=9.5), 2)


def test_a_slow_answer_is_no_step_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, instant = [1000.0], datetime(2026, 3, 1, tzinfo=UTC)
    answers = iter([(0.0, 0.0), (0.4, 11.1), (0.4, 24.0)])  # how long each takes, and what it tells

    def answer() -> datetime:
        took, told = next(answers)
        reading[0] += took
        return instant + timedelta(seconds=told)

    monkeypatch.setattr(clock, "monotonic", lambda: reading[0])
    monkeypatch.setattr(clock, "_database_instant", answer)
    monkeypatch.setattr(clock, "QUESTIONS_MAX", 1)
    clock.now()
    told = []
    for at in (1011.0, 1023.0):
        reading[0] = at
        told.append((clock.now() - instant).total_seconds())

    assert told == [11.4, 24.0]  # as it went; then as near to that as the answer, 24.0 in the middle of 0.4 s, allows


@pytest.mark.parametrize(("answer", "told"), [(9.98, 10.0), (10.01, 10.01), (-3590.0, -3590.0)])
def test_time_goes_back_only_with_the_servers_own_clock(
    monkeypatch: pytest.MonkeyPatch, answer: float, told: float
) -> None:
    reading, begun = [1000.0], datetime(2026, 3, 1, tzinfo=UTC)
    answers = iter([begun, begun + timedelta(seconds=answer)])
    monkeypatch.setattr(clock, "monotonic", lambda: reading[0])
    monkeypatch.setattr(clock, "_database_instant", lambda: next(answers))
    monkeypatch.setattr(clock, "RESYNC_SECONDS", 9.0)
    clock.now()
    reading[0] += 10

    assert clock.now() == begun + timedelta(seconds=told)
    reading[0] += 1
    assert clock.now() == begun + timedelta(seconds=answer + 1)


@pytest.mark.parametrize(("ways", "error"), [([0.2, 0.08, 0.1], -0.04), ([0.2, 0.004], -0.002), ([0.0], 0.0)])
def test_the_quickest_of_three_answers_counts(monkeypatch: pytest.MonkeyPatch, ways: list[float], error: float) -> None:
    """Each is on its way back all the time, which is as wrong as it can be."""
    reading, begun, on_the_way = [1000.0], datetime(2026, 3, 1, tzinfo=UTC), iter(ways)

    def answered() -> datetime:
        at = begun + timedelta(seconds=reading[0] - 1000)
        reading[0] += next(on_the_way)
        return at

    monkeypatch.setattr(clock, "monotonic", lambda: reading[0])
    monkeypatch.setattr(clock, "_database_instant", answered)

    assert (clock.now() - begun).total_seconds() - (reading[0] - 1000) == pytest.approx(error, abs=1e-5)
    assert list(on_the_way) == []


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
        assert abs(clock.now() - datetime(2026, 3, 1, tzinfo=UTC)) < timedelta(hours=1)


def test_a_test_may_stop_it_and_let_it_run_again() -> None:
    instant = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)

    clock.set_test_instant(instant)
    stopped = clock.now()
    clock.set_test_instant(None)

    assert stopped == instant
    assert abs(clock.now() - database_now()) < timedelta(hours=1)


def test_outside_test_mode_nobody_stops_it(settings: object) -> None:
    settings.TEST_MODE = False  # type: ignore[attr-defined]

    with pytest.raises(RuntimeError):
        clock.set_test_instant(datetime(2026, 3, 1, tzinfo=UTC))


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(AssertionError):
        clock.set_test_instant(datetime(2026, 3, 1))  # noqa: DTZ001  that is the mistake


@pytest.mark.django_db(transaction=True)
def test_many_threads_ask_the_database_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(clock, "QUESTIONS_MAX", 1)
    barrier = threading.Barrier(16)
    monkeypatch.setattr(clock, "_database_instant", lambda: asked.append(1) or datetime(2026, 3, 1, tzinfo=UTC))

    def ask() -> None:
        barrier.wait(60)
        clock.now()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(asked) == 1
