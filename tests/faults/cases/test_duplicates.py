"""The same record again, one after another and all at once, and the same key with other content."""

import threading
from decimal import Decimal

import pytest

from tests.faults.stage import Stage
from tests.faults.workload import Reply, changed, cost_of

pytestmark = pytest.mark.smoke


def test_f38_duplicate_one_after_another_gets_the_same_receipt(stage: Stage) -> None:
    record = stage.calls.record(1, seconds=61)

    replies = [stage.post(record).body for _ in range(3)]

    assert [reply["result"] for reply in replies] == ["accepted", "duplicate", "duplicate"]
    assert len({(reply["cdr_id"], reply["state"], reply["cost"]) for reply in replies}) == 1
    assert stage.balance == Decimal(1000) - cost_of(61) == Decimal("999.864197")


def test_f39_duplicate_a_hundred_at_once_is_one_charge(stage: Stage) -> None:
    record = stage.calls.record(1)
    senders, barrier, replies = [stage.sender() for _ in range(100)], threading.Barrier(100), list[Reply]()

    def post(number: int) -> None:
        barrier.wait()
        replies.append(senders[number].post(record))

    threads = [threading.Thread(target=post, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    results = sorted(reply.body["result"] for reply in replies)
    assert results == ["accepted"] + ["duplicate"] * 99
    assert stage.count("counter_servicerecord") == 1


def test_f40_same_key_with_other_duration_is_a_conflict_for_a_person(stage: Stage) -> None:
    record = stage.calls.record(1, seconds=61)
    first = stage.post(record).body
    before = stage.stack.books.fingerprint()

    reply = stage.post(changed(record)).body

    assert (reply["result"], reply["cdr_id"], reply["cost"]) == ("conflict_queued", first["cdr_id"], first["cost"])
    assert stage.stack.books.fingerprint() == before
    assert stage.count("cdr_reviewitem") == 1
