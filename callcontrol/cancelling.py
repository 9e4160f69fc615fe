"""Asking a platform to end a call. A request only: the platform's confirmation, or the call record, ends it."""

from django.db import transaction

from billing_platform import clock
from billing_platform.errors import NotFound
from callcontrol import pending
from callcontrol.errors import BodyInvalid, InvalidState
from callcontrol.models import Callback
from callcontrol.models.calls import OVER, TALKING, State
from callcontrol.moves import ours, raise_state, write_history
from callcontrol.platforms import find_platform
from callcontrol.platforms.adapter import PlatformSilent
from callcontrol.screening import visible_calls
from callcontrol.wishes import Placer

POLICIES = ("always", "not_after_agent_ring", "not_after_agent_answer")


def cancel_call(reference: str, placer: Placer, *, policy: str) -> None:
    """Ask for the end of a live call. Raises NotFound, BodyInvalid, InvalidState (over, not yet there, too late)."""
    call = Callback.objects.filter(visible_calls(placer), reference=reference).first()
    if call is None:
        raise NotFound
    platform = find_platform(call.provider)
    if policy not in POLICIES or (platform is not None and policy not in platform.adapter.cancel_policies):
        raise BodyInvalid(errors={"policy": [", ".join(POLICIES)]})
    if platform is None or call.rank >= OVER or call.provider_call_id is None:
        raise InvalidState(state=call.state)
    _record_request(call, policy, placer)
    try:
        refusal = platform.adapter.cancel(platform.account, call.provider_call_id, policy)
    except PlatformSilent:
        return  # it may end or go on: its events and its record will say
    if refusal is not None:
        Callback.objects.filter(pk=call.pk).update(cancel_policy="", updated_at=clock.now())
        raise InvalidState(state=call.state, provider_code=refusal)
    if not platform.adapter.reports_after_cancel:
        pending.deliver(_finish_silently(call))


@transaction.atomic(durable=True)  # the request and its line in the history
def _record_request(call: Callback, policy: str, placer: Placer) -> None:
    Callback.objects.filter(pk=call.pk).update(cancel_policy=policy, updated_at=clock.now())
    write_history(call.pk, call.state, ours(f"cancel {policy} {placer.actor}"), raised=False)


@transaction.atomic(durable=True)  # state, slots and the intent to release move together
def _finish_silently(call: Callback) -> list[int]:
    """This platform tells nothing after a cancel: ours ends the call; a talk that there was will still be charged."""
    if not raise_state(call.pk, State.CANCELLED, ours()) or call.rank >= TALKING:
        return []
    return [pending.keep_release(call.accno, call.label, reference=call.reference, organization=call.organization)]
