"""Parts that are told to end, that come and go, or run twice."""

import os
import signal
import time
from collections import Counter

import pytest

from billing_platform.supervision import wait_until
from tests.billing_platform.receiver import receiving
from tests.faults.stage import Stage

pytestmark = pytest.mark.faults

GRACE_SECONDS = 35.0
FLAPS, UP_SECONDS, DOWN_SECONDS = 10, 1.0, 1.0
EVENTS = 300
NEW_EVENTS = """
    INSERT INTO billing_platform_outboxevent
           (topic, organization, subject, payload, state, attempts, last_error, created_at, next_attempt_at)
    SELECT 'account.low_balance', %s, 'f57', '{}', 'pending', 0, '', now(), now() FROM generate_series(1, %s)
"""
UNTOLD = "SELECT count(*) FROM billing_platform_outboxevent WHERE organization = %s AND state <> 'delivered'"


@pytest.mark.parametrize("name", ["web", "counter"])
def test_f05_part_told_to_end_under_load_loses_nothing_acknowledged(stage: Stage, name: str) -> None:
    part = getattr(stage.stack, name)
    with stage.load():
        stage.await_answered(40)

        os.kill(part.pid, signal.SIGTERM)
        part.await_dead(seconds=GRACE_SECONDS)
        part.kill9()
        told = sum(1 for entry in stage.journal.entries() if entry.answers)
        part.start()

        stage.await_answered(told + 40)


def test_f49_counter_that_flaps_leaves_a_backlog_that_drains(stage: Stage) -> None:
    with stage.load():
        for _ in range(FLAPS):
            for line in stage.stack.counter_lines:
                line.down()
            time.sleep(DOWN_SECONDS)
            for line in stage.stack.counter_lines:
                line.up()
            time.sleep(UP_SECONDS)
    backlog = stage.states().get("pending", 0)

    stage.settle()

    assert backlog > 0
    assert set(stage.states()) == {"charged"}


def test_f57_relays_side_by_side_tell_each_event_once(stage: Stage) -> None:
    worker, organization = stage.stack.worker, stage.tenant.organization
    before = worker.environment
    with receiving() as receiver:
        stage.stack.clerk.listen(stage.tenant, url=receiver.url)
        worker.environment = {**before, "OUTSIDE_ALLOWED_PRIVATE_NETS": "127.0.0.0/8"}
        try:
            worker.restart()
            stage.stack.books.change(NEW_EVENTS, organization, EVENTS)

            stage.stack.ring(*["billing_platform.tasks.relay_outbox_task"] * 8)

            told = wait_until(lambda: stage.stack.books.value(UNTOLD, organization) == 0, seconds=60)
        finally:
            worker.environment = before
            worker.restart()

    arrived = Counter(headers["webhook-id"] for headers, _ in receiver.requests)
    assert told
    assert (len(arrived), set(arrived.values())) == (EVENTS, {1})
