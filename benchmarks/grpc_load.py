"""The gRPC load generator: a process of its own, unary calls or batches in flight.

python -m benchmarks.grpc_load < plan.json > outcome.json
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc

from protos import counter_pb2 as wire
from protos.counter_pb2_grpc import CounterServiceStub


@dataclass(frozen=True)
class Plan:
    """`batch` 1 = unary EndService; more = EndServices."""

    address: str
    accnos: list[str]
    label: str
    run: str
    in_flight: int
    seconds: float
    batch: int = 1


def _use(plan: Plan, number: int, at: datetime) -> wire.EndServiceRequest:
    return wire.EndServiceRequest(
        accno=plan.accnos[number % len(plan.accnos)], label=plan.label, providerno=f"{plan.run}:{number}",
        start_time=(at - timedelta(seconds=20 + number % 100)).isoformat(), finish_time=at.isoformat(), count=1,
        summary="benchmark", call=wire.CallFacts(caller="13800000001", called=f"139{number % 100_000_000:08d}"),
    )  # fmt: skip


def drive(plan: Plan) -> dict[str, float]:
    at = datetime.now(UTC) - timedelta(seconds=5)
    until = time.monotonic() + plan.seconds
    lock, taken, done = threading.Lock(), [0], [0]

    def take() -> int:
        with lock:
            taken[0] += plan.batch
            return taken[0] - plan.batch

    def work(stub: CounterServiceStub) -> None:
        while time.monotonic() < until:
            first = take()
            if plan.batch == 1:
                stub.EndService(_use(plan, first, at), timeout=30)
                settled = 1
            else:
                items = [_use(plan, first + n, at) for n in range(plan.batch)]
                answer = stub.EndServices(wire.EndServicesRequest(items=items), timeout=30)
                settled = sum(outcome.status == 0 for outcome in answer.outcomes)
            with lock:
                done[0] += settled

    started = time.monotonic()
    channel = grpc.insecure_channel(plan.address, options=[("grpc.max_receive_message_length", 16 << 20)])
    with ThreadPoolExecutor(plan.in_flight) as pool:
        for job in [pool.submit(work, CounterServiceStub(channel)) for _ in range(plan.in_flight)]:
            job.result()
    return {"records": done[0], "seconds": time.monotonic() - started}


if __name__ == "__main__":
    json.dump(drive(Plan(**json.load(sys.stdin))), sys.stdout)
