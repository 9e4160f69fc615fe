"""Runs that people can see: every command and long job leaves a JobRun and ends with a known code.

A run holds an advisory lock on a connection of its own for as long as its process lives: that is how an exclusive job
refuses a second copy, and how a killed run is told from a busy one. That connection must reach PostgreSQL directly (no
pooler in transaction mode).
"""

import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum
from itertools import accumulate
from typing import Any

from django.db import Error, connection, transaction
from django.utils.translation import gettext_lazy as _

from billing_platform import clock, metrics
from billing_platform.errors import Conflict, Malformed, NotFound, PlatformError, Unavailable, ValidationFailed
from billing_platform.failpoints import failpoint
from billing_platform.models import JobRun
from billing_platform.notices import notify
from billing_platform.progress import Progress, RunLog
from billing_platform.states import claim

JOB_LOCK, RUN_LOCK = 0x4A4F42, 0x52554E  # first halves of the advisory lock keys
LOCK_MASK = 0x7FFFFFFF
STALE_AFTER = timedelta(seconds=10)  # between a run's row and its lock lie milliseconds
STALE_AT_ONCE = 500
STORED_SECONDS = 1.0
RATE_SECONDS = 0.3
PERSON = "person:"
State = JobRun.State


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


class RunCancelled(PlatformError):
    """Somebody asked to stop it; it can be resumed."""

    code, http_status, grpc_status = "run_cancelled", 409, "ABORTED"
    title = _("The run was cancelled; it can be resumed.")


class RunOver(Conflict):
    code = "run_over"
    title = _("This run has ended, or was cancelled.")


class GuardRail(PlatformError):
    """Looks like a mistake: repeat with `--confirm TOKEN`; carries `token`."""

    code, http_status, grpc_status = "guard_rail", 409, "FAILED_PRECONDITION"


class VerificationMismatch(PlatformError):
    code, http_status, grpc_status = "verification_mismatch", 409, "FAILED_PRECONDITION"


EXIT_BY_REFUSAL: tuple[tuple[type[PlatformError], Exit], ...] = (
    (AlreadyRunning, Exit.LOCKED),
    (GuardRail, Exit.GUARD_RAIL),
    (VerificationMismatch, Exit.MISMATCH),
    (RunCancelled, Exit.INTERRUPTED),
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

    def store_progress(self, run: "Run", step: str, done: int, total: int) -> bool:
        """Keep how far the run is; has somebody asked to cancel it?"""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE billing_platform_jobrun"
                " SET step = %s, done = %s, total = %s, rate = %s, per_cent = %s, counts = %s, log = %s WHERE id = %s"
                " RETURNING cancel_asked_at IS NOT NULL",
                [step, done, total, run.rate(done), run.per_cent, json.dumps(run.counts), json.dumps(run.log.lines),
                 run.id],
            )  # fmt: skip
            row = cursor.fetchone()
        return bool(row and row[0])

    def close(self) -> None:
        """Give the locks back first: the server forgets a closed connection when it comes to it."""
        with suppress(Error), self._connection.cursor() as cursor:  # a lost connection has lost its locks
            cursor.execute("SELECT pg_advisory_unlock_all()")
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
    log: RunLog = field(default_factory=RunLog)
    per_cent: int = -1
    _alive: _Alive | None = None
    _step: str = ""
    _step_began: float = field(default_factory=time.monotonic)
    _stored_at: float = 0.0

    def add_amount(self, currency: str, amount: Decimal) -> None:
        """Add to the total of a currency."""
        self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + amount

    def fail(self, code: str, message: str, *, ref: str = "") -> None:
        """One item failed; the run goes on and ends with exit code 3."""
        self.errors.append({"code": code, "message": message, "ref": ref})
        self.log.note(f"{code} {ref} {message}")

    def progress(self, done: int, total: int) -> None:
        """Tell how far the work is, at a point where it may stop. Raises RunCancelled when somebody asked for that."""
        self._tell("", done, total, done * 100 // total if total else 100)

    def in_steps(self, shares: Mapping[str, int]) -> Callable[[str, int, int], None]:
        """As `progress`, for work in steps that take these shares of a hundred: rows are told of the present step."""
        begins = dict(zip(shares, accumulate(shares.values(), initial=0), strict=False))

        def progress(step: str, done: int, total: int) -> None:
            self._tell(step, done, total, begins[step] + (shares[step] * done // total if total else shares[step]))

        return progress

    def rate(self, done: int) -> int:
        """Rows a second since the present step began; 0 before that can be told."""
        seconds = time.monotonic() - self._step_began
        return int(done / seconds) if seconds > RATE_SECONDS else 0

    def _tell(self, step: str, done: int, total: int, per_cent: int) -> None:
        """Stored once a per cent, a step and a second, for who watches from elsewhere."""
        per_cent = min(per_cent, 100)
        if self.shown is not None:
            self.shown.show(step, done, total, per_cent)
        is_new, now = step != self._step, time.monotonic()
        if self._alive is None or not (is_new or per_cent > self.per_cent or now - self._stored_at > STORED_SECONDS):
            return
        if is_new:
            self._step, self._step_began = step, now
        if is_new or per_cent // 10 > self.per_cent // 10:
            self.log.note(f"{per_cent} % {step} {done}/{total}")
        self.per_cent, self._stored_at = max(per_cent, self.per_cent), now
        if self._alive.store_progress(self, step, done, total):
            raise RunCancelled

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


def open_run(job: str, *, arguments: list[str] | None = None, started_by: str = "") -> int:
    """Record a run that a worker will take up: its id can be shown at once.

    `started_by` is the caller's `actor`: a person may watch it, and is told when it ends.
    """
    row = JobRun(job=job, arguments=arguments or [], started_by=started_by, state=State.WAITING)
    row.started_at = clock.now()
    row.save(force_insert=True)
    return row.pk


@contextmanager
def taken_up(run_id: int, *, once: bool = False) -> Iterator[Run]:
    """As `job_run`, for a run on record, also one whose process died. Raises NotFound, AlreadyRunning, RunOver.

    With `once` a run that failed is over as well: the doorbell of a run may be heard more often than it was rung.
    """
    alive = _Alive()
    try:
        row = JobRun.objects.filter(pk=run_id).first()
        if row is None:
            raise NotFound(run=run_id)
        if not alive.lock(RUN_LOCK, run_id & LOCK_MASK):
            raise AlreadyRunning(row.job)
        row.started_at = clock.now()
        fresh = {"exit_code": None, "finished_at": None, "step": "", "done": 0, "total": 0, "per_cent": 0}
        over = [State.FAILED] if once else []
        wanted = JobRun.objects.filter(pk=run_id, cancel_asked_at=None).exclude(state__in=over)
        if not claim(wanted, JobRun.TRANSITIONS, State.RUNNING, started_at=row.started_at, **fresh):
            raise RunOver
        failpoint("jobs.after_claim")
        yield from _finished(row, Run(row.pk, row.job, dry_run=False, _alive=alive))
    finally:
        alive.close()


def _finished(row: JobRun, run: Run) -> Iterator[Run]:
    code = Exit.UNEXPECTED
    try:
        with run.log:
            yield run
        code = Exit.FAILED_ITEMS if run.errors else Exit.DONE
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        raise
    except PlatformError as refusal:
        code = exit_of(refusal)
        run.log.note(f"{refusal.code} {refusal.detail}")
        raise
    except BaseException as fault:
        run.log.note(type(fault).__name__)
        raise
    finally:
        _record_end(row, run, code)


@transaction.atomic  # the end, and the notice of it
def _record_end(row: JobRun, run: Run, code: Exit) -> None:
    row.finished_at = clock.now()
    row.state = {Exit.DONE: State.DONE, Exit.INTERRUPTED: State.INTERRUPTED}.get(code, State.FAILED)
    end: dict[str, Any] = {"per_cent": 100} if code == Exit.DONE else {}
    ours = JobRun.objects.filter(pk=row.pk, started_at=row.started_at)  # not another worker's that took it for dead
    ended = ours.update(
        state=row.state, counts=dict(run.counts), log=run.log.lines, exit_code=code, finished_at=row.finished_at, **end
    )
    if ended:
        _tell_starter(row)
    metrics.job_runs.labels(run.job, str(int(code))).inc()
    metrics.job_duration.labels(run.job).observe((row.finished_at - row.started_at).total_seconds())
    if code == Exit.DONE:
        metrics.job_last_success.labels(run.job).set(row.finished_at.timestamp())


def _tell_starter(row: JobRun) -> None:
    """The person who started the run hears how it ended; of a run that was resumed, of each end."""
    assert row.finished_at is not None  # it has just ended
    if row.started_by.startswith(PERSON):
        notify(
            [row.started_by.removeprefix(PERSON)],
            kind=f"job.{row.state}",
            facts={"job": row.job, "arguments": " ".join(row.arguments)},
            path=f"/ops/jobs/{row.pk}/",
            key=f"job:{row.pk}:{row.finished_at.isoformat()}",
        )


@transaction.atomic
def close_stale_runs() -> int:
    """Runs whose process is gone become interrupted (at most 500 a call); how many were."""
    old = JobRun.objects.filter(state=State.RUNNING, started_at__lt=clock.now() - STALE_AFTER)
    rows = list(old.order_by("id")[:STALE_AT_ONCE])
    alive = alive_among(row.pk for row in rows)
    return sum(interrupt(row) for row in rows if row.pk not in alive)


def interrupt(row: JobRun) -> bool:
    """Record that nobody works on the run any more, unless somebody has just taken it up."""
    row.finished_at, row.state = clock.now(), State.INTERRUPTED
    found = JobRun.objects.filter(pk=row.pk, started_at=row.started_at)
    ended = claim(found, JobRun.TRANSITIONS, State.INTERRUPTED, exit_code=Exit.INTERRUPTED, finished_at=row.finished_at)
    if ended:
        _tell_starter(row)
    return ended


def alive_among(run_ids: Iterable[int]) -> set[int]:
    """Those of the runs whose process holds its lock. Asks without taking a lock, which would turn a worker away."""
    by_key = {run_id & LOCK_MASK: run_id for run_id in run_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT objid::bigint FROM pg_locks
             WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = %s
               AND objid::bigint = ANY(%s)
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            [RUN_LOCK, list(by_key)],
        )
        return {by_key[key] for (key,) in cursor.fetchall()}
