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


class Sender:
    """Builds requests; every body is made before its clock starts."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.number, self.random = plan, 0, random.Random(plan.run)
        self.keys = iter(plan.keys)
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)
        self.calls = [_call_of(plan.run, at, talked=20 + n) for n in range(100)]
        self.between = "\n" if plan.ndjson else ", "
        kind = "application/x-ndjson" if plan.ndjson else "application/json"
        self.head = (
            f"{plan.method} {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: %d\r\napikey: %s\r\n\r\n"
        )

    def request(self) -> bytes:
        """The next request; raises StopIteration when each key has had its one."""
        plan = self.plan
        key = next(self.keys) if plan.each_key_once else self.random.choice(plan.keys)
        body = self._body() if plan.method == "POST" else ""
        return (self.head % (len(body), key) + body).encode()

    def _body(self) -> str:
        numbers = range(self.number, self.number + self.plan.records)
        self.number += self.plan.records
        records = self.between.join([self.calls[n % 100] % (n, n % 100_000_000) for n in numbers])
        return records if self.plan.records == 1 or self.plan.ndjson else f"[{records}]"


def _call_of(run: str, at: datetime, *, talked: int) -> str:
    """A callback of so many seconds that ended just now; its number and the called one are still open."""
    return json.dumps({
        "provider": "bench", "provider_call_id": f"{run}-%d", "call_type": "callback", "caller": "13800000001",
        "called": "139%08d", "start_time": (at - timedelta(seconds=talked + 12)).isoformat(),
        "answer_time": (at - timedelta(seconds=talked)).isoformat(), "end_time": at.isoformat(),
        "hangup_cause": "normal_clearing", "hangup_by": "customer",
    })  # fmt: skip


class Connection(asyncio.Protocol):
    """One kept connection with one request at a time: as little work as an exchange can be."""

    def __init__(self) -> None:
        self.received = b""
        self.answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not length:
            self.connection_lost(ValueError(f"an answer without a length: {self.received[:300]!r}"))
        elif len(body) == int(length):
            self.answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(error or ConnectionError("closed by the server"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.received, self.answer = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


async def _connected(plan: Plan) -> Connection:
    _transport, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", plan.port)
    return connection


def _note(outcome: Outcome, plan: Plan, status: int, body: bytes, milliseconds: float) -> None:
    outcome.requests += 1
    outcome.records += plan.records if status < 300 else 0
    outcome.statuses[str(status)] = outcome.statuses.get(str(status), 0) + 1
    outcome.latencies.append(milliseconds)
    if status >= 300 and not outcome.first_error:
        outcome.first_error = body[:300].decode(errors="replace")


async def _closed(plan: Plan, sender: Sender, outcome: Outcome, until: float) -> None:
    connection = await _connected(plan)
    while time.monotonic() < until or plan.each_key_once:
        try:
            request = sender.request()
        except StopIteration:
            break
        started = time.monotonic()
        status, body = await connection.ask(request)
        _note(outcome, plan, status, body, (time.monotonic() - started) * 1000)
    connection.transport.close()


async def _open(plan: Plan, sender: Sender, outcome: Outcome, take: Callable[[], float | None]) -> None:
    connection = await _connected(plan)
    while (intended := take()) is not None:
        request = sender.request()
        await asyncio.sleep(max(0.0, intended - time.monotonic()))
        status, body = await connection.ask(request)
        _note(outcome, plan, status, body, (time.monotonic() - intended) * 1000)
    connection.transport.close()


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
