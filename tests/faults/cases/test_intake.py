"""Bodies that are cut off, bodies with one bad record, and a bad record in a body that the database cannot take now."""

import json
import socket
import time
from decimal import Decimal

import pytest

from billing_platform.supervision import wait_until
from tests.faults.stage import Stage
from tests.faults.supervisor import HOST
from tests.faults.workload import SENT, Record, cost_of

pytestmark = pytest.mark.faults

FREE_SECONDS = 5.0
WRITTEN = 2  # the commit after those of the delivery and the charge


def bad(record: Record) -> Record:
    """Of a kind that there is not."""
    return record | {"call_type": "smoke_signal"}


def request(stage: Stage, record: Record) -> bytes:
    body = json.dumps(record).encode()
    head = (
        f"POST /api/v1/cdrs HTTP/1.1\r\nHost: {HOST}\r\napikey: {stage.tenant.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send_and_leave(stage: Stage, content: bytes) -> None:
    with socket.create_connection((HOST, stage.stack.web_port)) as wire:
        wire.sendall(content)


def test_f04_client_gone_at_half_of_the_body_leaves_no_partial_record(stage: Stage) -> None:
    record = stage.calls.record(1, seconds=61)
    whole = request(stage, record)
    for _ in range(40):  # more than there are threads of a web process
        send_and_leave(stage, whole[: -len(json.dumps(record)) // 2])

    started = time.monotonic()
    told = stage.post(record).body

    assert time.monotonic() - started < FREE_SECONDS
    assert told["result"] == "accepted"
    assert stage.count("call_deliveries") == stage.count("call_records") == 1


def test_f04_client_gone_before_the_answer_gets_it_as_a_duplicate(stage: Stage) -> None:
    record = stage.calls.record(1, seconds=61)
    stage.journal.note(SENT, stage.tenant, record)

    send_and_leave(stage, request(stage, record))
    assert wait_until(lambda: stage.count("call_records") == 1, seconds=20), "the record was not taken in"
    told = stage.post(record).body

    assert told["result"] == "duplicate"
    stage.settle()
    assert stage.states() == {"charged": 1}
    assert stage.balance == Decimal(1000) - cost_of(61)


def test_f43_one_bad_record_among_a_thousand_is_answered_alone(stage: Stage) -> None:
    records = [stage.calls.record(number, seconds=61) for number in range(1000)]
    records[500] = bad(records[500])

    first = stage.post_batch(records).body["items"]
    stage.settle()
    before = stage.stack.books.fingerprint()
    again = stage.post_batch(records).body["items"]

    assert [said["result"] for said in first] == ["accepted"] * 500 + ["rejected"] + ["accepted"] * 499
    assert "call_type" in first[500]["detail"]
    assert [said["result"] for said in again] == ["duplicate"] * 500 + ["rejected"] + ["duplicate"] * 499
    assert stage.states() == {"charged": 999}
    assert stage.balance == Decimal(1000) - 999 * cost_of(61)
    assert stage.stack.books.fingerprint() == before


def test_bad_record_is_refused_even_where_the_others_must_wait(stage: Stage) -> None:
    stage.post(stage.calls.record(0, seconds=61))  # the first one makes the sender's row, with a commit of its own
    records = [stage.calls.record(1, seconds=61), bad(stage.calls.record(2)), stage.calls.record(3, seconds=61)]
    stage.stack.database_line.lose_commit(after=WRITTEN)

    told = stage.post_batch(records).body["items"]

    assert stage.stack.database_line.commits_lost > 0
    assert [(said["result"], said["state"]) for said in told] == [
        ("accepted", "pending"), ("rejected", None), ("accepted", "pending"),
    ]  # fmt: skip
    stage.settle()
    assert stage.states() == {"charged": 3}
