"""The beat table: two beats may run, each slot runs once; what is rung or called runs always."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery import Task
from celery.beat import ScheduleEntry

from billing_platform import clock
from billing_platform.celery import BEAT, DAILY, PERIODS, SlotScheduler, app
from billing_platform.models import BeatSlot
from billing_platform.slots import claim_slot, find_silent

RELAY = "billing_platform.tasks.relay_outbox_task"
TABLE = {"relay": 2, "verify": 60, "sweep": 10}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _running_clock() -> Iterator[None]:
    yield
    clock.set_test_instant(None)


@pytest.fixture
def counted() -> Iterator[tuple[Task, list[int]]]:
    runs: list[int] = []

    @app.task(name="tests.count")
    def count() -> None:
        runs.append(1)

    yield count, runs
    app.tasks.unregister("tests.count")


def test_a_slot_sent_by_two_beats_runs_once(counted: tuple[Task, list[int]]) -> None:
    task, runs = counted

    for slot in (7, 7, 8, 8, 7):
        task.apply(headers={"slot": slot})

    assert len(runs) == 2
    slot = BeatSlot.objects.get(job="tests.count")
    assert (slot.slot, slot.finished_at is not None) == (8, True)


def test_what_is_rung_or_called_runs_always(counted: tuple[Task, list[int]]) -> None:
    task, runs = counted

    task.apply()
    task.apply()
    task()

    assert len(runs) == 3
    assert not BeatSlot.objects.exists()


def test_a_slot_whose_run_failed_is_not_finished(
    counted: tuple[Task, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _runs = counted
    monkeypatch.setattr(task, "run", lambda: 1 / 0)

    result = task.apply(headers={"slot": 7})

    assert result.failed()
    assert BeatSlot.objects.get().finished_at is None


def test_beat_says_which_slot_a_message_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, object]] = []
    monkeypatch.setattr("celery.beat.Scheduler.apply_async", lambda _self, entry, **_kw: sent.append(entry.options))
    entry = ScheduleEntry(name=RELAY, task=RELAY, schedule=2, app=app)

    clock.set_test_instant(STARTED)
    SlotScheduler(app, lazy=True).apply_async(entry)

    assert sent == [{"headers": {"slot": int(STARTED.timestamp()) // 2}}]


def test_every_entry_has_a_period_and_the_relay_is_the_fastest() -> None:
    assert set(PERIODS) == set(BEAT) | set(DAILY) == set(app.conf.beat_schedule)
    assert not set(BEAT) & set(DAILY)
    assert min(PERIODS, key=PERIODS.__getitem__) == RELAY
    assert {PERIODS[task] for task in DAILY} == {86_400}


STARTED = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)


def silent(*, seconds: float) -> list[str]:
    """The jobs that nobody runs, so long after the process that asks has started."""
    clock.set_test_instant(STARTED + timedelta(seconds=seconds))
    return find_silent(TABLE, at=clock.now(), since=STARTED)


def run_at(job: str, *, seconds: float) -> None:
    clock.set_test_instant(STARTED + timedelta(seconds=seconds))
    assert claim_slot(job, slot=int(clock.now().timestamp()) // TABLE[job])


def test_a_beat_that_never_ticked_is_seen_a_minute_after_the_start() -> None:
    assert silent(seconds=60) == []
    assert silent(seconds=61) == ["relay", "sweep"]
    assert silent(seconds=181) == ["relay", "sweep", "verify"]


def test_a_beat_that_stops_ticking_is_seen_after_three_periods() -> None:
    for job in TABLE:
        run_at(job, seconds=100)

    assert silent(seconds=130) == []
    assert silent(seconds=131) == ["relay", "sweep"]  # a relay of every two seconds is given as long as one of ten
    assert silent(seconds=281) == ["relay", "sweep", "verify"]
    run_at("relay", seconds=282)
    assert silent(seconds=282) == ["sweep", "verify"]


def test_what_ran_before_the_start_is_given_a_minute_too() -> None:
    for job in TABLE:
        run_at(job, seconds=-3600)

    assert silent(seconds=60) == []
    assert silent(seconds=61) == ["relay", "sweep"]
