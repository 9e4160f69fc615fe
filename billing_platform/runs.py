"""Runs that people can see: every command and long job leaves a JobRun and ends with a known code.

A run holds an advisory lock on a connection of its own for as long as its process lives: that is how an exclusive job
refuses a second copy, and how a killed run is told from a busy one. That connection must reach PostgreSQL directly (no
pooler in transaction mode).
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any

from django.db import connection, transaction

from billing_platform import clock, metrics
from billing_platform.errors import Conflict, Malformed, NotFound, PlatformError, Unavailable, ValidationFailed
from billing_platform.failpoints import failpoint
from billing_platform.models import JobRun
from billing_platform.progress import Progress

JOB_LOCK, RUN_LOCK = 0x4A4F42, 0x52554E  # first halves of the advisory lock keys
LOCK_MASK = 0x7FFFFFFF
STALE_AFTER = timedelta(seconds=60)
STALE_AT_ONCE = 500


class Exit(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    FAILED_ITEMS = 3
    GUARD_RAIL = 4
    LOCKED = 5
    MISMATCH = 6
    TRY_LATER = 75
    INTERRUPTED = 130


class AlreadyRunning(Conflict):
    code, retryable = "already_running", True


class GuardRail(PlatformError):
    """Looks like a mistake: repeat with `--confirm TOKEN`; carries `token`."""

    code, http_status, grpc_status = "guard_rail", 409, "FAILED_PRECONDITION"


class VerificationMismatch(PlatformError):
    code, http_status, grpc_status = "verification_mismatch", 409, "FAILED_PRECONDITION"


EXIT_BY_REFUSAL: tuple[tuple[type[PlatformError], Exit], ...] = (
    (AlreadyRunning, Exit.LOCKED),
    (GuardRail, Exit.GUARD_RAIL),
    (VerificationMismatch, Exit.MISMATCH),
    (Unavailable, Exit.TRY_LATER),
    (ValidationFailed, Exit.USAGE),
    (Malformed, Exit.USAGE),
    (NotFound, Exit.USAGE),
)


class _Alive:
    """A connection of its own: its locks say that the run is alive, its writes are seen before the work commits."""

    def __init__(self) -> None:
        self._connection = connection.copy()

    def lock(self, first: int, second: int) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [first, second])
            return bool(cursor.fetchone()[0])

    def store_progress(self, run_id: int, *, done: int, total: int) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE billing_platform_jobrun SET counts = counts || %s::jsonb WHERE id = %s",
                [json.dumps({"done": done, "total": total}), run_id],
            )

    def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class Run:
    """What a run has to tell: counts, amounts by currency, items, errors. The work fills it."""

    id: int
    job: str
    dry_run: bool
    counts: "Counter[str]" = field(default_factory=Counter)
    amounts: dict[str, Decimal] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    shown: Progress | None = None
    _alive: _Alive | None = None
    _per_cent: int = -1

    def add_amount(self, currency: str, amount: Decimal) -> None:
        """Add to the total of a currency."""
        self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + amount

    def fail(self, code: str, message: str, *, ref: str = "") -> None:
        """One item failed; the run goes on and ends with exit code 3."""
        self.errors.append({"code": code, "message": message, "ref": ref})

    def progress(self, done: int, total: int) -> None:
        """Tell how far the work is; stored once a per cent, for who watches from elsewhere."""
        if self.shown is not None:
            self.shown.show(done, total)
        per_cent = done * 100 // total if total else 100
        if per_cent > self._per_cent and self._alive is not None:
            self._per_cent = per_cent
            self._alive.store_progress(self.id, done=done, total=total)

    def envelope(self) -> dict[str, Any]:
        """The JSON that every command prints."""
        return {
            "command": self.job,
            "run_id": self.id,
            "dry_run": self.dry_run,
            "counts": dict(self.counts),
            "amounts": {currency: f"{amount:f}" for currency, amount in self.amounts.items()},
            "items": self.items,
            "errors": self.errors,
        }


def exit_of(refusal: PlatformError) -> Exit:
    """The exit code for a refusal that ends a command."""
    return next((code for kind, code in EXIT_BY_REFUSAL if isinstance(refusal, kind)), Exit.FAILED_ITEMS)


@contextmanager
def job_run(
    job: str, *, arguments: list[str] | None = None, dry_run: bool = False, exclusive: bool = False
) -> Iterator[Run]:
    """A JobRun around a block of work: done, failed or interrupted by how the block ends.

    Raises AlreadyRunning, and leaves no row, when `exclusive` and another run of the job is alive.
    """
    alive = _Alive()
    try:
        if exclusive and not alive.lock(JOB_LOCK, zlib.crc32(job.encode()) & LOCK_MASK):
            raise AlreadyRunning(job)
        row = JobRun.objects.create(job=job, arguments=arguments or [], started_at=clock.now())
        alive.lock(RUN_LOCK, row.pk & LOCK_MASK)
        failpoint("jobs.after_claim")
        yield from _finished(row, Run(row.pk, job, dry_run, _alive=alive))
    finally:
        alive.close()


def open_run(job: str, *, arguments: list[str] | None = None) -> int:
    """Record a run that a worker will take up: its id can be shown at once."""
    return JobRun.objects.create(job=job, arguments=arguments or [], started_at=clock.now()).pk


@contextmanager
def taken_up(run_id: int) -> Iterator[Run]:
    """As `job_run`, for a run on record, also one whose process died. Raises NotFound, AlreadyRunning."""
    alive = _Alive()
    try:
        row = JobRun.objects.filter(pk=run_id).first()
        if row is None:
            raise NotFound(run=run_id)
        if not alive.lock(RUN_LOCK, run_id & LOCK_MASK):
            raise AlreadyRunning(row.job)
        JobRun.objects.filter(pk=run_id).update(state=JobRun.State.RUNNING, exit_code=None, finished_at=None)
        failpoint("jobs.after_claim")
        yield from _finished(row, Run(row.pk, row.job, dry_run=False, _alive=alive))
    finally:
        alive.close()


def _finished(row: JobRun, run: Run) -> Iterator[Run]:
    code = Exit.UNEXPECTED
    try:
        yield run
        code = Exit.FAILED_ITEMS if run.errors else Exit.DONE
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        raise
    except PlatformError as refusal:
        code = exit_of(refusal)
        raise
    finally:
        _record_end(row, run, code)


def _record_end(row: JobRun, run: Run, code: Exit) -> None:
    at = clock.now()
    state = {Exit.DONE: JobRun.State.DONE, Exit.INTERRUPTED: JobRun.State.INTERRUPTED}.get(code, JobRun.State.FAILED)
    JobRun.objects.filter(pk=row.pk).update(state=state, counts=dict(run.counts), exit_code=code, finished_at=at)
    metrics.job_runs.labels(run.job, str(int(code))).inc()
    metrics.job_duration.labels(run.job).observe((at - row.started_at).total_seconds())
    if code == Exit.DONE:
        metrics.job_last_success.labels(run.job).set(at.timestamp())


@transaction.atomic
def close_stale_runs() -> int:
    """Runs whose process is gone become interrupted (at most 500 a call); how many were."""
    old = JobRun.objects.filter(state=JobRun.State.RUNNING, started_at__lt=clock.now() - STALE_AFTER)
    closed = 0
    for run_id in list(old.order_by("id").values_list("id", flat=True)[:STALE_AT_ONCE]):
        if _nobody_holds(run_id):
            closed += old.filter(pk=run_id).update(
                state=JobRun.State.INTERRUPTED, exit_code=Exit.INTERRUPTED, finished_at=clock.now()
            )
    return closed


def _nobody_holds(run_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [RUN_LOCK, run_id & LOCK_MASK])
        return bool(cursor.fetchone()[0])
