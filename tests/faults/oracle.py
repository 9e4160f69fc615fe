"""What must be true after every case: the books are clean, the journal agrees with the database, nothing is left over.

The journal is held against the database row by row and micro-yuan by micro-yuan; the product is asked only for its own
oracle. A failure names the first examples.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import psycopg2

from billing_platform.supervision import wait_until
from tests.faults.servers import Books
from tests.faults.workload import Entry, cost_of, key_of, talked_seconds

EXAMPLES = 5
KEPT = ("accepted", "duplicate")  # answers that promise this very content
LEFT_OVER = {
    "deliveries without records": "SELECT count(*) FROM cdr_opendelivery",
    "records pending or waiting": "SELECT count(*) FROM call_records WHERE state IN ('pending', 'waiting')",
    "holds beyond their expiry": "SELECT count(*) FROM ledger_hold WHERE state = 'open' AND expires_at < now()",
    "events to deliver": "SELECT count(*) FROM billing_platform_outboxevent WHERE state NOT IN ('delivered', 'dead')",
    "uses to say again": "SELECT count(*) FROM callcontrol_pendinguse WHERE state = 'pending'",
    "idle transactions": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                         " AND state LIKE 'idle in transaction%' AND now() - state_change > interval '1 second'",
}  # fmt: skip
SUM_OF_ALL = """
    SELECT (SELECT coalesce(sum(balance), 0) FROM ledger_billingaccount)
         + (SELECT coalesce(sum(CASE WHEN c.kind = 'wallet' THEN 0 ELSE t.amount END
                              - CASE WHEN d.kind = 'wallet' THEN 0 ELSE t.amount END), 0)
            FROM ledger_transfer t
            JOIN ledger_ledgeraccount d ON d.id = t.debit_id JOIN ledger_ledgeraccount c ON c.id = t.credit_id)
"""


def left_over(books: Books) -> dict[str, int]:
    """What is still to be done, by name; empty when all is settled."""
    try:
        counts = {name: books.value(query) for name, query in LEFT_OVER.items()}
    except psycopg2.OperationalError as error:
        return {f"the database does not answer: {error}": 1}
    return {name: number for name, number in counts.items() if number}


def await_liveness(books: Books, *, seconds: float, nudge: Callable[[], None] = lambda: None) -> None:
    """Until nothing is left over. `nudge` is called about once a second: sweepers set faster."""
    nudged_at = 0.0

    def settled() -> bool:
        nonlocal nudged_at
        if not left_over(books):
            return True
        if time.monotonic() - nudged_at > 1:
            nudge()
            nudged_at = time.monotonic()
        return False

    assert wait_until(settled, seconds=seconds), f"after {seconds} s there are left over: {left_over(books)}"


@dataclass(frozen=True)
class StoredRecord:
    """A call record as the database has it."""

    cdr_id: str
    state: str
    cost: Decimal
    billable_seconds: int


def stored_records(books: Books, organizations: Iterable[str]) -> dict[tuple[str, str], list[StoredRecord]]:
    """By organisation and the sender's id of the call."""
    rows = books.rows(
        "SELECT organization, provider_call_id, id, state, cost, billable_seconds FROM call_records"
        " WHERE organization = ANY(%s)", sorted(set(organizations)),
    )  # fmt: skip
    found: dict[tuple[str, str], list[StoredRecord]] = {}
    for organization, key, record_id, state, cost, seconds in rows:
        found.setdefault((organization, key), []).append(StoredRecord(str(record_id), state, cost, seconds))
    return found


def reconcile(entries: list[Entry], books: Books) -> None:
    """Fails when the journal and the database disagree. Call it when nothing is unknown any more."""
    found = complaints(entries, stored_records(books, (entry.organization for entry in entries)))
    assert not found, f"{len(found)} disagree with the journal, such as {found[:EXAMPLES]}"


def complaints(entries: list[Entry], stored: Mapping[tuple[str, str], list[StoredRecord]]) -> list[str]:
    """Accepted is in the database with that receipt, refused is absent, and nothing is there that was not sent."""
    sent = {(entry.organization, key_of(entry.record)) for entry in entries}
    return [
        *(complaint for entry in entries for complaint in _complaints(entry, stored)),
        *(f"{name} was never sent" for name in stored if name not in sent),
    ]


def _complaints(entry: Entry, stored: Mapping[tuple[str, str], list[StoredRecord]]) -> Iterable[str]:
    key = key_of(entry.record)
    rows = stored.get((entry.organization, key), [])
    if entry.is_unsettled:
        yield f"{key} has no answer"
    if entry.refused and not entry.answers and rows:
        yield f"{key} was refused with {entry.refused[0]} and is stored"
    if not entry.answers:
        return
    if len(rows) != 1:
        yield f"{key} was accepted and is stored {len(rows)} times"
        return
    for said in entry.answers:
        yield from _differences(key, said, rows[0])
    seconds = talked_seconds(entry.record)
    if entry.answers[0]["result"] in KEPT and rows[0].billable_seconds != seconds:
        yield f"{key} was accepted with {seconds} s and has {rows[0].billable_seconds}"


def _differences(key: str, said: Mapping[str, Any], row: StoredRecord) -> Iterable[str]:
    """A receipt told before the charge names no id or no cost; what it names must be so for ever."""
    if said["cdr_id"] not in (None, row.cdr_id):
        yield f"{key} was told id {said['cdr_id']} and has {row.cdr_id}"
    if said["cost"] is not None and Decimal(said["cost"]) != row.cost:
        yield f"{key} was told cost {said['cost']} and has {row.cost}"


def check_charges(entries: list[Entry], books: Books) -> Decimal:
    """Charges are the distinct accepted records, to the last micro-yuan, however they are counted. Their sum, CNY.

    Contents that were refused as a conflict charge nothing; whatever was accepted first does.
    """
    organizations = sorted({entry.organization for entry in entries})
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.answers and entry.answers[0]["result"] != "conflict_queued":
            first.setdefault((entry.organization, key_of(entry.record)), entry)
    expected = sum((cost_of(talked_seconds(entry.record)) for entry in first.values()), Decimal(0))
    asked: dict[str, str] = {
        "call records": "SELECT count(*), sum(cost) FROM call_records"
                        " WHERE state = 'charged' AND organization = ANY(%s)",
        "service records": "SELECT count(*), sum(r.cost) FROM counter_servicerecord r JOIN ledger_billingaccount a"
                           " ON a.id = r.account_id WHERE r.state = 'ended' AND a.organization = ANY(%s)",
        "transfers": "SELECT count(*), sum(t.amount) FROM ledger_transfer t JOIN ledger_billingaccount a"
                     " ON a.id = t.account_id WHERE t.cause_type = 'use' AND a.organization = ANY(%s)",
    }  # fmt: skip
    for name, query in asked.items():
        ((number, total),) = books.rows(query, organizations)
        assert (number, total or Decimal(0)) == (len(first), expected), (
            f"{name}: {number} of {total} CNY, accepted were {len(first)} of {expected} CNY"
        )
    return expected


class ZeroSum:
    """Reads the sum of all accounts about once a second, in one snapshot each, while the block runs: always zero."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="zero sum", daemon=True)
        self.snapshots, self.wrong = 0, list[Decimal]()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            try:
                with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
                    cursor.execute(SUM_OF_ALL)
                    (found,) = cursor.fetchone()
            except psycopg2.Error:  # the case has killed the server
                continue
            self.snapshots += 1
            if found:
                self.wrong.append(found)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self.wrong, f"the sum of all accounts was {self.wrong[:EXAMPLES]}"
