"""The storm: 20,000 posts by 32 connections, a fifth of them repeats, while web, counter and worker are each killed
with -9 ten times. Every acknowledged record is charged exactly once, to the last micro-yuan.
"""

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.servers import FaultServers
from tests.faults.stack import Stack, direct_stack
from tests.faults.storm import Killer, Load, Plan
from tests.faults.supervisor import ROOT
from tests.faults.workload import Calls, Journal

PLAN = Plan(posts=20_000, repeats=4_000, changes=1_000, connections=32)
KILLS_EACH = 10
TENANTS = 16
AT_REST_SECONDS = 240.0  # at the pace of production: deliveries are taken up after 30 s, leases end after 60 s
FAILED_SEEDS = [int(line) for line in (Path(__file__).parents[1] / "seeds.txt").read_text().split() if line.isdigit()]


@pytest.mark.faults
@pytest.mark.deadline(900)
@pytest.mark.parametrize("storm_seed", [None, *FAILED_SEEDS])
def test_f62_storm_of_kills(
    storm_seed: int | None, durable_servers: FaultServers, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storm_seed = seed if storm_seed is None else storm_seed
    journal, started = Journal(tmp_path / "journal.jsonl"), time.monotonic()
    with direct_stack(durable_servers) as stack:
        tenants = [stack.clerk.make_tenant(f"storm{number}", money="100000.00") for number in range(TENANTS)]
        load = Load(PLAN, stack.web_port, tenants, journal, Calls(storm_seed))
        killer = Killer(stack, times=KILLS_EACH, seed=storm_seed)
        stack.beat.start()

        with load:
            killer.run_beside(load)
        posted = time.monotonic() - started

        stack.heal()
        stack.beat.start()
        oracle.await_liveness(stack.books, seconds=AT_REST_SECONDS)
        entries = journal.entries()
        oracle.reconcile(entries, stack.books)
        charged = oracle.check_charges(entries, stack.books)
        balances = stack.books.value(
            "SELECT sum(balance) FROM ledger_billingaccount WHERE accno = ANY(%s)", [tenant.accno for tenant in tenants]
        )
        verify_ledger(stack)

    assert min(killer.unsettled_at_kill) > PLAN.connections  # every kill struck under load
    assert load.results["unknown"] >= KILLS_EACH  # and the senders felt the site die
    assert killer.kills == {"web": KILLS_EACH, "counter": KILLS_EACH, "worker": KILLS_EACH}
    assert balances == TENANTS * Decimal(100_000) - charged
    accepted = sum(1 for entry in entries if entry.answers[0]["result"] == "accepted")
    with capsys.disabled():
        print(  # noqa: T201  what the run has shown
            f"\nSEED={storm_seed}: {load.settled} posts settled in {posted:.0f} s, {dict(load.results)}; "
            f"killed {dict(killer.kills)}, at failpoints {dict(killer.died_alone)}; "
            f"{accepted} distinct records accepted, {charged} CNY charged, books clean"
        )


def verify_ledger(stack: Stack) -> None:
    """The command that an operator has."""
    run = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger", "--format", "json"], cwd=ROOT, text=True, capture_output=True,
        env=stack.servers.environment(stack.database, var_dir=stack.directory), check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert all(item["breaches"] == 0 for item in json.loads(run.stdout)["items"])
