"""Tasks of this room: each finds what is due and calls one function."""

from celery import shared_task

from callcontrol.pending import deliver, resubmit_pending_uses
from callcontrol.sweeping import ask_platform, sweep_callbacks


@shared_task
def sweep_callbacks_task() -> None:
    sweep_callbacks()


@shared_task
def resubmit_pending_uses_task() -> None:
    resubmit_pending_uses()


@shared_task
def deliver_pending_uses_task(*row_ids: int) -> None:
    deliver(row_ids)


@shared_task
def ask_platform_task(call_id: int) -> None:
    ask_platform(call_id)
