"""Valkey killed, emptied, away: it only rings doorbells, so nothing may be lost with it."""

import time

import pytest

from tests.faults.stack import SWEEPERS
from tests.faults.stage import Stage

pytestmark = pytest.mark.smoke

AWAY_SECONDS = 6.0


def test_f33_valkey_killed_under_load(stage: Stage) -> None:
    valkey = stage.stack.servers.valkey
    with stage.load():
        stage.await_answered(40)

        valkey.kill9()
        stage.await_answered(80)
        valkey.start()

        stage.await_answered(120)


def test_f34_valkey_emptied_with_work_in_its_queues(stage: Stage) -> None:
    stage.stack.counter.kill9()
    for number in range(20):
        stage.post(stage.calls.record(number))
    assert stage.states() == {"pending": 20}
    stage.stack.worker.pause()
    stage.stack.ring(*SWEEPERS)

    stage.stack.empty_valkey()

    stage.stack.worker.resume()
    stage.stack.counter.start()
    stage.settle()
    assert stage.states() == {"charged": 20}


def test_f35_valkey_away_intake_goes_on_without_delay(stage: Stage) -> None:
    stage.stack.servers.valkey.stop()
    until = time.monotonic() + AWAY_SECONDS
    slowest, number = 0.0, 0

    while time.monotonic() < until:
        started = time.monotonic()
        reply = stage.post(stage.calls.record(number))
        slowest, number = max(slowest, time.monotonic() - started), number + 1
        assert (reply.status, reply.body["result"]) == (200, "accepted")

    stage.stack.servers.valkey.start()
    assert slowest < 2.0
    assert number > AWAY_SECONDS
