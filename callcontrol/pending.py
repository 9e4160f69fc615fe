"""Charges and releases that the counter has not heard: kept, and said again under the same reference until it has."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from msgspec.structs import replace

from billing_platform import clock
from billing_platform.states import claim
from callcontrol import outages
from callcontrol.models import PendingUse
from counter import client
from counter.errors import CounterError, CounterUnavailable, RecordNotFound, ReferenceClosed
from counter.uses import ServiceUse

BATCH = 200
MINUTES_BEFORE = (1, 5, 15, 60)  # then hourly, without end
Action, State = PendingUse.Action, PendingUse.State


def keep_use(use: ServiceUse, *, error: CounterError) -> None:
    """Store a charge that was not delivered; what the counter refused for good waits for a person."""
    PendingUse.objects.get_or_create(
        action=Action.END, label=use.label, reference=use.providerno,
        defaults={
            "accno": use.accno, "organization": use.organization, "application": use.application,
            "summary": use.summary[:512], "start_at": use.start, "finish_at": use.finish, "count": use.count,
            "state": State.PENDING if error.retryable else State.REVIEW, "last_error": error.code,
            "next_attempt_at": clock.now() + timedelta(minutes=MINUTES_BEFORE[0]),
        },
    )  # fmt: skip


def keep_release(accno: str, label: str, *, reference: str, organization: str) -> int:
    """Store the intent to release what a reference may hold; its row id, for `deliver` after the commit."""
    row, _ = PendingUse.objects.get_or_create(
        action=Action.CANCEL, label=label, reference=reference,
        defaults={"accno": accno, "organization": organization, "next_attempt_at": clock.now()},
    )  # fmt: skip
    return row.pk


def resubmit_pending_uses(*, limit: int = BATCH) -> int:
    """Say what is due again; how many rows were settled. When the counter is away the rest waits."""
    with transaction.atomic():
        due = PendingUse.objects.filter(state=State.PENDING, next_attempt_at__lte=clock.now())
        ids = list(
            due.order_by("next_attempt_at").select_for_update(skip_locked=True).values_list("id", flat=True)[:limit]
        )
        # Another sweeper passes these by while this one asks.
        PendingUse.objects.filter(id__in=ids).update(next_attempt_at=clock.now() + timedelta(minutes=MINUTES_BEFORE[0]))
    return deliver(ids)


def deliver(ids: Sequence[int]) -> int:
    """Say these rows to the counter now; how many are settled. Never raises for the counter's sake."""
    settled = 0
    for row in PendingUse.objects.filter(id__in=ids, state=State.PENDING).order_by("id"):
        try:
            settled += _deliver(row)
        except CounterUnavailable:
            _postpone(row)
            break
    else:
        if ids:
            outages.end_outage()
    return settled


def _deliver(row: PendingUse) -> bool:
    rows = PendingUse.objects.filter(pk=row.pk)
    try:
        _end(row) if row.action == Action.END else _release(row)
    except CounterUnavailable:
        raise
    except CounterError as refusal:
        return claim(rows, PendingUse.TRANSITIONS, State.REVIEW, last_error=refusal.code, attempts=row.attempts + 1)
    return claim(rows, PendingUse.TRANSITIONS, State.DONE, last_error="", attempts=row.attempts + 1)


def _end(row: PendingUse) -> None:
    client.end_service(use_of(row))


def _release(row: PendingUse) -> None:
    """Nothing held, or charged meanwhile: both are fine."""
    try:
        client.cancel_service(row.accno, row.label, providerno=row.reference, reason="not used")
    except (RecordNotFound, ReferenceClosed):
        return


def _postpone(row: PendingUse) -> None:
    minutes = MINUTES_BEFORE[min(row.attempts, len(MINUTES_BEFORE) - 1)]
    PendingUse.objects.filter(pk=row.pk, state=State.PENDING).update(
        attempts=row.attempts + 1, next_attempt_at=clock.now() + timedelta(minutes=minutes),
        last_error=CounterUnavailable.code,
    )  # fmt: skip


def use_of(row: PendingUse) -> ServiceUse:
    """The charge exactly as it was tried first: same content, same key."""
    use = ServiceUse(row.accno, row.label, row.reference, row.start_at, row.finish_at, row.count)
    return replace(use, summary=row.summary, application=row.application, organization=row.organization)
