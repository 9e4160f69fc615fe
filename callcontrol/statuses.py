"""What platforms tell us while a call lives: status events, and the question whether a call may go on.

Face for the webhook door: accept_status, affordable_seconds. Platforms deliver twice and out of order; nothing here
minds. The money of a call never moves for a status event alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q

from billing_platform import clock
from billing_platform.errors import NotFound
from callcontrol.models import Callback, CallbackEvent
from callcontrol.models.calls import OVER, State
from callcontrol.moves import Heard, Source, raise_state, write_history
from callcontrol.platforms import Platform, find_platform
from callcontrol.platforms.adapter import StatusEvent
from counter import client
from counter.errors import CounterError, CounterUnavailable, InsufficientBalance

OVERDUE_SECONDS = 120
AUTH_SECONDS = 1.5  # an answer that is late by more than 2 s is useless
MINUTE = 60
NOT_SERVED = frozenset({"suspended", "closed"})
ASKS_OF_LIVE = 4  # a call that should be over is asked about each minute


@dataclass(frozen=True, slots=True)
class StatusReceipt:
    """What became of an event: `call_id` "" when it waits for its call, `raised` when the call's state moved."""

    call_id: str
    raised: bool


def accept_status(provider_code: str, body: Any) -> StatusReceipt:
    """Take in a status push. Raises NotFound for a platform that we do not know, BodyUnreadable."""
    platform = _platform(provider_code)
    return accept_event(provider_code, platform.adapter.read_status(body), source=Source.PLATFORM)


@transaction.atomic(durable=True)  # the event and the state that it raises are stored together
def accept_event(provider: str, event: StatusEvent, *, source: Source) -> StatusReceipt:
    """Store an event once; raise the state of its call when it says more than is known."""
    heard = _heard(provider, event, source)
    call = find_named(provider, provider_call_id=event.provider_call_id, reference=event.reference)
    if call is None:
        write_history(None, event.state, heard, raised=False)
        return StatusReceipt("", raised=False)
    if call.provider_call_id is None:
        Callback.objects.filter(pk=call.pk, provider_call_id__isnull=True).update(
            provider_call_id=event.provider_call_id
        )
    raised = raise_state(call.pk, State(event.state), heard)
    return StatusReceipt(call.reference, raised)


def find_named(provider: str, *, provider_call_id: str, reference: str) -> Callback | None:
    """Our call behind the names that a platform uses."""
    named = Q(provider_call_id=provider_call_id) | Q(reference=reference or "-", provider_call_id__isnull=True)
    return Callback.objects.filter(named, provider=provider).first()


@transaction.atomic(durable=True)  # the platform's id and the events that came before it belong together
def record_accepted(call_id: int, *, provider_call_id: str) -> None:
    """The platform took the call; when it should be long over, it is asked."""
    call = Callback.objects.select_for_update().get(pk=call_id)
    overdue = (call.max_seconds or 0) + call.ring_timeout + OVERDUE_SECONDS
    changes: dict[str, object] = {"provider_call_id": provider_call_id, "updated_at": clock.now()}
    if call.rank < OVER:
        changes |= {"next_ask_at": clock.now() + timedelta(seconds=overdue), "asks": ASKS_OF_LIVE}
    if call.state == State.UNKNOWN:
        changes["state"] = State.QUEUED
    Callback.objects.filter(pk=call_id).update(**changes)
    _attach_waiting_events(call_id, provider=call.provider, provider_call_id=provider_call_id)


def _attach_waiting_events(call_id: int, *, provider: str, provider_call_id: str) -> None:
    waiting = CallbackEvent.objects.filter(provider=provider, provider_call_id=provider_call_id, callback__isnull=True)
    for event in waiting.select_for_update().order_by("id"):
        raised = raise_state(call_id, State(event.state), Heard(Source.PLATFORM, event.at))
        CallbackEvent.objects.filter(pk=event.pk).update(callback_id=call_id, raised=raised)


def _heard(provider: str, event: StatusEvent, source: Source) -> Heard:
    return Heard(source, event.at, provider, event.provider_call_id, event.identity)


def _platform(code: str) -> Platform:
    platform = find_platform(code)
    if platform is None:
        raise NotFound
    return platform


# --- may it go on? ----------------------------------------------------------------------------------------------------


def affordable_seconds(provider_code: str, body: Any) -> int:
    """Seconds that the call which the platform asks about may last; 0 refuses. One question to the counter.

    Never more than was granted at placing; this call's own hold counts as its money. Raises NotFound, BodyUnreadable.
    """
    named = _platform(provider_code).adapter.read_auth(body)
    call = find_named(provider_code, provider_call_id=named.provider_call_id, reference=named.reference)
    if call is None or call.rank >= OVER or call.cancel_policy or not call.max_seconds:
        return 0
    if call.hold_amount is None:  # granted without a check: within its own bound
        return call.max_seconds
    try:
        with client.within(AUTH_SECONDS):
            return _affordable(call, granted=call.max_seconds, hold=call.hold_amount)
    except CounterUnavailable:
        return call.max_seconds  # its money is held
    except CounterError:
        return 0


def _affordable(call: Callback, *, granted: int, hold: Decimal) -> int:
    """What the account's free money and the call's own hold pay. A sub-account's balance is not told: its hold pays."""
    account = client.query_account(organization=call.organization)
    if account.accno != call.accno:
        verdict = client.usable_service(call.accno, call.label)
        return granted if verdict.usable or verdict.reason == InsufficientBalance.code else 0
    money = account.available + hold
    if account.state in NOT_SERVED or money <= 0:
        return 0
    if money >= hold:
        return granted
    return int(granted * money / hold) // MINUTE * MINUTE
