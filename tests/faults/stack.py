"""The whole platform for fault cases: every part a real process, proxies between those that a case may part.

web ── counter_line (and a second line) ── counter
web, counter ── database_line ── PostgreSQL ── worker, beat, clerk, the test itself
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from kombu.connection import Connection

from billing_platform.celery import app
from billing_platform.supervision import last_words
from tests.faults.clerk import Clerk
from tests.faults.oracle import ZeroSum
from tests.faults.proxy import Proxy
from tests.faults.servers import Books, FaultServers, short_directory
from tests.faults.supervisor import HOST, Part, beat_part, counter_part, web_part, worker_part

SWEEPERS = (
    "cdr.tasks.take_up_deliveries_task", "cdr.tasks.sweep_charges_task", "callcontrol.tasks.resubmit_pending_uses_task",
    "billing_platform.tasks.relay_outbox_task",
)  # fmt: skip
END_LEASES = """
    UPDATE cdr_opendelivery SET due_at = now() WHERE due_at > now();
    UPDATE call_records SET next_bill_at = now() WHERE state = 'pending' AND next_bill_at > now();
    UPDATE callcontrol_pendinguse SET next_attempt_at = now() WHERE state = 'pending' AND next_attempt_at > now();
    UPDATE billing_platform_outboxevent SET next_attempt_at = now() WHERE state = 'pending' AND next_attempt_at > now();
    UPDATE billing_platform_webhookdelivery SET next_attempt_at = now()
     WHERE state = 'pending' AND next_attempt_at > now();
"""


class Stack:
    """A clone of the template with the platform on it. Beat runs only where a case starts it.

    Without lines the parts speak to each other directly: for loads that a proxy would slow down.
    """

    def __init__(
        self, servers: FaultServers, directory: Path, *, database_line: Proxy | None, counter_lines: Sequence[Proxy]
    ) -> None:
        self.servers, self.directory = servers, directory
        self.lines = [*([database_line] if database_line else []), *counter_lines]
        self.database = servers.crash_proof_clone()
        self.url = servers.url_of(self.database)
        self.books = Books(self.url)
        direct = servers.environment(self.database, var_dir=directory)
        behind = servers.environment(self.database, var_dir=directory, behind=directory if database_line else None)
        self.clerk = Clerk(direct)
        self.counter, counter_port = counter_part(directory, behind)
        for line in counter_lines:
            line.upstream = counter_port
        self.counter_address = f"{HOST}:{counter_port}"
        addresses = [f"{HOST}:{line.port}" for line in counter_lines] or [self.counter_address]
        self.web, self.web_port = web_part(directory, behind | {"COUNTER_ADDRESS": ",".join(addresses)})
        self.worker = worker_part(directory, direct | {"COUNTER_ADDRESS": self.counter_address})
        self.beat = beat_part(directory, direct)

    @property
    def database_line(self) -> Proxy:
        return self.lines[0]

    @property
    def counter_lines(self) -> Sequence[Proxy]:
        return self.lines[1:]

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.counter, self.web, self.worker

    def start(self) -> None:
        for part in self.parts:
            part.launch()
        for part in self.parts:
            part.await_ready()

    def heal(self) -> None:
        """Everything is whole again: lines up, servers alive, no part dead or armed; no beat."""
        for line in self.lines:
            line.up()
        self.servers.revive()
        self.beat.kill9()
        broken = [part for part in self.parts if not part.is_sound]
        for part in broken:
            part.kill9()
            part.launch()
        for part in broken:
            part.await_ready()

    def sweep(self) -> None:
        """What beat does every few seconds, now; and every lease that a dead process held has run out."""
        self.books.change(END_LEASES)
        self.ring(*SWEEPERS)

    def ring(self, *tasks: str) -> None:
        """Send tasks to the worker as beat does."""
        url = "redis+socket://" + self.servers.redis_url.removeprefix("unix://").replace("?db=", "?virtual_host=")
        with Connection(url) as connection:  # type: ignore[no-untyped-call]  # kombu has few types
            for task in tasks:
                app.send_task(task, connection=connection)

    def empty_valkey(self) -> None:
        """FLUSHALL."""
        with redis.Redis.from_url(self.servers.redis_url) as valkey:
            valkey.flushall()

    def last_words(self) -> list[tuple[str, str]]:
        """The log of each part and its end."""
        return [(f"{part.name}.log", last_words(part.log_path)) for part in self.parts if part.log_path.exists()]

    def stop(self) -> None:
        for part in (self.beat, *self.parts):
            part.kill9()
        self.clerk.dismiss()
        self.servers.revive()
        self.servers.drop(self.database)


@contextmanager
def running_stack(servers: FaultServers) -> Iterator[Stack]:
    """With lines that a case may part. Started, watched, and gone afterwards with its database and its logs."""
    with ExitStack() as undo:
        directory = undo.enter_context(short_directory())
        database_line = undo.enter_context(Proxy(servers.postgres_socket, listen=directory / ".s.PGSQL.5432"))
        counter_lines = [undo.enter_context(Proxy(0)) for _ in range(2)]
        stack = Stack(servers, directory, database_line=database_line, counter_lines=counter_lines)
        yield undo.enter_context(_running(stack))


@contextmanager
def direct_stack(servers: FaultServers) -> Iterator[Stack]:
    """The same without lines."""
    with short_directory() as directory:
        stack = Stack(servers, directory, database_line=None, counter_lines=())
        with _running(stack):
            yield stack


@contextmanager
def _running(stack: Stack) -> Iterator[Stack]:
    try:
        stack.start()
        with ZeroSum(stack.url):
            yield stack
    finally:
        stack.stop()
