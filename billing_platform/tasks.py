"""Tasks of floor 0: each finds what is due and calls one function."""

from celery import shared_task

from billing_platform import job_commands
from billing_platform.idempotency import remove_old_answers
from billing_platform.jobs import close_stale_runs
from billing_platform.notices import remove_old_notices
from billing_platform.outbox import relay_outbox

COMMAND_SECONDS = 3600  # a month of a million calls takes minutes


@shared_task
def relay_outbox_task() -> None:
    relay_outbox()


@shared_task
def close_stale_runs_task() -> None:
    close_stale_runs()


@shared_task
def remove_old_answers_task() -> None:
    remove_old_answers()


@shared_task(time_limit=COMMAND_SECONDS, soft_time_limit=COMMAND_SECONDS - 10)
def run_command_task(run_id: int) -> None:
    job_commands.run_command(run_id)


@shared_task
def ring_for_waiting_commands_task() -> None:
    job_commands.ring_for_waiting()


@shared_task
def remove_old_notices_task() -> None:
    remove_old_notices()
