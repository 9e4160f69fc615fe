"""A program that has customers called back while parts of the platform die, and a listener for what it is told.

Each request is sent again under its key until it has an outcome; then the record of the call, if there was one, until
it is answered. The hold of every call must come back.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

from tests.billing_platform.receiver import Receiver
from tests.faults.clerk import Tenant
from tests.faults.servers import Books
from tests.faults.workload import Calls, Journal, Reply, Sender, Wire

OPEN_MAX = 40  # calls without an outcome: a request that was cut off is in progress for up to a minute
PAUSE_SECONDS = 0.1
AGAIN_SECONDS = 3.0
PATIENCE_SECONDS = 180.0
FIRST_RECORD = 10_000_000  # the numbers of their records
TALKED_SECONDS = 61
HOLDS_ENDED = """
    SELECT h.reference, h.state, r.outcome FROM ledger_hold h LEFT JOIN ledger_holdresolution r ON r.hold_id = h.id
    JOIN ledger_billingaccount a ON a.id = h.account_id
    WHERE a.organization = ANY(%s) AND r.outcome IS DISTINCT FROM h.state
"""


@dataclass
class Callers:
    """In a thread of their own while the block runs; it ends when every call has its outcome."""

    port: int
    tenant: Tenant
    journal: Journal
    calls: Calls
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._wire, self._sender = Wire(self.port), Sender(self.port, self.tenant, self.journal)
        self._open: dict[int, float] = {}  # call: when to ask about it again
        self._placed: dict[int, dict[str, str]] = {}  # what the record of the call names
        self._begun = 0
        self._stop, self._failures = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, name="callers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join(0 if kind else PATIENCE_SECONDS)
        if self._failures:
            raise self._failures[0]
        assert kind or not self._thread.is_alive(), f"calls without an outcome: {sorted(self._open)}"

    def _run(self) -> None:
        try:
            while self._open or not self._stop.is_set():
                if len(self._open) < OPEN_MAX and not self._stop.is_set():
                    self._begun += 1
                    self._open[self._begun] = 0.0
                for number in [number for number, due in self._open.items() if due <= time.monotonic()]:
                    self._go_on(number)
                time.sleep(PAUSE_SECONDS)
        except BaseException as failure:  # noqa: BLE001  outermost loop of this thread: raised again by the block
            self._failures.append(failure)

    def _go_on(self, number: int) -> None:
        if number not in self._placed:
            self._place(number)
        elif not self._report(number).is_unknown:
            self._end(number, "reported")
        if number in self._open:
            self._open[number] = time.monotonic() + AGAIN_SECONDS

    def _place(self, number: int) -> None:
        agent, customer = _numbers(number)
        body = {"agent_number": agent, "customer_number": customer}
        reply = self._wire.post(
            "/api/v1/callbacks", body, key=self.tenant.key, **{"Idempotency-Key": f"{self.calls.seed}-{number}"}
        )
        if reply.status in {HTTPStatus.CREATED, HTTPStatus.ACCEPTED}:
            call_id, provider = reply.body["id"], reply.body["provider"]
            self._placed[number] = {"call_id": call_id, "provider": provider, "caller": agent, "called": customer}
        elif not (reply.is_unknown or reply.body["retryable"] or reply.body["code"] == "in_progress"):
            self._end(number, reply.body["code"])

    def _report(self, number: int) -> Reply:
        record = self.calls.record(FIRST_RECORD + number, seconds=TALKED_SECONDS)
        return self._sender.post(record | self._placed[number])

    def _end(self, number: int, outcome: str) -> None:
        self.outcomes[outcome] += 1
        del self._open[number]


def _numbers(number: int) -> tuple[str, str]:
    """Agent and customer: nobody is called twice."""
    return f"137{number:08d}", f"136{number:08d}"


def check_holds(books: Books, tenants: Sequence[Tenant]) -> Counter[str]:
    """Every hold of these has ended, once, as its resolution says. How many, by their end."""
    organizations = [tenant.organization for tenant in tenants]
    wrong = books.rows(HOLDS_ENDED, organizations)
    assert not wrong, f"{len(wrong)} holds have not ended as they say, such as {wrong[:5]}"
    rows = books.rows(
        "SELECT h.state, count(*) FROM ledger_hold h JOIN ledger_billingaccount a ON a.id = h.account_id"
        " WHERE a.organization = ANY(%s) GROUP BY 1", organizations,
    )  # fmt: skip
    assert "open" not in dict(rows), rows
    return Counter(dict(rows))


def check_told(books: Books, tenant: Tenant, receiver: Receiver) -> int:
    """Every event of the tenant was delivered, and has arrived: some twice, with the same id. How many events."""
    rows = books.rows(
        "SELECT 'evt_' || id, state FROM billing_platform_outboxevent WHERE organization = %s", tenant.organization
    )
    arrived = {headers["webhook-id"] for headers, _ in receiver.requests}
    assert {state for _, state in rows} <= {"delivered"}, Counter(state for _, state in rows)
    assert arrived == {name for name, _ in rows}
    return len(rows)
