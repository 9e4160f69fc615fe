"""Charges that were made anew at the counter: their call records take the new cost.

The counter leaves an event `use.repriced` in the transaction that replaces a charge. A sweep looks at the events since
the last one that was surely seen - runs on record say which - and compares each use's cost with its call record's:
what is equal already is left alone, so an event may be looked at any number of times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from billing_platform import clock
from billing_platform.models import JobRun
from billing_platform.runs import job_run
from cdr import history
from cdr.records import CallRow, read_rows, record_columns, update_records

JOB, TOPIC = "take_repriced", "use.repriced"
THROUGH = "through"  # in a run's counts: every event up to this id was seen
BATCH = 500
SETTLED_AFTER = timedelta(minutes=10)  # younger events may still be joined by some with smaller ids
SEEN_AT_LEAST = 20_000  # events of all kinds; so far a sweep looks without a run on record
RINGING_MAX = timedelta(days=1)  # a use begins with the answer, cut to the second; its record with the call
WARNING = "repriced"


@dataclass(frozen=True, slots=True)
class _Use:
    """A use as it is charged now."""

    id: int
    cost: Decimal
    currency: str


def take_repriced() -> int:
    """Take over new costs; how many call records changed. Raises RecordChanged when one was written meanwhile."""
    seen = _seen()
    newest = _settled_through(seen)
    changed, after = 0, seen
    while events := _events(after):
        changed += _take([use_id for _event, use_id in events])
        after = events[-1][0]
    if changed or newest - seen > SEEN_AT_LEAST:
        with job_run(JOB) as run:
            run.counts.update({THROUGH: newest, "changed": changed})
    return changed


def _seen() -> int:
    runs = JobRun.objects.filter(job=JOB, state=JobRun.State.DONE).order_by("-started_at")
    counts = runs.values_list("counts", flat=True).first()
    return int(counts[THROUGH]) if counts else 0


def _settled_through(seen: int) -> int:
    """The newest event that no later commit can come before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(id), %(seen)s) FROM billing_platform_outboxevent"
            " WHERE id > %(seen)s AND created_at < %(settled)s",
            {"seen": seen, "settled": clock.now() - SETTLED_AFTER},
        )
        return int(cursor.fetchone()[0])


def _events(after: int) -> list[tuple[int, int]]:
    """Id and service record of the next events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, subject::bigint FROM billing_platform_outboxevent WHERE id > %s AND topic = %s"
            " ORDER BY id LIMIT %s",
            [after, TOPIC, BATCH],
        )
        return [(row[0], row[1]) for row in cursor.fetchall()]


@transaction.atomic(durable=True)  # the records and what follows from their cost
def _take(use_ids: Sequence[int]) -> int:
    rows = _differing(use_ids)
    if rows:
        update_records(rows)
        history.record_settled(rows, [], at=clock.now())
    return len(rows)


def _differing(use_ids: Sequence[int]) -> list[CallRow]:
    """The call records of these uses that show another cost, with the cost of now."""
    uses, starts = _read_uses(use_ids)
    if not uses:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {record_columns('call_records')} FROM call_records"  # noqa: S608  constant columns
            " WHERE id = ANY(%s) AND start_time BETWEEN %s AND %s AND billed ORDER BY id",
            [list(uses), min(starts) - RINGING_MAX, max(starts) + timedelta(seconds=1)],
        )
        rows = read_rows(cursor.fetchall())
    differing = []
    for row in rows:
        use = uses[row.id]
        if row.service_record_id == use.id and (row.cost, row.currency) != (use.cost, use.currency):
            row.cost, row.currency = use.cost, use.currency
            row.warnings = ",".join(dict.fromkeys([*filter(None, row.warnings.split(",")), WARNING]))[:300]
            differing.append(row)
    return differing


def _read_uses(use_ids: Sequence[int]) -> tuple[dict[int, _Use], list[datetime]]:
    """By call record the use that charged it, and when the uses began. Other programs' uses name no record of ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT record_ref::bigint, service_record_id, cost, currency, start_at FROM counter_use_explanations"
            " WHERE service_record_id = ANY(%s) AND record_ref ~ '^[0-9]{1,18}$'",
            [list(use_ids)],
        )
        found = cursor.fetchall()
    return {row[0]: _Use(*row[1:4]) for row in found}, [row[4] for row in found]
