"""One web process has a wall clock that is two hours wrong: instants come from the database all the same."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from billing_platform.supervision import wait_until
from tests.faults import workload
from tests.faults.cases.test_counter import Caller
from tests.faults.stage import Stage
from tests.faults.stubs import CallbackPlatform
from tests.faults.supervisor import Part, web_part
from tests.faults.workload import Sender, Wire

pytestmark = pytest.mark.faults

SHIM = Path(__file__).parents[1] / "clock_shim"
SLACK = timedelta(seconds=30)  # a busy machine
DELIVERED = "SELECT min(received_at), max(received_at) FROM call_deliveries WHERE organization = %s"
HELD = """
    SELECT h.expires_at - h.created_at FROM ledger_hold h JOIN ledger_billingaccount a ON a.id = h.account_id
    WHERE a.organization = %s ORDER BY h.id
"""


def wrong_web(stage: Stage, *, shift_seconds: int) -> tuple[Part, int]:
    """Another web process beside the right ones, and its port."""
    wrong = {"FAULT_CLOCK_SHIFT_S": str(shift_seconds), "PYTHONPATH": str(SHIM)}
    part, port = web_part(stage.stack.directory, {**stage.stack.web.environment, **wrong}, workers=1)
    return dataclasses.replace(part, name="wrong-web", log_path=part.log_path.with_name("wrong-web.log")), port


def call_through(port: int, key: str) -> int:
    """The status of the answer; asked again it is the same call."""
    parties = {"agent_number": "13800000002", "customer_number": "13912340002"}
    return Wire(port).post("/api/v1/callbacks", parties, key=key, **{"Idempotency-Key": "wrong"}).status


@pytest.mark.parametrize("shift_seconds", [7200, -7200], ids=["ahead", "behind"])
def test_f59_wrong_wall_clock_in_one_web_process_changes_nothing(stage: Stage, shift_seconds: int) -> None:
    books, tenant = stage.stack.books, stage.tenant
    part, port = wrong_web(stage, shift_seconds=shift_seconds)
    part.start()
    try:
        begin = books.value("SELECT clock_timestamp()")
        with stage.load(), workload.load(port, tenant, stage.journal, workload.Calls(f"{stage.calls.seed}-wrong")):
            stage.await_answered(200)
        with CallbackPlatform() as platform:
            Caller(stage, platform).place_first()
            assert wait_until(lambda: call_through(port, tenant.key) == 201, seconds=30), "no call was placed"
        told = Sender(port, tenant, stage.journal).post(stage.calls.record(1)).body
        first, last = books.rows(DELIVERED, tenant.organization)[0]
        end = books.value("SELECT clock_timestamp()")
    finally:
        part.kill9()

    wall = float(part.log_path.read_text().rpartition("wall clock: ")[2].split()[0])
    assert abs(timedelta(seconds=wall - begin.timestamp() - shift_seconds)) < SLACK  # the shim was at work
    assert told["result"] == "accepted"
    assert begin - SLACK < first <= last < end + SLACK
    (of_right,), (of_wrong,) = books.rows(HELD, tenant.organization)
    assert abs(of_right - of_wrong) < SLACK
    stage.settle_unknown(stage.journal.entries())
    stage.settle()
    assert set(stage.states()) == {"charged"}  # nothing was quarantined as of the future
