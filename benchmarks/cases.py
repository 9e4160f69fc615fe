"""The cases: each answers one figure per round. Numbers as in docs/performance.md."""

import json
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks import grpc_load, load
from benchmarks.seeding import LABEL
from benchmarks.stack import ROOT, Stack


@dataclass(frozen=True)
class Case:
    """`target` is a ratio to the yardstick when `per_yardstick`, else a number in `unit`; None = only told."""

    id: str
    what: str
    unit: str
    target: float | None
    run: Callable[["Bench"], dict[str, float]]
    per_yardstick: bool = False
    at_most: bool = False


@dataclass
class Bench:
    """What a case may use: the stack, keys of many tenants, and how long a round lasts."""

    stack: Stack
    keys: list[str]
    accnos: list[str]
    seconds: float


def http_load(bench: Bench, **wishes: object) -> load.Outcome:
    """Drive the web door from a process of its own. Raises RuntimeError when an answer was no success."""
    base = load.Plan(
        port=bench.stack.web_port, path="/api/v1/cdrs", keys=bench.keys, run=uuid.uuid4().hex[:12], connections=32,
        seconds=bench.seconds,
    )  # fmt: skip
    plan = asdict(base) | wishes
    outcome = load.Outcome(**_driven("benchmarks.load", plan))
    bad = {status: count for status, count in outcome.statuses.items() if not status.startswith("2")}
    if bad:
        raise RuntimeError(f"{plan['path']}: {bad} {outcome.first_error}")
    return outcome


def warm_up(bench: Bench) -> None:
    """One record of every tenant: keys, payers and tariffs are known to the processes then."""
    http_load(bench, connections=16, each_key_once=True)


def _driven(module: str, plan: dict[str, object]) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, input=json.dumps(plan), capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        raise RuntimeError(run.stderr[-2000:])
    answer: dict[str, object] = json.loads(run.stdout)
    return answer


def quantile(values: list[float], share: float) -> float:
    return round(statistics.quantiles(values, n=1000)[int(share * 1000) - 1], 2)


def _rate(outcome: load.Outcome) -> float:
    return round(outcome.records / outcome.seconds, 1)


def single_posts(bench: Bench) -> dict[str, float]:
    outcome = http_load(bench, connections=64)
    return {
        "value": _rate(outcome),
        "p50_ms": quantile(outcome.latencies, 0.5),
        "p99_ms": quantile(outcome.latencies, 0.99),
    }


def array_posts(bench: Bench) -> dict[str, float]:
    return {"value": _rate(http_load(bench, connections=4, records=1000))}


def ndjson_posts(bench: Bench) -> dict[str, float]:
    return {"value": _rate(http_load(bench, connections=4, records=1000, ndjson=True))}


def single_posts_one_account(bench: Bench) -> dict[str, float]:
    return {"value": _rate(http_load(bench, connections=64, keys=bench.keys[:1]))}


def array_posts_one_account(bench: Bench) -> dict[str, float]:
    return {"value": _rate(http_load(bench, connections=4, records=1000, keys=bench.keys[:1]))}


def _grpc(bench: Bench, *, in_flight: int, batch: int) -> dict[str, float]:
    plan = grpc_load.Plan(
        bench.stack.counter_address, bench.accnos, LABEL, uuid.uuid4().hex[:12], in_flight, bench.seconds, batch
    )
    answer = _driven("benchmarks.grpc_load", asdict(plan))
    return {"value": round(float(str(answer["records"])) / float(str(answer["seconds"])), 1)}


def unary_calls(bench: Bench) -> dict[str, float]:
    return _grpc(bench, in_flight=64, batch=1)


def batch_calls(bench: Bench) -> dict[str, float]:
    return _grpc(bench, in_flight=4, batch=200)


def latency_at_200(bench: Bench) -> dict[str, float]:
    outcome = http_load(bench, connections=64, rate=200.0)
    return {"value": quantile(outcome.latencies, 0.99), "p50_ms": quantile(outcome.latencies, 0.5)}


def gate_latency(bench: Bench) -> dict[str, float]:
    """What the gate adds at 200/s: quantiles with it less those without."""
    free = http_load(bench, connections=32, rate=200.0, path="/bench/free", keys=bench.keys[:1])
    gated = http_load(bench, connections=32, rate=200.0, path="/bench/gated", keys=bench.keys[:1])
    added = {share: quantile(gated.latencies, share) - quantile(free.latencies, share) for share in (0.5, 0.99)}
    return {"value": round(added[0.99], 2), "p50_ms": round(added[0.5], 2)}


def web_memory(bench: Bench) -> dict[str, float]:
    return {"value": max(bench.stack.memory_mb_of_workers("web"))}


def counter_memory(bench: Bench) -> dict[str, float]:
    return {"value": bench.stack.memory_mb("counter")}


def engine_calls(bench: Bench) -> dict[str, float]:
    return _measured("benchmarks.engine_speed", {"seconds": bench.seconds})


def deck_import(_: Bench) -> dict[str, float]:
    return _measured("benchmarks.deck_speed", {"what": "import"})


def deck_compile(_: Bench) -> dict[str, float]:
    return _measured("benchmarks.deck_speed", {"what": "compile"})


def numbers_read(_: Bench) -> dict[str, float]:
    return _measured("benchmarks.deck_speed", {"what": "numbers"})


def prices_explained(_: Bench) -> dict[str, float]:
    return _measured("benchmarks.deck_speed", {"what": "explain"})


def _measured(module: str, plan: dict[str, object]) -> dict[str, float]:
    return {name: float(str(figure)) for name, figure in _driven(module, plan).items()}


def month_priced_again(bench: Bench) -> dict[str, float]:
    """In a database of its own, seeded in the first round."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.rerating", "--keep", str(bench.stack.directory / "rerating")],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    answer: dict[str, float] = json.loads(run.stdout)
    return answer


CASES = [
    Case("P1", "one record per POST, 64 connections", "records/s", 1.5, single_posts, per_yardstick=True),
    Case("P2a", "1,000 records per POST, array", "records/s", 6, array_posts, per_yardstick=True),
    Case("P2b", "1,000 records per POST, NDJSON", "records/s", 6, ndjson_posts, per_yardstick=True),
    Case("P3a", "gRPC EndService, 64 in flight", "uses/s", 1.5, unary_calls, per_yardstick=True),
    Case("P3b", "gRPC EndServices, batches of 200", "uses/s", 8, batch_calls, per_yardstick=True),
    Case("P4", "POST to ledger at 200/s, p99 (p50 target 10)", "ms", 50, latency_at_200, at_most=True),
    Case("P5", "gate, added latency at 200/s, p99 (p50 target 2)", "ms", 15, gate_latency, at_most=True),
    Case("P6", "price_call, 100,000 prefixes, 6 bands, one core", "calls/s", 200_000, engine_calls),
    Case("P7a", "deck of 170,000 rows: parse, validate, diff, publish", "s", 15, deck_import, at_most=True),
    Case("P7b", "deck of 300,000 prefixes compiled, while look-ups are cold", "s", 3, deck_compile, at_most=True),
    Case("P7c", "read_number and carrier, one core", "numbers/s", 300_000, numbers_read),
    Case("P7d", "rate_explain --input, with losers", "lines/s", 2_000, prices_explained),
    Case("P9", "re-rating 1,000,000 records, dry run on two processes", "records/s", 50_000, month_priced_again),
    Case("P12a", "P1 on one single account", "records/s", None, single_posts_one_account),
    Case("P12b", "P2 on one single account", "records/s", None, array_posts_one_account),
    Case("P14a", "memory of a web worker", "MB", 180, web_memory, at_most=True),
    Case("P14b", "memory of the counter", "MB", 400, counter_memory, at_most=True),
]
