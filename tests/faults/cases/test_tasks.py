"""A celery worker dies with a charge in its hands."""

from decimal import Decimal

import pytest

from tests.faults.stage import Stage
from tests.faults.workload import cost_of

SWEEP = "cdr.tasks.sweep_charges_task"


def leave_pending(stage: Stage, number: int) -> None:
    """Records that the counter has not heard of; afterwards it runs again."""
    stage.stack.counter.kill9()
    for n in range(number):
        stage.post(stage.calls.record(n, seconds=61))
    assert stage.states() == {"pending": number}
    stage.stack.counter.start()


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("place", "uses"),
    [("cdr.charging.before_counter", 0), ("cdr.charging.after_counter", 1)],
    ids=["f08_before_its_commit", "f09_after_its_commit"],
)
def test_celery_child_killed_charges_once(stage: Stage, place: str, uses: int) -> None:
    leave_pending(stage, 1)
    stage.stack.worker.restart(f"{place}:kill9")
    children = stage.stack.worker.children()

    stage.stack.ring(SWEEP)

    stage.stack.worker.await_lost_child(children, seconds=60)
    assert stage.count("counter_servicerecord") == uses
    assert stage.states() == {"pending": 1}

    stage.stack.worker.restart()
    stage.settle()

    assert stage.states() == {"charged": 1}
    assert stage.balance == Decimal(1000) - cost_of(61)


@pytest.mark.faults
def test_f10_whole_worker_killed_with_twenty_tasks_in_flight(stage: Stage) -> None:
    leave_pending(stage, 20)
    stage.stack.worker.restart("cdr.charging.before_counter:sleep=30")
    stage.stack.ring(*[SWEEP] * 20)
    stage.await_leased(20)

    stage.stack.worker.kill9()

    stage.stack.worker.start()
    stage.stack.beat.start()  # no lease is cut short and no task redelivered: the sweeper alone finds them
    stage.await_settled(seconds=100)
    assert stage.states() == {"charged": 20}
    assert stage.balance == Decimal(1000) - 20 * cost_of(61)
