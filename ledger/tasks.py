"""Tasks of the ledger: each finds what is due and calls one function."""

from celery import shared_task

from billing_platform import clock
from billing_platform.jobs import job_run
from ledger.audit import JOB, verify_recent
from ledger.funding import expire_lots
from ledger.partitions import count_strays, make_partitions
from ledger.seals import seal_due_days

LOTS_AT_ONCE = 500


@shared_task
def verify_recent_task() -> None:
    with job_run(JOB, arguments=["--recent"]) as run:
        verify_recent(run)


@shared_task
def seal_day_task() -> None:
    with job_run("seal_ledger", exclusive=True) as run:
        run.counts["sealed"] = len(seal_due_days(at=clock.now()))


@shared_task
def make_partitions_task() -> None:
    make_partitions(at=clock.now())
    count_strays()


@shared_task
def expire_lots_task() -> None:
    expire_lots(at=clock.now(), limit=LOTS_AT_ONCE)
