"""The beat table: two beats may run, each slot runs once; what is rung or called runs always."""

from collections.abc import Iterator

import pytest
from celery import Task
from celery.beat import ScheduleEntry

from billing_platform import clock
from billing_platform.celery import BEAT, DAILY, PERIODS, SlotScheduler, app
from billing_platform.models import BeatSlot

RELAY = "billing_platform.tasks.relay_outbox_task"
pytestmark = pytest.mark.django_db


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

    SlotScheduler(app, lazy=True).apply_async(entry)

    assert sent == [{"headers": {"slot": pytest.approx(int(clock.now().timestamp()) // 2, abs=1)}}]


def test_every_entry_has_a_period_and_the_relay_is_the_fastest() -> None:
    assert set(PERIODS) == set(BEAT) | set(DAILY) == set(app.conf.beat_schedule)
    assert not set(BEAT) & set(DAILY)
    assert min(PERIODS, key=PERIODS.__getitem__) == RELAY
    assert {PERIODS[task] for task in DAILY} == {86_400}
