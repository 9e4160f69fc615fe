"""Calls that have been, for lists and for states that no simulator holds still."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from billing_platform import clock
from callcontrol.models import Callback, CallbackEvent
from tests.callcontrol.cast import Tenant

_numbers = count(1)


def make_call(
    tenant: Tenant,
    *,
    state: str = "ended",
    customer: str = "13912345678",
    seconds: int | None = None,
    cost: str | None = None,
    at: datetime | None = None,
) -> Callback:
    """A call of the tenant's agent; with `seconds` it was answered and its record is there."""
    number, began = next(_numbers), at or clock.now()
    answered = began + timedelta(seconds=12) if seconds else None
    call = Callback.objects.create(
        reference=f"cb_browser{number}", organization=tenant.organization, agent=tenant.agent, placed_by="person:test",
        call_type="callback", accno=tenant.accno, label="callback", agent_number=tenant.agent.number,
        agent_key=tenant.agent.key, customer_number=customer, customer_key=f"86{customer}", state=state,
        hold_expires_at=began + timedelta(hours=1), provider="simulator",
        provider_call_id=f"browser-{number}", created_at=began, updated_at=began, answered_at=answered, currency="CNY",
        ended_at=began if state == "ended" else None, billable_seconds=seconds,
        recorded_at=None if seconds is None else began, cost=None if cost is None else Decimal(cost),
        cause="normal_clearing" if seconds else "no_answer",
    )  # fmt: skip
    CallbackEvent.objects.create(
        callback=call, source="ours", provider_call_id=str(call.pk), identity=f"browser-{number}", state=state,
        raised=True, at=began, received_at=began,
    )  # fmt: skip
    return call
