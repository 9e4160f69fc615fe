"""Doorbells of the counter: find what is due, with a limit."""

from celery import shared_task

from billing_platform import clock
from counter.keeping import expire_uses

SWEEP_LIMIT = 500


@shared_task(name="counter.tasks.expire_uses_task")
def expire_uses_task() -> None:
    """End started uses whose expiry has passed."""
    expire_uses(at=clock.now(), limit=SWEEP_LIMIT)
