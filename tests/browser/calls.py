"""Calls that have been, for lists and for states that no simulator holds still; with their charges where wanted."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from billing_platform import clock
from callcontrol.models import Callback, CallbackEvent
from counter import metering
from counter.metered import Submission
from counter.uses import CallFacts, ServiceUse
from rating import tariffs
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
        ended_at=(answered or began) + timedelta(seconds=seconds or 0) if state == "ended" else None,
        billable_seconds=seconds,
        recorded_at=None if seconds is None else began, cost=None if cost is None else Decimal(cost),
        cause="normal_clearing" if seconds else "no_answer",
    )  # fmt: skip
    CallbackEvent.objects.create(
        callback=call, source="ours", provider_call_id=str(call.pk), identity=f"browser-{number}", state=state,
        raised=True, at=began, received_at=began,
    )  # fmt: skip
    return call


def make_charged_call(tenant: Tenant, *, seconds: int = 95, ago: timedelta = timedelta(hours=1)) -> Callback:
    """A call that the ledger has charged: the agent answered after 5 s, the customer after 12."""
    began = (clock.now() - ago).replace(microsecond=0)
    call = make_call(tenant, seconds=seconds, at=began)
    tariffs.refresh()
    facts = CallFacts(call.agent_number, call.customer_number, "callback", agent_answer_at=began + timedelta(seconds=5))
    use = ServiceUse(
        tenant.accno, call.label, call.reference, call.answered_at, call.ended_at, organization=tenant.organization,
        call=facts,
    )  # fmt: skip
    (receipt,) = metering.end_services([Submission(use)], at=clock.now())
    call.cost = receipt.cost
    call.save(update_fields=["cost"])
    return call
