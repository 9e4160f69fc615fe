"""Slots of the beat table: one row a job says which slot ran last, so that two beats run each slot once.

One row is updated in place (a run every two seconds leaves no history); runs that people ask about write a JobRun of
their own. Plain SQL, because Celery loads this before the models are there.
"""

from datetime import timedelta

from django.db import connection

from billing_platform import clock

ABANDONED_AFTER = timedelta(seconds=61)  # longer than the hard time limit of a task


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
