"""Tasks of finance: each finds what is due and calls one function."""

from celery import shared_task

from billing_platform import clock
from finance import alerts


@shared_task
def tell_alerts_task() -> None:
    alerts.tell_alerts(at=clock.now())
