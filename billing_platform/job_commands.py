"""Commands that pages start by name: recorded as a run at once, done by a worker with the arguments that stand there.

A page may not import the room whose command it is. What the worker does is what the command line does; under the run's
own id, so that a run that was cut off goes on as the same run.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.core.management import CommandError, get_commands, load_command_class
from django.db import transaction

from billing_platform import clock, doorbell
from billing_platform.auth import Caller
from billing_platform.errors import PlatformError, ValidationFailed
from billing_platform.jobs import PlatformCommand
from billing_platform.models import JobRun
from billing_platform.registry import JOB_COMMANDS
from billing_platform.runs import open_run, taken_up

TASK = "billing_platform.tasks.run_command_task"
WAITS = timedelta(seconds=15)  # then the doorbell was not heard
AT_ONCE = 50


@transaction.atomic  # the run is there when the doorbell rings
def start_command(job: str, arguments: Sequence[str], *, caller: Caller, slot: str | None = None) -> int:
    """Record a run of the command for a worker, and ring; its id. A slot is taken once.

    Raises ValidationFailed for arguments that the command does not know, IntegrityError for a slot that is taken.
    """
    _read_options(_command(job), arguments)
    run_id = open_run(job, arguments=list(arguments), started_by=caller.actor)
    if slot is not None:
        JobRun.objects.filter(pk=run_id).update(slot=slot)
    ring(run_id)
    return run_id


def ring(run_id: int) -> None:
    """Call a worker to a run on record, once what is being written is there."""
    transaction.on_commit(lambda: doorbell.ring(TASK, run_id))


def run_command(run_id: int) -> None:
    """Do what the run on record says; nothing when another worker is at it, or it is over. Its row tells the end.

    A run that failed is over: whoever asked for it was told so, and a doorbell heard late begins nothing again.
    """
    row = JobRun.objects.filter(pk=run_id, job__in=JOB_COMMANDS).first()
    if row is None:
        return
    command = _command(row.job)
    with suppress(PlatformError), taken_up(run_id, once=True) as run:  # the run's row has the refusal
        options = _read_options(command, row.arguments)
        run.dry_run = command.moves_money and not options["apply"]
        command.work(run, options)


def ring_for_waiting() -> int:
    """Ring again for runs that no worker has heard of; how many."""
    late = clock.now() - WAITS
    waiting = JobRun.objects.filter(state=JobRun.State.WAITING, job__in=JOB_COMMANDS, started_at__lt=late)
    ids = list(waiting.order_by("id").values_list("id", flat=True)[:AT_ONCE])
    for run_id in ids:
        doorbell.ring(TASK, run_id)
    return len(ids)


def _command(job: str) -> PlatformCommand:
    command = load_command_class(get_commands()[job], job)
    assert isinstance(command, PlatformCommand)  # named by our own pages
    return command


def _read_options(command: PlatformCommand, arguments: Sequence[str]) -> dict[str, Any]:
    try:
        return vars(command.create_parser("manage.py", command.job).parse_args(list(arguments)))
    except CommandError as refused:
        raise ValidationFailed(str(refused)) from refused
