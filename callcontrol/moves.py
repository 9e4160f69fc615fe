"""The states of a call only rise. One statement moves, the slots of an ended call are freed with it, the history grows.

Everything here joins the caller's transaction.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing_platform import clock
from callcontrol import outages
from callcontrol.models import Callback, CallbackEvent
from callcontrol.models.calls import FINAL, OVER, RANKS, State
from callcontrol.slots import free_slots

Source = CallbackEvent.Source
PARTY_TIMES = {
    State.BRIDGED: "answered_at",
    State.ENDED: "ended_at",
    State.FAILED: "ended_at",
    State.CANCELLED: "ended_at",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """Why a call moves: who said so, when it happened, and what makes it the same news when it comes again."""

    source: Source
    at: datetime
    provider: str = ""
    provider_call_id: str = ""
    identity: str = ""
    detail: str = ""


def ours(detail: str = "", *, source: Source = Source.OURS) -> Heard:
    """News of our own making."""
    return Heard(source, clock.now(), detail=detail[:128])


def raise_state(call_id: int, to: State, heard: Heard, **changes: Any) -> bool:
    """Move the call up to `to` and write its history; False when its rank is not lower, then nothing else changes."""
    at = clock.now()
    if to in PARTY_TIMES:
        changes.setdefault(PARTY_TIMES[to], heard.at)
    rank = RANKS[to]
    if rank >= OVER:
        changes["next_ask_at"] = None
    rows = Callback.objects.filter(pk=call_id, rank__lt=rank)
    raised = rows.filter(rank__lt=OVER).update(state=to, updated_at=at, **changes) == 1
    if raised and rank >= OVER:
        leave_slots(call_id)
    if not raised and rank == FINAL:
        raised = rows.update(state=to, updated_at=at, **changes) == 1
    if raised or heard.identity:
        write_history(call_id, to, heard, raised=raised)
    return raised


def leave_slots(call_id: int) -> None:
    """The call has just become over: its places are free, also the one under the cap of unchecked calls."""
    organization, agent, policy_id = Callback.objects.values_list(
        "organization", "agent_key", "unchecked_policy_id"
    ).get(pk=call_id)
    free_slots([(organization, agent)])
    if policy_id is not None:
        outages.give_back(policy_id, uses=1)


def write_history(call_id: int | None, state: str, heard: Heard, *, raised: bool) -> bool:
    """Append one event; False when the same one is there already."""
    event = CallbackEvent(
        callback_id=call_id, source=heard.source, provider=heard.provider,
        provider_call_id=heard.provider_call_id or str(call_id or ""), identity=heard.identity or secrets.token_hex(12),
        state=state, raised=raised, detail=heard.detail, at=heard.at, received_at=clock.now(),
    )  # fmt: skip
    return _inserted(event)


def _inserted(event: CallbackEvent) -> bool:
    before = CallbackEvent.objects.filter(
        provider=event.provider, provider_call_id=event.provider_call_id, identity=event.identity
    )
    if before.exists():
        return False
    CallbackEvent.objects.bulk_create([event], ignore_conflicts=True)
    return True
