"""What a call would cost and how long it may last, or the refusal it would get. Nothing is written or counted."""

from dataclasses import dataclass
from decimal import Decimal

from billing_platform import clock
from billing_platform.errors import PlatformError
from callcontrol.calling import call_limits, hold_expiry
from callcontrol.charge_check import GATE_SECONDS, check_of
from callcontrol.errors import SCREENED, GateRefused, ProviderError
from callcontrol.platforms import platforms_for
from callcontrol.screening import screen
from callcontrol.wishes import CallWish, Placer
from counter import client
from counter.errors import REFUSALS, AccountNotBound, CounterError, CounterUnavailable
from counter.uses import CallFacts, Quote, UseRequest


@dataclass(frozen=True, slots=True)
class CallQuote:
    """An offer, or `refusal`. Amounts in `currency`; `price` is that of one increment of all charged legs."""

    refusal: PlatformError | None
    price: Decimal = Decimal(0)
    increment_seconds: int = 0
    connect_fee: Decimal = Decimal(0)
    currency: str = ""
    max_seconds: int = 0
    limit_reason: str = ""
    hold: Decimal = Decimal(0)
    available: Decimal = Decimal(0)
    charged_legs: str = ""
    warnings: tuple[str, ...] = ()


def quote_call(wish: CallWish, placer: Placer, *, service_key: str) -> CallQuote:
    """The offer for a call as wished. Raises what is wrong with the question itself, and CounterUnavailable."""
    label = check_of(service_key).label
    try:
        return _offer(wish, placer, label=label, call_type=service_key)
    except CounterUnavailable:
        raise
    except CounterError as refusal:
        return CallQuote(GateRefused(refusal))
    except SCREENED as refusal:
        return CallQuote(refusal)


def _offer(wish: CallWish, placer: Placer, *, label: str, call_type: str) -> CallQuote:
    at = clock.now()
    if not placer.organization:
        raise AccountNotBound
    with client.within(GATE_SECONDS):
        accno = client.paying_account(placer.organization, label, at=at)
        parties = screen(wish, placer, at=at)
        platforms = platforms_for(placer.organization)
        if not platforms:
            return CallQuote(ProviderError(provider="", provider_code="no_platform"))
        limits = call_limits(wish, platforms[0])
        facts = CallFacts(caller=parties.agent.raw, called=parties.customer.raw, call_type=call_type)
        quote = client.quote(
            UseRequest(
                accno, label, start=at, organization=placer.organization, call=facts, max_seconds=limits.seconds,
                ring_timeout=wish.ring_timeout, step=limits.step,
                expire=hold_expiry(at, ring_timeout=wish.ring_timeout, seconds=limits.seconds),
            )
        )  # fmt: skip
    if not quote.allowed:
        return CallQuote(GateRefused(REFUSALS.get(quote.reason, CounterError)(quote.detail)), available=quote.available)
    reason = limits.reason if quote.limit_reason == "requested" else quote.limit_reason
    return _shown(quote, max_seconds=quote.max_seconds or limits.seconds, limit_reason=reason or limits.reason)


def _shown(quote: Quote, *, max_seconds: int, limit_reason: str) -> CallQuote:
    return CallQuote(
        None, quote.price, quote.increment_seconds, quote.connect_fee, quote.currency, max_seconds, limit_reason,
        quote.hold, quote.available, quote.charged_legs, quote.warnings,
    )  # fmt: skip
