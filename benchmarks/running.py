"""One run: seed, yardstick, cases in rounds, yardstick, the oracle, the report."""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import report, yardstick
from benchmarks.cases import CASES, Bench, warm_up
from benchmarks.seeding import seed_tenants
from benchmarks.stack import ROOT, machine, running_stack
from billing_platform import clock

ONE_CALLER = {"API_RATES": "1000000/60,1000000/60,1000000/60"}  # all the load of the gate comes from one


def run_cases(directory: Path, database_url: str, options: argparse.Namespace) -> int:
    """Exit status 0, or 6 when the books do not agree afterwards."""
    wanted = set(filter(None, options.only.split(",")))
    cases = [case for case in CASES if not wanted or case.id in wanted]
    print(f"seeding {options.tenants} tenants", file=sys.stderr)
    keys = seed_tenants(options.tenants)
    accnos = [f"C9{n:08d}" for n in range(options.tenants)]
    yardstick.prepare(database_url)
    yardsticks = [yardstick.measure(database_url)]
    print(f"Y = {yardsticks[0]}", file=sys.stderr)
    rounds: dict[str, list[dict[str, float]]] = {case.id: [] for case in cases}
    environment = os.environ | ONE_CALLER | {"MALLOC_ARENA_MAX": "2"}
    with running_stack(directory, environment=environment, wsgi="benchmarks.gate_wsgi:application") as stack:
        bench = Bench(stack, keys, accnos, options.seconds)
        warm_up(bench)
        for number in range(options.rounds):
            for case in cases:
                rounds[case.id].append(case.run(bench))
                print(f"round {number + 1} {case.id} {rounds[case.id][-1]}", file=sys.stderr)
    yardsticks.append(yardstick.measure(database_url))
    verified = subprocess.run([sys.executable, "manage.py", "verify_ledger"], cwd=ROOT, check=False)
    if verified.returncode != 0:
        print("the oracle found a breach: no figures are reported", file=sys.stderr)
        return 6
    lines = [report.summarize(case, rounds[case.id], statistics.mean(yardsticks)) for case in cases]
    if options.no_write:
        for line in lines:
            print(line)
        return 0
    path = report.write(lines, machine=machine(), yardsticks=yardsticks, date=clock.now().date().isoformat())
    print(path.read_text())
    return 0
