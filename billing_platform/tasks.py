"""Tasks of floor 0: each finds what is due and calls one function."""

from celery import shared_task

from billing_platform.idempotency import remove_old_answers
from billing_platform.jobs import close_stale_runs
from billing_platform.outbox import relay_outbox


@shared_task
def relay_outbox_task() -> None:
    relay_outbox()


@shared_task
def close_stale_runs_task() -> None:
    close_stale_runs()


@shared_task
def remove_old_answers_task() -> None:
    remove_old_answers()
