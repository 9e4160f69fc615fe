"""The oracle: does the ledger keep its promise? Every check of every room reads one snapshot of the whole database."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice

from django.db import connection, transaction

from billing_platform import clock, metrics, registry
from billing_platform.models import JobRun
from billing_platform.oracle import EXAMPLES_MAX, Finding, looking_since, since
from billing_platform.runs import Run, VerificationMismatch
from ledger.figures import show_imbalance
from ledger.holds import HOLD_GRACE
from ledger.invariants import INVARIANTS
from ledger.seals import find_broken_seals, read_in_one_snapshot

__all__ = ["Finding", "ledger_findings", "verify", "verify_all", "verify_recent"]

JOB = "verify_ledger"
OVERLAP = timedelta(minutes=10)  # longer than any transaction that posts, so that late commits are looked at too
EVENT_DUE = timedelta(minutes=10)  # the relay is not running or hopelessly behind
EVENT_OLDEST = timedelta(days=10)  # every pause of the relay's plan at its longest
SEALED = 11
Limits = dict[str, int | datetime]


def ledger_findings() -> Iterable[Finding]:
    """The ledger's own invariants: 1 to 5, 10, 11, 12. Seals are read again only when everything is looked at."""
    at = clock.now()
    limits: Limits = {
        "floor": _covered_transfer(), "hold_overdue": at - HOLD_GRACE, "event_overdue": at - EVENT_DUE,
        "event_too_old": at - EVENT_OLDEST,
    }  # fmt: skip
    for invariant, queries in INVARIANTS.items():
        found = [_breaches(query, limits) for query in queries]
        if invariant == SEALED and since() is None:
            found.append(_counted(find_broken_seals()))
        yield _joined(invariant, found)


def verify(checks: Sequence[str] = registry.ORACLE_CHECKS) -> list[Finding]:
    """Run the checks (dotted names) in one read-only snapshot; one Finding per invariant, in order, clean ones too."""
    by_invariant: dict[int, list[tuple[int, list[str]]]] = {}
    with _one_snapshot():
        for check in registry.resolve(list(checks)):
            for finding in check():
                by_invariant.setdefault(finding.invariant, []).append((finding.breaches, list(finding.examples)))
    return [_joined(invariant, found) for invariant, found in sorted(by_invariant.items())]


def verify_all(run: Run) -> None:
    """Look at everything and fill the run. Raises VerificationMismatch when an invariant is broken."""
    with looking_since(None):
        _verify_into(run)


def verify_recent(run: Run) -> None:
    """Look at what is new since the last clean run; without one, at everything. Raises as `verify_all`."""
    last = JobRun.objects.filter(job=JOB, state=JobRun.State.DONE, counts__has_key="clean_at")
    counts = last.order_by("-started_at").values_list("counts", flat=True).first()
    instant = None if counts is None else datetime.fromtimestamp(counts["clean_at"], UTC) - OVERLAP
    with looking_since(instant):
        _verify_into(run)


def _verify_into(run: Run) -> None:
    started = _database_now()
    findings = verify()
    for finding in findings:
        run.counts[f"invariant_{finding.invariant}"] = finding.breaches
        run.items.append({
            "invariant": finding.invariant, "breaches": finding.breaches, "examples": list(finding.examples)
        })  # fmt: skip
        metrics.breaches.labels(str(finding.invariant)).set(finding.breaches)
    broken = [finding.invariant for finding in findings if finding.breaches]
    show_imbalance(broken)
    if broken:
        raise VerificationMismatch(invariants=broken)
    run.counts["clean_at"] = int(started.timestamp())
    metrics.verified_at.set(started.timestamp())


@contextmanager
def _one_snapshot() -> Iterator[None]:
    with transaction.atomic(durable=True):  # all checks see the same moment, and none can write
        read_in_one_snapshot()
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield


def _covered_transfer() -> int:
    """The newest transfer that began before `since()`; 0 when everything is to be looked at."""
    instant = since()
    if instant is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM ledger_transfer WHERE created_at < %s ORDER BY id DESC LIMIT 1", [instant])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _database_now() -> datetime:
    """`created_at` of transfers is the database's time, also under a test clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        instant: datetime = cursor.fetchone()[0]
    return instant


def _breaches(query: str, limits: Limits) -> tuple[int, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) OVER (), found.* FROM ({query}) found LIMIT {EXAMPLES_MAX}", limits)  # noqa: S608  constants of the house
        rows = cursor.fetchall()
    return (rows[0][0] if rows else 0), [row[1] for row in rows]


def _counted(examples: Iterator[str]) -> tuple[int, list[str]]:
    shown = list(islice(examples, EXAMPLES_MAX))
    return len(shown) + sum(1 for _ in examples), shown


def _joined(invariant: int, found: Iterable[tuple[int, list[str]]]) -> Finding:
    parts = list(found)
    examples = [example for _, some in parts for example in some]
    return Finding(invariant, sum(breaches for breaches, _ in parts), tuple(examples[:EXAMPLES_MAX]))
