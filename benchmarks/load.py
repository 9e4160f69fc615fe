"""The load generator: a process of its own, raw HTTP/1.1 over kept connections, closed or open loop.

    python -m benchmarks.load < plan.json > outcome.json

A plan names the port, path, connections, seconds, rate (0 = closed loop) and the kind of body. Latency is measured
from the instant at which a request was meant to be sent.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Plan:
    """What to send. `records` per POST; `keys` are picked at random per request; `run` makes ids unique."""

    port: int
    path: str
    keys: list[str]
    run: str
    connections: int
    seconds: float
    rate: float = 0.0
    records: int = 1
    ndjson: bool = False
    method: str = "POST"
    each_key_once: bool = False  # in place of a time: one request a key, so that every cache is warm


@dataclass
class Outcome:
    """What came back. Latencies in milliseconds."""

    requests: int = 0
    records: int = 0
    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    first_error: str = ""


def call_record(run: str, number: int, at: datetime) -> dict[str, str]:
    """A callback that ended just now."""
    talked = 20 + number % 100
    return {
        "provider": "bench", "provider_call_id": f"{run}-{number}", "call_type": "callback", "caller": "13800000001",
        "called": f"139{number % 100_000_000:08d}", "start_time": (at - timedelta(seconds=talked + 12)).isoformat(),
        "answer_time": (at - timedelta(seconds=talked)).isoformat(), "end_time": at.isoformat(),
        "hangup_cause": "normal_clearing", "hangup_by": "customer",
    }  # fmt: skip


class Sender:
    """Builds requests; every body is made before its clock starts."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.number, self.random = plan, 0, random.Random(plan.run)
        self.keys = iter(plan.keys)
        self.at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)

    def request(self) -> bytes:
        """The next request; raises StopIteration when each key has had its one."""
        plan = self.plan
        key = next(self.keys) if plan.each_key_once else self.random.choice(plan.keys)
        body = self._body() if plan.method == "POST" else b""
        kind = "application/x-ndjson" if plan.ndjson else "application/json"
        head = (
            f"{plan.method} {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
            f"apikey: {key}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _body(self) -> bytes:
        records = [call_record(self.plan.run, self.number + n, self.at) for n in range(self.plan.records)]
        self.number += self.plan.records
        if self.plan.ndjson:
            return "\n".join(json.dumps(record) for record in records).encode()
        return json.dumps(records[0] if self.plan.records == 1 else records).encode()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
    body = await reader.readexactly(length) if length else b""
    return status, body


def _note(outcome: Outcome, plan: Plan, status: int, body: bytes, milliseconds: float) -> None:
    outcome.requests += 1
    outcome.records += plan.records if status < 300 else 0
    outcome.statuses[str(status)] = outcome.statuses.get(str(status), 0) + 1
    outcome.latencies.append(milliseconds)
    if status >= 300 and not outcome.first_error:
        outcome.first_error = body[:300].decode(errors="replace")


async def _closed(plan: Plan, sender: Sender, outcome: Outcome, until: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port, limit=16 << 20)
    while time.monotonic() < until or plan.each_key_once:
        try:
            request = sender.request()
        except StopIteration:
            break
        started = time.monotonic()
        status, body = await _exchange(reader, writer, request)
        _note(outcome, plan, status, body, (time.monotonic() - started) * 1000)
    writer.close()


async def _open(plan: Plan, sender: Sender, outcome: Outcome, take: Callable[[], float | None]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port, limit=16 << 20)
    while (intended := take()) is not None:
        request = sender.request()
        await asyncio.sleep(max(0.0, intended - time.monotonic()))
        status, body = await _exchange(reader, writer, request)
        _note(outcome, plan, status, body, (time.monotonic() - intended) * 1000)
    writer.close()


async def drive(plan: Plan) -> Outcome:
    sender, outcome = Sender(plan), Outcome()
    started = time.monotonic()
    until = started + plan.seconds
    if plan.rate:
        slots = iter(range(int(plan.rate * plan.seconds)))

        def take() -> float | None:
            slot = next(slots, None)
            return None if slot is None else started + slot / plan.rate

        jobs = [_open(plan, sender, outcome, take) for _ in range(plan.connections)]
    else:
        jobs = [_closed(plan, sender, outcome, until) for _ in range(plan.connections)]
    await asyncio.gather(*jobs)
    outcome.seconds = time.monotonic() - started
    return outcome


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(drive(Plan(**json.load(sys.stdin))))), sys.stdout)
