"""Re-rating that people ask for: a dry run, and then exactly what it showed. 重批价.

The counter's command does both as runs of a worker; here they are started, found again, and what they told is read.
A run belongs to the organisation whose accounts it is about. What one person may not move by hand needs a second one:
the one applies what the other had worked out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse

from billing_platform.auth import Caller
from billing_platform.errors import Forbidden, ValidationFailed
from billing_platform.job_commands import ring, start_command
from billing_platform.kept import ROWS, SUMMARY, find_result
from billing_platform.models import JobRun, Role
from billing_platform.runs import PERSON, Exit
from billing_platform.trail import record_act
from billing_platform.watching import ACTORS, Subject
from cdr.errors import RerateNotApplicable, RerateNotFound, SecondPersonNeeded
from cdr.rerating.question import Question, question_of

JOB = "rerate"
DRY_RUN, APPLIED, WHAT_IF = "dry_run", "applied", "what_if"
RECENT_MAX, LOOKED_AT = 10, 200
APPLIERS = frozenset({Role.FINANCE.value})
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rerate:
    """A run that was asked about an organisation's charges. `result` is None before it is there, or when it is gone."""

    row: JobRun
    question: Question
    result: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        if self.question.what_if:
            return WHAT_IF
        return APPLIED if "--apply" in self.row.arguments else DRY_RUN

    @property
    def address(self) -> str:
        """The page of this run."""
        return f"{reverse('cdr_rerate')}?{self.question.query}&run={self.row.pk}"

    @property
    def starter(self) -> str:
        return self.row.started_by.removeprefix(PERSON)

    @property
    def counts(self) -> Mapping[str, int]:
        found: Mapping[str, int] = (self.result or {}).get("envelope", {}).get("counts", {})
        return found

    def items(self, by: str) -> list[Item]:
        """What the run tells of a kind, as far as a page holds it."""
        found = (self.result or {}).get("envelope", {}).get("items", ())
        return [item for item in found if item["by"] == by]

    def rows_of(self, by: str) -> int:
        """How many there are in all; the files have every one."""
        return int((self.result or {}).get("rows", {}).get(by, 0))

    @property
    def is_whole(self) -> bool:
        """Did the dry run come to its end, and is it still known what it said?"""
        return self.row.exit_code == Exit.DONE and self.result is not None

    @property
    def needs_second_person(self) -> bool:
        """Does it move more than one person may move by hand? In the accounts' currency, whatever the sign."""
        return Decimal((self.result or {}).get("moved", 0)) > settings.ADJUSTMENT_SECOND_PERSON_ABOVE

    def is_of(self, caller: Caller) -> bool:
        return self.row.started_by == caller.actor[:80]


@transaction.atomic(durable=True)  # the run and the trail of who asked
def start_dry_run(question: Question, *, caller: Caller, address: str = "") -> int:
    """Have a worker find out what would change, or what a version would have done; the run's id. Changes nothing.

    Raises Forbidden for a caller of no organisation, who would be asking about everybody's charges.
    """
    if not caller.organization:
        raise Forbidden
    run_id = start_command(JOB, question.arguments(caller.organization), caller=caller)
    act = "rerate.what_if" if question.what_if else "rerate.dry_run"
    record_act(
        caller, act, target=("jobrun", run_id), change=(None, {"question": question.query}), reason=question.reason,
        address=address,
    )  # fmt: skip
    return run_id


@transaction.atomic(durable=True)  # the run and the trail of who confirmed it
def apply_dry_run(run_id: int, *, typed: str, reason: str, caller: Caller, address: str = "") -> int:
    """Have a worker charge anew what this dry run showed, and nothing else; the run's id. Again: the same run.

    `typed`: the month, by which the person confirms. Raises RerateNotFound, RerateNotApplicable, SecondPersonNeeded,
    ValidationFailed.
    """
    asked = read_rerate(run_id, caller=caller)
    if asked.result is None or asked.kind != DRY_RUN or not asked.is_whole or not asked.counts.get("changed"):
        raise RerateNotApplicable
    if asked.needs_second_person and asked.is_of(caller):
        raise SecondPersonNeeded
    wrong = {"confirm": ["differs"]} if typed.strip() != asked.question.period else {}
    wrong |= {} if reason.strip() and "\x00" not in reason else {"reason": ["required"]}
    if wrong:
        raise ValidationFailed(errors=wrong)
    arguments = asked.question.arguments(caller.organization)
    arguments += ["--apply", f"--confirm={asked.result['token']}", f"--reason={reason.strip()}"]
    try:
        started = start_command(JOB, arguments, caller=caller, slot=_slot(run_id))
    except IntegrityError:
        return JobRun.objects.get(job=JOB, slot=_slot(run_id)).pk
    sums = [{one["currency"]: one[when] for one in asked.items("total")} for when in ("old", "new")]
    record_act(
        caller, "rerate.apply", target=("jobrun", started), change=(sums[0], sums[1]), reason=reason.strip(),
        address=address,
    )  # fmt: skip
    return started


def read_rerate(run_id: int, *, caller: Caller) -> Rerate:
    """A run about the caller's organisation, with what it told. Raises RerateNotFound."""
    row = JobRun.objects.filter(pk=run_id, job=JOB).first()
    question = question_of(row.arguments, organization=caller.organization) if row else None
    if row is None or question is None:
        raise RerateNotFound
    return Rerate(row, question, find_result(run_id, SUMMARY))


def find_applied(asked: Rerate, *, caller: Caller) -> Rerate | None:
    """The run that applied, or is applying, this dry run; without what it told."""
    row = JobRun.objects.filter(job=JOB, slot=_slot(asked.row.pk)).first()
    question = question_of(row.arguments, organization=caller.organization) if row else None
    return None if row is None or question is None else Rerate(row, question)


def read_rows(asked: Rerate) -> list[Item]:
    """Everything that the run told. Raises RerateNotFound when it is no longer kept."""
    rows: list[Item] | None = find_result(asked.row.pk, ROWS)
    if rows is None:
        raise RerateNotFound
    return rows


def recent(organization: str) -> list[Rerate]:
    """The organisation's last runs, the latest first."""
    rows = JobRun.objects.filter(job=JOB).order_by("-started_at").defer("log")[:LOOKED_AT]
    found = ((row, question_of(row.arguments, organization=organization)) for row in rows)
    return [Rerate(row, question) for row, question in found if question is not None][:RECENT_MAX]


def subject_of_run(run_id: int) -> Subject | None:
    """The page of a run, and how a worker is called to it again; None for one from the command line."""
    row = JobRun.objects.filter(pk=run_id, job=JOB).first()
    named = [one.partition("=")[2] for one in row.arguments if one.startswith("--organization=")] if row else []
    question = question_of(row.arguments, organization=named[0]) if row is not None and named else None
    if row is None or question is None or not row.started_by:
        return None
    found = Rerate(row, replace(question, reason=""))
    resumers = APPLIERS if found.kind == APPLIED else ACTORS
    return Subject(found.address, resume=lambda: ring(run_id), resumers=resumers)


def _slot(dry_run_id: int) -> str:
    """A dry run is applied once."""
    return f"dry run {dry_run_id}"
