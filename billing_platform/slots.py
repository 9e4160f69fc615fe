"""Slots of the beat table: one row a job says which slot ran last, so that two beats run each slot once.

One row is updated in place (a run every two seconds leaves no history); runs that people ask about write a JobRun of
their own. Plain SQL, because Celery loads this before the models are there.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection

from billing_platform import clock

ABANDONED_AFTER = timedelta(seconds=61)  # longer than the hard time limit of a task
MISSED = 3  # periods without a run: nobody ticks, or nobody works
PERIOD_LEAST = timedelta(seconds=10)  # a busy worker may let a shorter one slip
WARMING_UP = timedelta(seconds=60)  # beat and worker start beside the process that asks
_started = time.monotonic()


def claim_slot(job: str, *, slot: int) -> bool:
    """Is this slot mine to run? Once per slot, except that a slot whose run died may be taken again after 61 s."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_platform_beatslot AS last (job, slot, claimed_at) VALUES (%(job)s, %(slot)s, %(at)s)
            ON CONFLICT (job) DO UPDATE SET slot = EXCLUDED.slot, claimed_at = EXCLUDED.claimed_at, finished_at = NULL
             WHERE last.slot < EXCLUDED.slot
                OR (last.slot = EXCLUDED.slot AND last.finished_at IS NULL AND last.claimed_at < %(abandoned)s)
            RETURNING slot
            """,
            {"job": job, "slot": slot, "at": at, "abandoned": at - ABANDONED_AFTER},
        )
        return cursor.fetchone() is not None


def finish_slot(job: str, *, slot: int) -> None:
    """The slot's run ended well."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_platform_beatslot SET finished_at = %s WHERE job = %s AND slot = %s",
            [clock.now(), job, slot],
        )


def running_since() -> datetime:
    """When this process began, by the clock of the house."""
    return clock.now() - timedelta(seconds=time.monotonic() - _started)


def find_silent(periods: Mapping[str, int], *, at: datetime, since: datetime) -> list[str]:
    """The jobs (with their period in seconds) that nobody ran for three periods, the most frequent ones first.

    One that never ran, or last ran before `since` (when the process that asks began), is given a minute more.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT job, claimed_at FROM billing_platform_beatslot")
        last: dict[str, datetime] = dict(cursor.fetchall())
    silent = []
    for job, seconds in sorted(periods.items(), key=lambda entry: entry[1]):
        patience = MISSED * max(timedelta(seconds=seconds), PERIOD_LEAST)
        begins = since + max(patience, WARMING_UP)
        if at > max(last.get(job, since) + patience, begins):
            silent.append(job)
    return silent
