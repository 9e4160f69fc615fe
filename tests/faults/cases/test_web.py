"""The site dies between its two transactions, or its answers do not arrive."""

from decimal import Decimal

import pytest

from tests.faults.stage import Stage
from tests.faults.workload import cost_of

pytestmark = pytest.mark.smoke


def test_f01_web_worker_killed_after_its_commit(stage: Stage) -> None:
    record = stage.calls.record(1, seconds=61)
    stage.stack.web.restart("cdr.intake.after_commit:kill9")
    workers = stage.stack.web.children()

    reply = stage.post(record)

    assert reply.status == 0
    assert stage.count("call_deliveries") == 1
    assert stage.count("call_records") == 0
    stage.stack.web.await_lost_child(workers, seconds=30)
    stage.stack.web.await_children(2, seconds=60)  # the master has replaced it

    stage.stack.web.restart()
    told = stage.post(record).body

    assert (told["result"], told["state"], Decimal(told["cost"])) == ("accepted", "charged", cost_of(61))
    assert stage.balance == Decimal("999.864197")


def test_f02_counter_killed_with_the_wallet_updated_and_nothing_committed(stage: Stage) -> None:
    batch = [stage.calls.record(number, seconds=61) for number in (1, 2, 3)]
    stage.stack.counter.restart("ledger.posting.after_balance:kill9")

    reply = stage.post_batch(batch)

    stage.stack.counter.await_dead(seconds=30)
    assert [(said["result"], said["state"]) for said in reply.body["items"]] == [("accepted", "pending")] * 3
    assert (stage.balance, stage.count("counter_servicerecord")) == (Decimal(1000), 0)

    stage.stack.counter.start()
    stage.settle()

    assert stage.balance == Decimal(1000) - 3 * cost_of(61)
