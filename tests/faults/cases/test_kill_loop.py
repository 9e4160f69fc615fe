"""The kill loop: 50,000 records in bodies of all sizes, a fifth of them repeats, while processes of web, counter and
worker die two hundred times, most of them at a failpoint. Beside it calls are placed, reported and told of.

KILLS=20 RECORDS=5000 make faults CASE=kill_loop is a short run.
"""

import ast
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from billing_platform.failpoints import NAMES
from tests.billing_platform.receiver import receiving
from tests.faults import oracle
from tests.faults.callers import Callers, check_holds, check_told
from tests.faults.cases.test_storm import AT_REST_SECONDS, verify_ledger
from tests.faults.reaper import DRIVEN, Reaper
from tests.faults.servers import FaultServers
from tests.faults.stack import END_LEASES, direct_stack
from tests.faults.storm import Load, Plan
from tests.faults.stubs import CallbackPlatform
from tests.faults.supervisor import ROOT
from tests.faults.workload import Calls, Journal

pytestmark = pytest.mark.faults

KILLS, RECORDS = int(os.environ.get("KILLS", "200")), int(os.environ.get("RECORDS", "50000"))
BODIES = (*[1] * 30, 2, 2, 5, 5, 10, 20, 50, 100, 250)
PLAN = Plan(RECORDS, repeats=RECORDS // 5, changes=RECORDS // 20, connections=16, bodies=BODIES, pause_seconds=0.5)
TENANTS = 8
MONEY = Decimal(100_000)
APPS = ("billing_platform", "callcontrol", "cdr", "counter", "ivr", "ledger", "orders", "finance", "rating")
PROVED_ELSEWHERE = {  # places that no call passes, and the test that kills there
    "rating.imports.before_commit": "tests/rating/test_import_jobs.py",
    "counter.replacing.before_commit": "tests/counter/test_rerating.py",
    "counter.replacing.after_commit": "tests/faults/cases/test_rerating.py",
}


def test_every_failpoint_has_its_name_and_is_driven() -> None:
    names = [
        node.args[0].value
        for app in APPS for path in (ROOT / app).rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint"
        if isinstance(node.args[0], ast.Constant)
    ]  # fmt: skip

    assert set(names) == NAMES
    assert PROVED_ELSEWHERE.keys() | DRIVEN == NAMES
    for name, test in PROVED_ELSEWHERE.items():
        assert f"{name}:kill9" in (ROOT / test).read_text()


@pytest.mark.deadline(1500)
def test_kill_loop(
    durable_servers: FaultServers, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, calls, started = Journal(tmp_path / "journal.jsonl"), Calls(f"loop-{seed}"), time.monotonic()
    with direct_stack(durable_servers) as stack, CallbackPlatform() as platform, receiving() as receiver:
        tenants = [stack.clerk.make_tenant(f"loop{number}", money=str(MONEY)) for number in range(TENANTS)]
        caller = stack.clerk.make_tenant("loop-callers", money=str(MONEY))
        stack.clerk.open_gate(caller, platform_url=platform.url, live_calls_max=1000)
        stack.clerk.listen(caller, url=receiver.url)
        stack.worker.environment = {**stack.worker.environment, "OUTSIDE_ALLOWED_PRIVATE_NETS": "127.0.0.0/8"}
        stack.worker.restart()
        stack.beat.start()
        reaper = Reaper(stack, times=KILLS, seed=seed)

        callers = Callers(stack.web_port, caller, journal, calls)
        load = Load(PLAN, stack.web_port, tenants, journal, calls)
        with callers, load:
            reaper.run_beside(load)
        tell(
            capsys, f"SEED={seed}: {load.settled} records posted in {time.monotonic() - started:.0f} s, "
            f"{dict(load.results)}; {reaper.deaths} deaths: killed {dict(reaper.killed)}, at failpoints "
            f"{dict(reaper.hits)}, never at {sorted(DRIVEN - reaper.hits.keys())}; calls {dict(callers.outcomes)}",
        )  # fmt: skip

        stack.books.change(END_LEASES)  # what was tried and left three times would wait for a quarter of an hour
        oracle.await_liveness(stack.books, seconds=AT_REST_SECONDS)
        entries = journal.entries()
        oracle.reconcile(entries, stack.books)
        charged = oracle.check_charges(entries, stack.books)
        balances = stack.books.value(
            "SELECT sum(balance) FROM ledger_billingaccount WHERE accno = ANY(%s)",
            [tenant.accno for tenant in (*tenants, caller)],
        )
        holds, told = check_holds(stack.books, [caller]), check_told(stack.books, caller, receiver)
        verify_ledger(stack)

    tell(capsys, f"{charged} CNY charged, holds {dict(holds)}, {told} events told, books clean, "
                 f"{time.monotonic() - started:.0f} s in all")  # fmt: skip
    assert reaper.deaths >= KILLS
    assert min(reaper.unsettled_at_death) > 0  # everybody died under load
    assert load.settled == RECORDS + RECORDS // 20
    assert load.results["conflict_queued"] > RECORDS // 40  # the others were to change what was not charged yet
    assert balances == (TENANTS + 1) * MONEY - charged


def tell(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """What the run has shown."""
    with capsys.disabled():
        print(f"\n{text}")  # noqa: T201
