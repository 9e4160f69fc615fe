"""What others ask this room about its health: invariant 6, the sweepers, the cards of the first admin page."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import connection
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.celery import BEAT
from billing_platform.dashboard import Card
from billing_platform.health import Part
from billing_platform.models import Role
from billing_platform.oracle import EXAMPLES_MAX, Finding, since
from billing_platform.slots import find_silent, running_since
from cdr.models import CallRecord, OpenDelivery, ReviewItem
from cdr.partitions import TABLES, default_is_empty

NEVER_SILENT = 6
QUIET_AFTER = timedelta(minutes=5)
LATE_AFTER = timedelta(minutes=5)
COUNTED_MAX = 2000
NAMED_MAX = 3
READERS = frozenset({Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value})
State = CallRecord.State

_SILENT_DELIVERIES = "SELECT 'delivery ' || delivery_id FROM cdr_opendelivery WHERE received_at < %(quiet)s"
# Uncharged records are few and indexed: all of them are looked at in every run.
_SILENT_OPEN = """
SELECT 'record ' || id FROM call_records
 WHERE NOT billed AND NOT state = 'filtered' AND received_at < %(quiet)s
   AND NOT (state IN ('pending', 'waiting', 'orphan') AND next_bill_at IS NOT NULL)
   AND state NOT IN ('review', 'quarantined')
"""
_SILENT_SETTLED = """
SELECT 'record ' || id FROM call_records
 WHERE (billed OR state = 'filtered') AND received_at < %(quiet)s
   AND start_time >= COALESCE(%(since)s, '-infinity'::timestamptz)
   AND NOT (state = 'charged' AND billed AND service_record_id IS NOT NULL)
   AND NOT (state = 'filtered' AND NOT billed AND rule <> '')
"""


def record_findings() -> Iterable[Finding]:
    """Invariant 6: no delivery and no record is silent."""
    since_instant = since()
    window = {
        "quiet": clock.now() - QUIET_AFTER,
        "since": since_instant - timedelta(days=1) if since_instant is not None else None,
    }
    silent: list[str] = []
    for query in (_SILENT_DELIVERIES, _SILENT_OPEN, _SILENT_SETTLED):
        with connection.cursor() as cursor:
            cursor.execute(query, window)
            silent += [name for (name,) in cursor.fetchall()]
    return [Finding(NEVER_SILENT, len(silent), tuple(silent[:EXAMPLES_MAX]))]


def ready_part() -> Part:
    """Do beat and worker tick, is what is due taken up, and does the next month have its partition?"""
    at = clock.now()
    silent = find_silent(BEAT, at=at, since=running_since())
    if silent:
        return Part("sweepers", ok=False, degraded=True, detail=_silence(silent))
    late = at - LATE_AFTER
    if OpenDelivery.objects.filter(due_at__lt=late).exists():
        return Part("sweepers", ok=False, degraded=True, detail="deliveries wait for their records")
    overdue = CallRecord.objects.filter(billed=False, state__in=(State.WAITING, State.ORPHAN), next_bill_at__lt=late)
    if overdue.exclude(state=State.FILTERED).exists():
        return Part("sweepers", ok=False, degraded=True, detail="records wait beyond their deadline")
    full = [table for table in TABLES if not default_is_empty(table)]
    if full:
        return Part("sweepers", ok=False, degraded=True, detail=f"rows outside of any month: {', '.join(full)}")
    return Part("sweepers", ok=True)


def _silence(jobs: Sequence[str]) -> str:
    names = ", ".join(job.rpartition(".")[2].removesuffix("_task") for job in jobs[:NAMED_MAX])
    return f"nobody runs {names}" + (f" and {len(jobs) - NAMED_MAX} more" if len(jobs) > NAMED_MAX else "")


def cards(caller: Caller) -> list[Card]:
    """Failed and pending charges, and what waits for a person."""
    if not READERS & caller.roles:
        return []
    review, pending = _counted(State.REVIEW), _counted(State.PENDING)
    items = ReviewItem.objects.filter(state=ReviewItem.State.OPEN)[: COUNTED_MAX + 1].count()
    records = "/admin/cdr/callrecord/?state__exact="
    return [
        Card("charges_failed", _("Failed charges"), _shown(review), f"{records}review", alarm=review > 0),
        Card("charges_pending", _("Charges pending"), _shown(pending), f"{records}pending", alarm=pending > 100),
        Card("review_items", _("To be reviewed"), _shown(items), "/admin/cdr/reviewitem/?state__exact=open"),
    ]


def _counted(state: str) -> int:
    rows = CallRecord.objects.filter(billed=False, state=state).exclude(state=State.FILTERED)
    return rows[: COUNTED_MAX + 1].count()


def _shown(number: int) -> str:
    return f"{COUNTED_MAX}+" if number > COUNTED_MAX else str(number)
