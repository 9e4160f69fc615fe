"""Doorbells and beat entries of this room: they only find and go on."""

from celery import shared_task

from rating import calendar_alert
from rating.importing import jobs as import_jobs

CHECK_SECONDS = 600  # the largest file allowed takes a minute


@shared_task(time_limit=CHECK_SECONDS, soft_time_limit=CHECK_SECONDS - 10)
def check_import_task(import_id: int) -> None:
    import_jobs.check_import(import_id)


@shared_task
def ring_for_waiting_imports_task() -> None:
    import_jobs.ring_for_waiting()


@shared_task
def expire_imports_task() -> None:
    import_jobs.expire_imports()


@shared_task
def watch_calendar_task() -> None:
    """Once a day: is the official notice of the next year due and missing?"""
    calendar_alert.announce_missing_notice()
