"""PostgreSQL cut off during a COMMIT, away, stopped, killed."""

from decimal import Decimal

import pytest

from tests.faults.stage import Stage
from tests.faults.workload import cost_of

pytestmark = pytest.mark.smoke

STORED, CHARGED, WRITTEN = 0, 1, 2  # the three commits of one record: its delivery, its charge, its call record


@pytest.mark.parametrize(
    ("commit", "status"), [(STORED, 503), (CHARGED, 200), (WRITTEN, 200)], ids=["delivery", "charge", "record"]
)
def test_f03_connection_cut_during_commit_is_settled_by_the_key(stage: Stage, commit: int, status: int) -> None:
    stage.post(stage.calls.record(0, seconds=61))  # the first one makes the sender's row, with a commit of its own
    record = stage.calls.record(1, seconds=61)
    stage.stack.database_line.lose_commit(after=commit)

    reply = stage.post(record)

    assert stage.stack.database_line.commits_lost == 1
    assert reply.status == status
    stage.repeat_until_answered(record)
    stage.settle()
    assert stage.states() == {"charged": 2}
    assert stage.balance == Decimal(1000) - 2 * cost_of(61)


def test_database_away_is_told_honestly_and_nothing_moves(stage: Stage) -> None:
    before = stage.stack.books.fingerprint()
    stage.stack.database_line.down()

    reply = stage.post(stage.calls.record(1))

    assert (reply.status, reply.body["retryable"]) == (503, True)
    assert stage.stack.books.fingerprint() == before


def test_slow_database_is_waited_for(stage: Stage) -> None:
    stage.stack.database_line.delay(0.05)

    reply = stage.post(stage.calls.record(1))

    assert (reply.status, reply.body["result"]) == (200, "accepted")


@pytest.mark.parametrize("end", ["kill9", "stop"], ids=["f20_crash", "f19_fast_restart"])
def test_postgres_restarted_under_load_keeps_every_acknowledged_record(stage: Stage, end: str) -> None:
    postgres = stage.stack.servers.postgres
    with stage.load():
        stage.await_answered(40)

        getattr(postgres, end)()
        told = [entry for entry in stage.journal.entries() if entry.answers]
        postgres.start()

        stage.await_answered(len(told) + 40)

    assert stage.stack.web.is_sound
    assert stage.stack.counter.is_sound
