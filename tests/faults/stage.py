"""One case on a stack: a tenant of its own, its journal, and the proof at the end that nothing was lost or doubled."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path

from billing_platform.supervision import wait_until
from tests.faults import oracle, workload
from tests.faults.stack import Stack
from tests.faults.supervisor import ready_everywhere
from tests.faults.workload import Calls, Entry, Journal, Record, Reply, Sender, key_of

LIVELY_SECONDS = 20.0  # sweepers are set faster
PATIENCE_SECONDS = 15.0


class Stage:
    """What a case sees. `post` and friends write the journal; `prove` reads it."""

    def __init__(self, stack: Stack, *, name: str, seed: int, directory: Path) -> None:
        self.stack = stack
        self.tenant = stack.clerk.make_tenant(name)
        self.calls = Calls(f"{seed}-{name}")
        self.journal = Journal(directory / "journal.jsonl")
        self._sender = Sender(stack.web_port, self.tenant, self.journal)

    def sender(self) -> Sender:
        """Another connection with the same journal."""
        return Sender(self.stack.web_port, self.tenant, self.journal)

    def post(self, record: Record) -> Reply:
        return self._sender.post(record)

    def post_batch(self, records: list[Record]) -> Reply:
        return self._sender.post_batch(records)

    def load(self, *, connections: int = 4) -> AbstractContextManager[None]:
        return workload.load(self.stack.web_port, self.tenant, self.journal, self.calls, connections=connections)

    @property
    def balance(self) -> Decimal:
        found: Decimal = self.stack.books.value(
            "SELECT balance FROM ledger_billingaccount WHERE accno = %s", self.tenant.accno
        )
        return found

    def count(self, table: str) -> int:
        """Rows of this tenant in a table that names organisations."""
        query = f"SELECT count(*) FROM {table} WHERE organization = %s"  # noqa: S608  a name that a case writes
        return int(self.stack.books.value(query, self.tenant.organization))

    def states(self) -> dict[str, int]:
        """How many of the tenant's call records are in which state."""
        return dict(self.stack.books.rows(
            "SELECT state, count(*) FROM call_records WHERE organization = %s GROUP BY 1", self.tenant.organization
        ))  # fmt: skip

    def await_answered(self, number: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Until that many records have been accepted while a load runs."""

        def answered() -> int:
            return sum(1 for entry in self.journal.entries() if entry.answers)

        assert wait_until(lambda: answered() >= number, seconds=seconds), f"{answered()} of {number} answered"

    def repeat_until_answered(self, record: Record, *, seconds: float = PATIENCE_SECONDS) -> Reply:
        """As a sender does: the same content, every moment, until there is an outcome."""
        until = time.monotonic() + seconds
        while (reply := self.post(record)).is_unknown:
            assert time.monotonic() < until, f"{key_of(record)} stays unknown: {reply}"
            time.sleep(0.1)
        return reply

    def settle(self) -> None:
        """Until everything that was sent has its outcome in the database; sweepers are set faster."""
        oracle.await_liveness(self.stack.books, seconds=LIVELY_SECONDS, nudge=self.stack.sweep)

    def await_settled(self, *, seconds: float) -> None:
        """The same at the pace of beat and of the leases."""
        oracle.await_liveness(self.stack.books, seconds=seconds)

    def await_leased(self, number: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Until a sweeper has taken that many pending records."""
        query = (
            "SELECT count(*) FROM call_records WHERE organization = %s AND state = 'pending' AND next_bill_at > now()"
        )
        books, organization = self.stack.books, self.tenant.organization
        is_leased = wait_until(lambda: books.value(query, organization) >= number, seconds=seconds)
        assert is_leased, f"not {number} records were leased"

    def prove(self) -> None:
        """Heal and settle what is unknown; then liveness, the journal, the charges, the same answers, the oracle."""
        self.stack.heal()
        self.settle_unknown(self.journal.entries())
        self.settle()
        entries = self.journal.entries()
        oracle.reconcile(entries, self.stack.books)
        oracle.check_charges(entries, self.stack.books)
        self.check_answers_again(entries)
        web, port = self.stack.web, self.stack.web_port
        ready = wait_until(lambda: ready_everywhere(web, port), seconds=LIVELY_SECONDS)
        assert ready, "/readyz stays red"
        assert self.stack.clerk.breaches() == {}

    def settle_unknown(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.is_unsettled:
                self.repeat_until_answered(entry.record)

    def check_answers_again(self, entries: list[Entry], *, at_most: int = 20) -> None:
        """What was accepted is answered as a duplicate with the stored receipt; nothing moves."""
        before = self.stack.books.fingerprint()
        stored = oracle.stored_records(self.stack.books, [self.tenant.organization])
        accepted = [entry for entry in entries if entry.answers and entry.answers[0]["result"] == "accepted"]
        for entry in accepted[:at_most]:
            said = self.repeat_until_answered(entry.record).body
            (row,) = stored[self.tenant.organization, key_of(entry.record)]
            told = said["result"], said["cdr_id"], said["state"], Decimal(said["cost"] or 0)
            assert told == ("duplicate", row.cdr_id, row.state, row.cost)
        self.settle()
        assert self.stack.books.fingerprint() == before
