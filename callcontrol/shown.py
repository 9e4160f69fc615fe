"""Calls as JSON: times UTC, amounts as text, customers' numbers masked for everybody who need not see them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing_platform.logs import masked_number
from billing_platform.money import HALF_UP, amount_text, round_amount
from callcontrol import numbers
from callcontrol.models import Callback, CallbackEvent
from callcontrol.quoting import CallQuote
from callcontrol.wishes import Placer

DECIMALS_LEAST = 2


def instant_shown(at: datetime | None) -> str | None:
    """2026-03-02T02:00:12.123456Z"""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at is not None else None


def amount_shown(amount: Decimal | None) -> str | None:
    """The exact amount without needless zeros, but at least two decimals: 0.60, 0.125."""
    if amount is None:
        return None
    whole, _, part = amount_text(amount).partition(".")
    return f"{whole}.{part.rstrip('0').ljust(DECIMALS_LEAST, '0')}"


def number_shown(text: str, placer: Placer) -> str:
    """A customer's number for this reader."""
    number = numbers.dialled(numbers.read(text))
    return number if placer.sees_numbers else masked_number(number)


def call_shown(call: Callback, placer: Placer) -> dict[str, Any]:
    """One call for one reader: what the customer pays, never a supplier's cost."""
    return {
        "id": call.reference,
        "status": call.state,
        "rank": call.rank,
        "agent_number": numbers.dialled(numbers.read(call.agent_number)),
        "customer_number": number_shown(call.customer_number, placer),
        "display_to_customer": call.display_to_customer or None,
        "display_to_agent": call.display_to_agent or None,
        "dial_first": call.dial_first,
        "ring_timeout": call.ring_timeout,
        "record": call.record,
        "user_data": call.user_data or None,
        "max_seconds": call.max_seconds,
        "limit_reason": call.limit_reason or None,
        "hold": _hold_shown(call),
        "granted_unchecked": call.granted_unchecked,
        "provider": call.provider or None,
        "provider_call_id": call.provider_call_id,
        "refusal": call.refusal or None,
        "provider_code": call.provider_code or None,
        "cancel_requested": call.cancel_policy or None,
        "review": call.review or None,
        "created_at": instant_shown(call.created_at),
        "answered_at": instant_shown(call.answered_at),
        "ended_at": instant_shown(call.ended_at),
        "result": _result_shown(call),
    }


def _hold_shown(call: Callback) -> dict[str, Any] | None:
    if call.hold_amount is None:
        return None
    expires = instant_shown(call.hold_expires_at)
    return {"amount": amount_shown(call.hold_amount), "currency": call.currency, "expires_at": expires}


def _result_shown(call: Callback) -> dict[str, Any] | None:
    """What the call record said; null until it is there."""
    if call.recorded_at is None:
        return None
    return {
        "record_id": call.record_id,
        "billable_seconds": call.billable_seconds,
        "cause": call.cause or None,
        "cost": amount_shown(call.cost),
        "currency": call.currency or None,
        "recorded_at": instant_shown(call.recorded_at),
    }


def event_shown(event: CallbackEvent) -> dict[str, Any]:
    """One line of a call's history."""
    return {
        "id": event.pk,
        "status": event.state,
        "source": event.source,
        "changed": event.raised,
        "detail": event.detail or None,
        "at": instant_shown(event.at),
        "received_at": instant_shown(event.received_at),
    }


def quote_shown(quote: CallQuote) -> dict[str, Any]:
    """The offer, or `allowed: false` with the refusal's code and fields."""
    if quote.refusal is not None:
        fields = {name: instant_shown(value) if isinstance(value, datetime) else value
                  for name, value in quote.refusal.fields.items()}  # fmt: skip
        return {**fields, "allowed": False, "code": quote.refusal.code, "detail": str(quote.refusal)}
    per_minute = round_amount(quote.price * 60 / (quote.increment_seconds or 60), method=HALF_UP, decimals=6)
    return {
        "allowed": True,
        "price": amount_shown(quote.price),
        "price_per_minute": amount_shown(per_minute),
        "increment_seconds": quote.increment_seconds,
        "connect_fee": amount_shown(quote.connect_fee),
        "currency": quote.currency,
        "max_seconds": quote.max_seconds,
        "limit_reason": quote.limit_reason,
        "hold": amount_shown(quote.hold),
        "available": amount_shown(quote.available),
        "charged_legs": quote.charged_legs,
        "warnings": list(quote.warnings),
    }
