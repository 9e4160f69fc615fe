"""Placing a callback: screen, intend, hold, ask the platform, note its answer. Each step may be repeated.

Promise: one call per request key; nobody is called without a hold (or a counted unchecked grant); a platform that
did not answer is never asked to place again; no network inside a transaction. Amounts in the account's currency.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from billing_platform import clock, doorbell, metrics
from billing_platform.errors import InProgress, PlatformError
from billing_platform.failpoints import failpoint
from callcontrol import numbers, outages, pending
from callcontrol.charge_check import GATE_SECONDS, Charge
from callcontrol.errors import GateRefused, Interrupted, ProviderError
from callcontrol.models import Callback
from callcontrol.models.calls import OVER, RANKS, State
from callcontrol.moves import ours, raise_state, write_history
from callcontrol.platforms import Platform, platforms_for
from callcontrol.platforms.adapter import Answer, Order, Placement
from callcontrol.screening import Parties, screen, take_tokens
from callcontrol.slots import take_slot
from callcontrol.statuses import record_accepted
from callcontrol.wishes import CallWish, Placer
from counter import client
from counter.errors import REFUSALS, CounterError, CounterUnavailable
from counter.uses import CallFacts, StartReceipt, UseRequest

PLAN_SECONDS = 7200  # the longest call where nobody names a limit
GRACE = timedelta(minutes=15)
HOLD_MAX = timedelta(hours=24)
FIRST_ASK_SECONDS = 1
NOBODY_CALLED = Q(rank__lte=RANKS[State.QUEUED])
TRY_ANOTHER = frozenset({Answer.NOT_SENT, Answer.NO_CAPACITY})


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a call before money does. `step` is the platform's unit."""

    seconds: int
    reason: str
    step: int


def call_limits(wish: CallWish, platform: Platform) -> Limits:
    """The smallest of the caller's wish, the platform's bound and the plan's default."""
    bounds = [(wish.max_seconds, "requested"), (platform.max_seconds, "provider"), (PLAN_SECONDS, "plan")]
    seconds, reason = min((bound, why) for bound, why in bounds if bound)
    return Limits(seconds, reason, platform.adapter.max_seconds_step)


def request_key_of(placer: Placer, key: str) -> str | None:
    """The key under which one request makes one call; None without an Idempotency-Key."""
    if not key:
        return None
    return hashlib.sha256("\0".join((placer.organization, placer.actor, key)).encode()).hexdigest()


def place_call(wish: CallWish, placer: Placer, *, charge: Charge, call_type: str, request_key: str | None) -> str:
    """Place one call and answer its id, once per request key. Raises the refusals of this room and of the counter."""
    known = Callback.objects.filter(request_key=request_key).first() if request_key else None
    if known is not None:
        return _again(known)
    at = clock.now()
    parties = screen(wish, placer, at=at)
    take_tokens(parties, placer)
    platforms = platforms_for(placer.organization)
    if not platforms:
        raise ProviderError(provider="", provider_code="no_platform")
    limits = call_limits(wish, platforms[0])
    call = _draft(wish, placer, parties, charge=charge, at=at)
    call.call_type, call.request_key = call_type, request_key
    call.hold_expires_at = hold_expiry(at, ring_timeout=wish.ring_timeout, seconds=limits.seconds)
    _record_intent(call, charge)
    failpoint("callcontrol.calling.after_intent")
    _hold(call, limits)
    _send(call, platforms)
    return call.reference


def hold_expiry(at: datetime, *, ring_timeout: int, seconds: int) -> datetime:
    """Until when the money of a call is held."""
    return at + min(timedelta(seconds=2 * ring_timeout + seconds) + GRACE, HOLD_MAX)


def _again(call: Callback) -> str:
    """The first answer to this key again. Raises InProgress while the first request runs."""
    if call.state == State.CREATED:
        raise InProgress
    if call.state == State.FAILED and call.refusal == ProviderError.code:
        raise ProviderError(provider=call.provider, provider_code=call.provider_code)
    if call.state == State.FAILED and call.refusal:
        raise GateRefused(REFUSALS.get(call.refusal, CounterError)())
    return call.reference


def _draft(wish: CallWish, placer: Placer, parties: Parties, *, charge: Charge, at: datetime) -> Callback:
    return Callback(
        reference=f"cb_{secrets.token_hex(10)}", organization=placer.organization, application=placer.application,
        agent_id=parties.agent_id, placed_by=placer.actor, accno=charge.accno, label=charge.label,
        agent_number=parties.agent.raw, agent_key=parties.agent.key, customer_number=parties.customer.raw,
        customer_key=parties.customer.key, display_to_customer=parties.display_to_customer,
        display_to_agent=parties.display_to_agent, dial_first=wish.dial_first, ring_timeout=wish.ring_timeout,
        record=wish.record, warn_before_seconds=wish.warn_before_seconds, requested_seconds=wish.max_seconds,
        user_data=wish.user_data, created_at=at, updated_at=at,
    )  # fmt: skip


# --- the steps --------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)  # the row and the slots that it occupies appear together
def _record_intent(call: Callback, charge: Charge) -> None:
    """Step 1. Raises ConcurrencyLimit, InProgress (the same key at the same moment)."""
    policy = outages.policy_of(call.organization)
    if charge.unchecked is not None:
        call.granted_unchecked, call.unchecked_policy_id = True, charge.unchecked.policy_id
        call.max_seconds = charge.unchecked.seconds_max
        charge.unchecked.given_back = True  # this call counts for itself from here on
    try:
        with transaction.atomic():
            call.save(force_insert=True)
    except IntegrityError:
        raise InProgress from None
    take_slot(
        call.organization, call.agent_key, organization_max=policy.live_calls_max, agent_max=policy.live_calls_per_agent
    )
    write_history(call.pk, State.CREATED, ours(), raised=True)


def _hold(call: Callback, limits: Limits) -> None:
    """Steps 2 and 3: money for the whole call, then `queued`; or `failed`, and the refusal is raised."""
    if call.granted_unchecked:
        _queue_unchecked(call, limits, seconds_max=call.max_seconds or limits.seconds)
        return
    try:
        with client.within(GATE_SECONDS):
            receipt = client.start_service(use_request(call, limits))
    except CounterUnavailable as silence:
        _hold_unheard(call, limits, silence)
    except CounterError as refusal:
        record_failure(call, refusal, release=False)
        raise GateRefused(refusal) from refusal
    else:
        _record_queued(call, limits, receipt)


def use_request(call: Callback, limits: Limits) -> UseRequest:
    """What the counter is asked, always the same for the same call."""
    facts = CallFacts(caller=call.agent_number, called=call.customer_number, call_type=call.call_type)
    return UseRequest(
        call.accno, call.label, call.reference, start=call.created_at, organization=call.organization,
        application=call.application, expire=call.hold_expires_at, call=facts, max_seconds=limits.seconds,
        ring_timeout=call.ring_timeout, step=limits.step,
    )  # fmt: skip


def _hold_unheard(call: Callback, limits: Limits, silence: CounterUnavailable) -> None:
    """The hold is unknown: go on by the organisation's policy, or fail and release whatever is held."""
    try:
        grant = outages.grant_without_counter(call.organization, call.label)
    except CounterUnavailable:
        record_failure(call, silence, release=True)
        raise GateRefused(silence) from silence
    live = Callback.objects.filter(pk=call.pk, rank__lt=OVER)
    if live.update(granted_unchecked=True, unchecked_policy_id=grant.policy_id) != 1:
        grant.give_back()
        raise Interrupted
    _queue_unchecked(call, limits, seconds_max=grant.seconds_max)


def _queue_unchecked(call: Callback, limits: Limits, *, seconds_max: int) -> None:
    seconds = min(seconds_max, limits.seconds) // limits.step * limits.step
    _move_to_queued(call, max_seconds=max(seconds, limits.step), limit_reason="unchecked")


def _record_queued(call: Callback, limits: Limits, receipt: StartReceipt) -> None:
    reason = limits.reason if receipt.limit_reason == "requested" else receipt.limit_reason
    _move_to_queued(
        call, max_seconds=receipt.max_seconds or limits.seconds, limit_reason=reason or limits.reason,
        hold_amount=receipt.hold, currency=receipt.currency, hold_expires_at=receipt.expire,
    )  # fmt: skip


@transaction.atomic(durable=True)  # the limit that the platform will be told is stored before it is told
def _move_to_queued(call: Callback, **changes: object) -> None:
    """Step 3. Raises Interrupted when the sweeper gave this call up meanwhile."""
    if not raise_state(call.pk, State.QUEUED, ours(), **changes):
        raise Interrupted
    call.refresh_from_db()


def record_failure(
    call: Callback, refusal: PlatformError, *, release: bool, still: Q = NOBODY_CALLED, **changes: object
) -> None:
    """The call ends before anybody was called, while `still` holds. A retryable refusal gives the request key back."""
    if refusal.retryable:
        changes["request_key"] = None
    pending.deliver(_fail(call, refusal.code, release=release, still=still, changes=changes))


@transaction.atomic(durable=True)  # state, slot and the intent to release move together
def _fail(call: Callback, code: str, *, release: bool, still: Q, changes: dict[str, object]) -> list[int]:
    if not Callback.objects.select_for_update().filter(still, pk=call.pk).exists():
        return []  # it went on meanwhile
    if not raise_state(call.pk, State.FAILED, ours(code), refusal=code, **changes) or not release:
        return []
    return [pending.keep_release(call.accno, call.label, reference=call.reference, organization=call.organization)]


def _send(call: Callback, platforms: list[Platform]) -> None:
    """Steps 4 and 5, on the next platform only when nobody was reached or there was no room. Raises ProviderError."""
    assert call.max_seconds is not None
    able = [
        platform for platform in platforms
        if not platform.max_seconds or platform.max_seconds >= call.max_seconds
        if call.max_seconds % platform.adapter.max_seconds_step == 0
    ]  # fmt: skip
    placement = Placement(Answer.REFUSED, code="no_platform")
    for platform in able:
        call.provider = platform.account.code
        _record_sending(call)
        started = time.perf_counter()
        placement = platform.adapter.place(platform.account, order_of(call))
        metrics.callback_requests.labels(call.provider, placement.answer.value).inc()
        metrics.callback_duration.labels(call.provider, placement.answer.value).observe(time.perf_counter() - started)
        if placement.answer not in TRY_ANOTHER:
            break
    failpoint("callcontrol.calling.after_platform")
    if placement.answer == Answer.ACCEPTED:
        record_accepted(call.pk, provider_call_id=placement.provider_call_id)
    elif placement.answer == Answer.UNKNOWN:
        record_unknown(call.pk, detail=placement.code)
    else:
        refusal = ProviderError(provider=call.provider, provider_code=placement.code)
        record_failure(call, refusal, release=True, provider_code=placement.code[:64])
        raise refusal


def _record_sending(call: Callback) -> None:
    """From here on the platform may be calling. Raises Interrupted when the sweeper gave this call up meanwhile."""
    queued = Callback.objects.filter(pk=call.pk, state=State.QUEUED)
    if queued.update(provider=call.provider, placed_at=clock.now()) != 1:
        raise Interrupted


def order_of(call: Callback) -> Order:
    """What the platform is told: our id, never the integrator's text."""
    return Order(
        reference=call.reference, agent_number=numbers.dialled(numbers.read(call.agent_number)),
        customer_number=numbers.dialled(numbers.read(call.customer_number)), display_to_agent=call.display_to_agent,
        display_to_customer=call.display_to_customer, max_seconds=call.max_seconds or 0,
        ring_timeout=call.ring_timeout, warn_before_seconds=call.warn_before_seconds, dial_first=call.dial_first,
        record=call.record,
    )  # fmt: skip


@transaction.atomic(durable=True)  # the state and the moment of the first question stand together
def record_unknown(call_id: int, *, detail: str, seconds: int = FIRST_ASK_SECONDS) -> None:
    """The platform may be calling: never place again, ask. An event that came first says more than this."""
    queued = Callback.objects.filter(pk=call_id, rank=RANKS[State.QUEUED], state=State.QUEUED)
    moved = queued.update(
        state=State.UNKNOWN, updated_at=clock.now(), next_ask_at=clock.now() + timedelta(seconds=seconds), asks=0
    )
    if moved:
        write_history(call_id, State.UNKNOWN, ours(detail), raised=True)
        transaction.on_commit(lambda: _ring(call_id, seconds))


def _ring(call_id: int, seconds: int) -> None:
    """Only a doorbell: the sweeper finds the row by `next_ask_at`."""
    doorbell.ring("callcontrol.tasks.ask_platform_task", call_id, after_seconds=seconds)
