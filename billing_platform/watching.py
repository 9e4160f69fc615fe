"""Runs as people watch them: which ones they may see, how far each is, stopping and resuming. 任务."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.core.management import get_commands
from django.db import connection, transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Concat
from django.utils.http import urlencode
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from billing_platform import clock, deliveries, registry
from billing_platform.auth import Caller
from billing_platform.errors import Conflict, Forbidden, Malformed, NotFound
from billing_platform.job_commands import ring
from billing_platform.models import ApiKey, JobRun, Membership, Role
from billing_platform.paging import Page, PageRequest
from billing_platform.runs import PERSON, STALE_AFTER, RunOver, State, alive_among, interrupt
from billing_platform.states import claim
from billing_platform.trail import record_act

VIEW, KEY = "jobs", "key:"
JOBS_NAMED = 200
OWN_WATCHERS = frozenset({Role.RATE_ADMIN.value, Role.FINANCE.value})
ALL_WATCHERS = frozenset({Role.OPS.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value})
ACTORS = OWN_WATCHERS | {Role.OPS.value}
TONES = {State.DONE: "good", State.FAILED: "bad", State.INTERRUPTED: "warn"}
STEPS = {  # what a run is at; a step that is not here is shown as the run names it
    "read": _("reading"),
    "compare": _("comparing"),
    "write": _("writing"),
    "judge": _("judging"),
}


class NotResumable(Conflict):
    code = "not_resumable"
    title = _("This run cannot be resumed from here: repeat its command.")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a run works on: the page that shows it ("" for none), and what calls a worker to it once the transaction has
    committed (None: nobody can work on it any more). `resumers`: who may do that, of those who may act on the run."""

    path: str
    resume: Callable[[], None] | None = None
    resumers: frozenset[str] = ACTORS


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What the list shows; "" is everything."""

    state: str = ""
    job: str = ""
    mine: str = ""

    @property
    def query(self) -> str:
        """As the address has it."""
        return urlencode({name: value for name in self.__slots__ if (value := getattr(self, name))})


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run with its standing: `state` is "interrupted" too when the process died and nobody has recorded it yet."""

    row: JobRun
    state: State
    at: datetime
    subject: Subject | None = None
    may_act: bool = False
    may_resume: bool = False

    @property
    def title(self) -> str:
        return registry.title_of_job(self.row.job)

    @property
    def counts(self) -> list[tuple[str, str, object]]:
        """Name, words, and how many of each the run has counted so far."""
        return [(name, str(registry.COUNT_TITLES.get(name, name)), count) for name, count in self.row.counts.items()]

    @property
    def tone(self) -> str:
        return TONES.get(self.state, "")

    @property
    def has_ended(self) -> bool:
        return self.state in TONES

    @property
    def can_cancel(self) -> bool:
        return self.may_act and not self.has_ended and self.row.cancel_asked_at is None

    @property
    def can_resume(self) -> bool:
        is_left = self.state == State.INTERRUPTED and self.subject is not None
        return self.may_resume and is_left and self.subject is not None and self.subject.resume is not None

    @property
    def is_stopping(self) -> bool:
        return not self.has_ended and self.row.cancel_asked_at is not None

    @property
    def step(self) -> object:
        return STEPS.get(self.row.step, self.row.step)

    @property
    def per_cent(self) -> int:
        """Of the whole run; a run that told nothing on its way is at its end all the same."""
        return 100 if self.state == State.DONE else self.row.per_cent

    @property
    def elapsed_seconds(self) -> int:
        """Since a worker took it up; until its end."""
        return max(int(((self.row.finished_at or self.at) - self.row.started_at).total_seconds()), 0)

    @property
    def left_seconds(self) -> int | None:
        """As long as it takes when it goes on as it went so far; None before anybody can tell."""
        if self.state != State.RUNNING or not 0 < self.row.per_cent <= 100:
            return None
        return self.elapsed_seconds * (100 - self.row.per_cent) // self.row.per_cent

    @property
    def starter(self) -> str:
        return self.row.started_by.removeprefix(PERSON)

    @property
    def command(self) -> str:
        """The command line that does the same; "" where there is none."""
        arguments = [str(one) for one in self.row.arguments]
        return shlex.join(["manage.py", self.row.job, *arguments]) if self.row.job in get_commands() else ""


def visible_runs(caller: Caller) -> QuerySet[JobRun]:
    """Operations, auditors and programs see the runs of the house and those that their organisation started, rate
    administrators and finance those that they started themselves."""
    if caller.sees_all:
        return JobRun.objects.all()
    if caller.kind == "person" and not ALL_WATCHERS & caller.roles:
        return JobRun.objects.filter(started_by=caller.actor)
    people = Membership.objects.filter(organization=caller.organization)
    keys = ApiKey.objects.filter(organization=caller.organization)
    return JobRun.objects.filter(
        (~Q(started_by__startswith=PERSON) & ~Q(started_by__startswith=KEY))
        | Q(started_by__in=people.values_list(Concat(Value(PERSON), "user__username")))
        | Q(started_by__in=keys.values_list(Concat(Value(KEY), "key_id")))
    )


def read_filter(query: Mapping[str, str]) -> RunFilter:
    """Raises Malformed for a state that there is none of."""
    asked = RunFilter(query.get("state", ""), query.get("job", "")[:60], "1" if query.get("mine") else "")
    if (asked.state and asked.state not in State.values) or "\x00" in asked.job:
        raise Malformed("no such state")
    return asked


def watched_runs(caller: Caller, asked: RunFilter, page: PageRequest) -> Page[WatchedRun]:
    """The runs of a filter, the latest first."""
    found = visible_runs(caller).defer("log")
    wanted = {"state": asked.state, "job": asked.job, "started_by": caller.actor if asked.mine else ""}
    found = found.filter(**{name: value for name, value in wanted.items() if value})
    if page.after is not None:
        found = found.filter(pk__lt=page.after[0])
    rows = page.page(list(found.order_by("-pk")[: page.limit + 1]), lambda row: [row.pk], view=VIEW)
    dead, at = _dead_among(rows.items), clock.now()
    return Page([WatchedRun(row, _standing(row, dead), at) for row in rows.items], rows.next_cursor)


def watch_run(run_id: int, *, caller: Caller) -> WatchedRun:
    """How far the run is. Raises NotFound for one that the caller may not see."""
    row = visible_runs(caller).filter(pk=run_id).first()
    if row is None:
        raise NotFound
    return watched(row, caller=caller)


def may_act_on(row: JobRun, caller: Caller) -> bool:
    """May the caller stop and resume it? Operations any that they see, rate administrators and finance their own."""
    if Role.OPS.value in caller.roles:
        return visible_runs(caller).filter(pk=row.pk).exists()
    return bool(OWN_WATCHERS & caller.roles) and row.started_by == caller.actor


def watched(row: JobRun, *, caller: Caller) -> WatchedRun:
    """The run's standing now, for a page that shows what it works on."""
    subject, may_act = _subject_of(row), may_act_on(row, caller)
    may_resume = may_act and subject is not None and bool(subject.resumers & caller.roles)
    return WatchedRun(row, _standing(row, _dead_among([row])), clock.now(), subject, may_act, may_resume)


def watched_webhooks(caller: Caller) -> list[deliveries.Standing]:
    """How the endpoints do that the caller watches over; none for those who watch their own runs alone."""
    if not ALL_WATCHERS & caller.roles:
        return []
    return deliveries.list_standings(None if caller.sees_all else caller.organization)


def job_names() -> list[str]:
    """The jobs that ever ran, each found by one step along the index."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE found AS (
                SELECT min(job) AS job FROM billing_platform_jobrun
                UNION ALL
                SELECT (SELECT min(job) FROM billing_platform_jobrun r WHERE r.job > found.job) FROM found
                 WHERE found.job IS NOT NULL
            ) SELECT job FROM found WHERE job IS NOT NULL LIMIT %s
            """,
            [JOBS_NAMED],
        )
        return [name for (name,) in cursor.fetchall()]


@transaction.atomic(durable=True)  # the wish and its audit row
def cancel_run(run_id: int, *, caller: Caller, address: str = "") -> None:
    """Ask a run to stop at its next safe point; one that nobody works on stops at once. Raises NotFound, RunOver."""
    run = _acted_on(run_id, caller)
    waiting = JobRun.objects.filter(pk=run_id, state__in=[State.WAITING, State.RUNNING], cancel_asked_at=None)
    if run.has_ended or waiting.update(cancel_asked_at=clock.now()) != 1:
        raise RunOver
    if run.state == State.WAITING:
        interrupt(run.row)
    record_act(caller, "job.cancel", target=("jobrun", run_id), address=address)


@transaction.atomic(durable=True)  # the run's state and its audit row; the worker is called afterwards
def resume_run(run_id: int, *, caller: Caller, address: str = "") -> None:
    """Have a worker take an interrupted run up again. Raises NotFound, NotResumable, RunOver (it goes on already)."""
    run = _acted_on(run_id, caller)
    if run.subject is None or run.subject.resume is None:
        raise NotResumable
    if not run.may_resume:
        raise Forbidden
    if run.state == State.INTERRUPTED and run.row.state == State.RUNNING:
        interrupt(run.row)
    found = JobRun.objects.filter(pk=run_id)
    if not claim(found, JobRun.TRANSITIONS, State.WAITING, cancel_asked_at=None, exit_code=None, finished_at=None):
        raise RunOver
    record_act(caller, "job.resume", target=("jobrun", run_id), address=address)
    run.subject.resume()


def _acted_on(run_id: int, caller: Caller) -> WatchedRun:
    run = watch_run(run_id, caller=caller)
    if not run.may_act:
        raise Forbidden
    return run


def _subject_of(row: JobRun) -> Subject | None:
    """What the room says; a command that a page started goes on as the same run, wherever it was cut off."""
    if row.job in registry.JOB_SUBJECTS:
        found: Subject | None = import_string(registry.JOB_SUBJECTS[row.job])(row.pk)
        return found
    is_ours = row.job in registry.JOB_COMMANDS and row.started_by.startswith(PERSON)
    return Subject("", partial(ring, row.pk)) if is_ours else None


def _standing(row: JobRun, dead: set[int]) -> State:
    return State.INTERRUPTED if row.pk in dead else State(row.state)


def _dead_among(rows: Iterable[JobRun]) -> set[int]:
    """Running by their rows, and no process holds their lock."""
    latest = clock.now() - STALE_AFTER
    running = {row.pk for row in rows if row.state == State.RUNNING and row.started_at < latest}
    return running - alive_among(running) if running else set()
