"""Calls whose outcome hangs: ask the platform by our reference, never place again; end what nobody will end."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from billing_platform import clock, doorbell
from callcontrol import pending
from callcontrol.calling import record_failure, record_unknown
from callcontrol.errors import Interrupted
from callcontrol.models import Callback, CallbackEvent
from callcontrol.models.calls import OVER, RANKS, TALKING, State
from callcontrol.moves import Source, ours, raise_state
from callcontrol.platforms import find_platform
from callcontrol.platforms.adapter import PlatformSilent, StatusEvent
from callcontrol.statuses import accept_event, record_accepted

BATCH = 500
SECONDS_BETWEEN = (1, 5, 15, 60)  # the pauses before each question; then each minute
STUCK = timedelta(seconds=30)
ASKING = timedelta(seconds=30)  # nobody else asks about a call meanwhile
AHEAD = timedelta(milliseconds=500)  # another process planned the question; its clock may go before ours by as much
BEFORE_PLATFORM = Q(state=State.CREATED) | Q(state=State.QUEUED, placed_at__isnull=True)
WITHOUT_RECORD = timedelta(minutes=10)
EVENTS_KEPT = timedelta(hours=24)


def sweep_callbacks(*, limit: int = BATCH) -> dict[str, int]:
    """One round over everything that hangs; counts by what was done."""
    return {
        "interrupted": _fail_interrupted(limit),
        "unknown": _mark_unknown(limit),
        "asked": _ask_due(limit),
        "expired": _expire(limit),
        "without_record": _review_without_record(limit),
        "events_removed": _remove_waiting_events(limit),
    }


def ask_platform(call_id: int) -> bool:
    """Ask about one call that is due; False when it is not (any more), or the platform said nothing."""
    at = clock.now()
    due = Callback.objects.filter(pk=call_id, rank__lt=OVER, next_ask_at__lte=at + AHEAD)
    if due.update(next_ask_at=at + ASKING) != 1:
        return False
    call = Callback.objects.get(pk=call_id)
    found = _found(call)
    if found is not None:
        _accept_found(call, found)
    _plan_next_question(call)
    return found is not None


def _found(call: Callback) -> StatusEvent | None:
    platform = find_platform(call.provider)
    if platform is None or not platform.adapter.can_find:
        return None
    try:
        return platform.adapter.find(platform.account, call.reference, call.provider_call_id or "")
    except PlatformSilent:
        return None


def _accept_found(call: Callback, found: StatusEvent) -> None:
    """The platform has it: its id, and its state where that is more than we know."""
    if call.state == State.UNKNOWN or call.provider_call_id is None:
        record_accepted(call.pk, provider_call_id=found.provider_call_id)
    if RANKS[State(found.state)] > call.rank:
        accept_event(call.provider, found, source=Source.ASKED)


def _plan_next_question(call: Callback) -> None:
    """The next pause; a call that was found is asked about again only when it should be over."""
    asks = call.asks + 1
    seconds = SECONDS_BETWEEN[min(asks, len(SECONDS_BETWEEN) - 1)]
    at = clock.now()
    planned = Callback.objects.filter(pk=call.pk, rank__lt=OVER, next_ask_at__lte=at + ASKING)
    if planned.update(next_ask_at=at + timedelta(seconds=seconds), asks=asks) and seconds < STUCK.seconds:
        doorbell.ring("callcontrol.tasks.ask_platform_task", call.pk, after_seconds=seconds)


def _fail_interrupted(limit: int) -> int:
    """Calls that stopped before the platform was asked: nobody was called, whatever is held goes back."""
    rows = Callback.objects.filter(BEFORE_PLATFORM, updated_at__lt=clock.now() - STUCK).order_by("created_at")
    calls = list(rows[:limit])
    for call in calls:
        record_failure(call, Interrupted(), release=True, still=BEFORE_PLATFORM)
    return len(calls)


def _mark_unknown(limit: int) -> int:
    """Calls that stopped while the platform was asked: it may be calling."""
    rows = Callback.objects.filter(
        state=State.QUEUED, provider_call_id__isnull=True, placed_at__lt=clock.now() - STUCK
    ).order_by("created_at")
    ids = list(rows.values_list("id", flat=True)[:limit])
    for call_id in ids:
        record_unknown(call_id, detail="interrupted", seconds=0)
    return len(ids)


def _ask_due(limit: int) -> int:
    rows = Callback.objects.filter(rank__lt=OVER, next_ask_at__lte=clock.now()).order_by("next_ask_at")
    return sum(ask_platform(call_id) for call_id in rows.values_list("id", flat=True)[:limit])


def _expire(limit: int) -> int:
    """Holds that ran out under calls that were never seen answered; talking ones are the call records' to complete."""
    rows = Callback.objects.filter(rank__lt=TALKING, hold_expires_at__lte=clock.now()).order_by("created_at")
    ids = list(rows.values_list("id", flat=True)[:limit])
    released = [row for call_id in ids for row in _expire_one(call_id)]
    pending.deliver(released)
    return len(ids)


@transaction.atomic(durable=True)  # the state, the slots and the intent to release move together
def _expire_one(call_id: int) -> list[int]:
    call = Callback.objects.select_for_update(skip_locked=True).filter(pk=call_id, rank__lt=TALKING).first()
    if call is None or not raise_state(call.pk, State.EXPIRED, ours(source=Source.SWEEPER), review="expired"):
        return []
    return [pending.keep_release(call.accno, call.label, reference=call.reference, organization=call.organization)]


def _review_without_record(limit: int) -> int:
    """Calls that ended and whose record nobody has seen: a person looks, a late record takes the mark away again."""
    rows = Callback.objects.filter(
        state=State.ENDED, recorded_at__isnull=True, review="", ended_at__lt=clock.now() - WITHOUT_RECORD
    ).order_by("ended_at")
    ids = list(rows.values_list("id", flat=True)[:limit])
    return Callback.objects.filter(id__in=ids, recorded_at__isnull=True).update(review="no_record")


def _remove_waiting_events(limit: int) -> int:
    """Events whose call never appeared."""
    rows = CallbackEvent.objects.filter(callback__isnull=True, received_at__lt=clock.now() - EVENTS_KEPT)
    ids = list(rows.order_by("received_at").values_list("id", flat=True)[:limit])
    CallbackEvent.objects.filter(id__in=ids, callback__isnull=True).delete()
    return len(ids)
