"""Many senders at once, while parts of the platform are killed: the load and the killing of the storm.

32 connections post records until each has its outcome. One post in five repeats an earlier record, and besides every
twentieth record is sent again with other content once it is charged. All dice are the seed's.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from billing_platform.supervision import wait_until
from tests.faults.clerk import Tenant
from tests.faults.stack import Stack
from tests.faults.supervisor import HOST, START_SECONDS, Part
from tests.faults.workload import SENT, UNKNOWN, Calls, Journal, Record, changed, note_reply

ANSWER_SECONDS = 30.0
WINK_SECONDS = 0.01
FIRST, AGAIN, CHANGED = "first", "again", "changed"
FAILPOINTS = {  # part: places and the hits after which it dies by itself
    "web": (("cdr.intake.before_commit", "cdr.intake.after_commit", "cdr.intake.mid_batch",
             "cdr.charging.before_counter", "cdr.charging.after_counter"), (100, 400)),
    "counter": (("counter.committer.before_commit", "counter.committer.after_commit", "counter.grpc.before_reply",
                 "ledger.posting.after_balance"), (5, 60)),
    "worker": (("cdr.charging.before_counter", "cdr.charging.after_counter"), (1, 2)),
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """`posts` records, of which `repeats` repeat an earlier one; `changes` come on top. `bodies`: records a request."""

    posts: int
    repeats: int
    changes: int
    connections: int
    bodies: Sequence[int] = (1,)
    pause_seconds: float = 0.1  # before the same content is sent again


@dataclass
class Load:
    """The senders, in a thread of their own. `settled` counts records with an outcome; beyond `allowed` they wait."""

    plan: Plan
    port: int
    tenants: Sequence[Tenant]
    journal: Journal
    calls: Calls
    allowed: int = 0
    settled: int = 0
    results: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._sent: list[list[int]] = [[] for _ in self.tenants]
        self._charged: list[list[int]] = [[] for _ in self.tenants]
        self._dice = random.Random(f"load:{self.calls.seed}")
        plan = self.plan
        kinds = [FIRST] * (plan.posts - plan.repeats) + [AGAIN] * plan.repeats + [CHANGED] * plan.changes
        self._dice.shuffle(kinds)
        self._kinds = iter(kinds)
        self._failures: list[BaseException] = []
        self._is_cancelled = False
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    @property
    def total(self) -> int:
        return self.plan.posts + self.plan.changes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_cancelled = kind is not None
        self._thread.join()
        if self._failures:
            raise self._failures[0]

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._post_all())
        except BaseException as failure:  # noqa: BLE001  outermost loop of this thread: raised again by the block
            self._failures.append(failure)

    async def _post_all(self) -> None:
        async with asyncio.TaskGroup() as senders:
            for _ in range(self.plan.connections):
                senders.create_task(self._post_on_one_connection())

    async def _post_on_one_connection(self) -> None:
        wire = _Wire(self.port)
        while body := self._next_body():
            while self.settled >= self.allowed and not self._is_cancelled:
                await asyncio.sleep(WINK_SECONDS)
            told = await self._settle(wire, self.tenants[body.sender], [content for _, content in body.records])
            for (number, _), said in zip(body.records, told, strict=False):  # nothing was told when the case has failed
                self.results[said.get("result", "refused")] += 1
                if said.get("state") == "charged":
                    self._charged[body.sender].append(number)
            self.settled += len(body.records)
        wire.close()

    async def _settle(self, wire: "_Wire", tenant: Tenant, contents: list[Record]) -> list[dict[str, Any]]:
        """The same contents until each has an outcome; nothing when the case has failed meanwhile."""
        for content in contents:
            self.journal.note(SENT, tenant, content)
        while not self._is_cancelled:
            status, said = await wire.post(tenant.key, contents)
            told = said.get("items", [said] * len(contents))
            events = [
                note_reply(self.journal, tenant, content, status, one)
                for content, one in zip(contents, told, strict=True)
            ]  # fmt: skip
            if UNKNOWN not in events:
                return list(told)
            self.results["unknown"] += 1
            await asyncio.sleep(self.plan.pause_seconds)
        return []

    def _next_body(self) -> "_Body | None":
        """What to send next; nothing when all has been. A repeat may be of a record that is still on its way."""
        kinds = list(islice(self._kinds, self._dice.choice(self.plan.bodies)))
        sender = self._dice.randrange(len(self.tenants))
        return _Body(sender, [self._next_record(kind, sender) for kind in kinds]) if kinds else None

    def _next_record(self, kind: str, sender: int) -> tuple[int, Record]:
        """Its number and its content."""
        sent, charged = self._sent[sender], self._charged[sender]
        if kind == FIRST or not sent or (kind == CHANGED and not charged):
            number = len(sent) * len(self.tenants) + sender
            sent.append(number)
            return number, self.calls.record(number)
        if kind == AGAIN:
            number = self._dice.choice(sent)
            return number, self.calls.record(number)
        number = self._dice.choice(charged)
        return number, changed(self.calls.record(number))


@dataclass(frozen=True)
class _Body:
    """One request: the place of its tenant, and its records with their numbers."""

    sender: int
    records: Sequence[tuple[int, Record]]


class _Wire:
    """One kept connection, opened again when it has ended. Plain HTTP/1.1, for speed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, key: str, records: Sequence[Record]) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 when the connection ended without one. One record is sent without a list around it."""
        content = records[0] if len(records) == 1 else records
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._exchange(key, json.dumps(content).encode())
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return 0, {}

    async def _exchange(self, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        writer.write(
            f"POST /api/v1/cdrs HTTP/1.1\r\nHost: {HOST}\r\napikey: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        return int(head[9:12]), json.loads(await reader.readexactly(length))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


class Killer:
    """Kills each part as often as asked, spread over the load; a part that comes back may be armed to die by itself."""

    def __init__(self, stack: Stack, *, times: int, seed: int | str) -> None:
        self._dice = random.Random(f"kills:{seed}")
        self._victims = [part for part in stack.parts for _ in range(times)]
        self._dice.shuffle(self._victims)
        self._parts, self._web = stack.parts, stack.web
        self.kills: Counter[str] = Counter()
        self.died_alone: Counter[str] = Counter()
        self.unsettled_at_kill: list[int] = []

    def run_beside(self, load: Load) -> None:
        """In the main thread: a stretch of the load for each kill, which strikes somewhere within it.

        A stretch begins when its victim and the site are up; what the kill leaves of it is posted without the victim.
        """
        stretches = len(self._victims) + 1
        for place, victim in enumerate(self._victims):
            self._await_up(victim, self._web)
            begin, load.allowed = load.settled, load.total * (place + 1) // stretches
            moment = begin + (load.allowed - begin) * self._dice.uniform(0.1, 0.9)
            while load.settled < moment and not load.is_over:
                self._revive()
                time.sleep(WINK_SECONDS)
            victim.kill9()
            self.kills[victim.name] += 1
            self.unsettled_at_kill.append(load.total - load.settled)
            victim.launch(self._arming(victim))
        load.allowed = load.total

    def _await_up(self, *parts: Part) -> None:
        """An armed part may die again in the moment in which it comes up."""

        def all_up() -> bool:
            self._revive()
            return all(part.is_alive and part.answers() for part in parts)

        assert wait_until(all_up, seconds=START_SECONDS), f"{', '.join(part.name for part in parts)} did not come up"

    def _revive(self) -> None:
        """Whoever has hit its failpoint starts again, unarmed."""
        for part in self._parts:
            if not part.is_alive:
                self.died_alone[part.name] += 1
                part.kill9()
                part.launch()

    def _arming(self, part: Part) -> str:
        """Every second one comes back armed."""
        if self._dice.random() < 0.5:
            return ""
        places, hits = FAILPOINTS[part.name]
        return f"{self._dice.choice(places)}:kill9@{self._dice.randint(*hits)}"
