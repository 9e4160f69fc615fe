"""The charge gate's logic: may this request use the service; hold for it, charge it, or give the hold back.

Promise: on every way out a hold is charged, released, or left to the charge that its handler names; a use that could
not be delivered to the counter is stored; nothing passes because of an exception.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from billing_platform import clock, metrics
from callcontrol import outages, pending
from callcontrol.context import BillingContext
from callcontrol.errors import GateRefused
from callcontrol.outages import UncheckedGrant
from counter import client
from counter.errors import (
    REFUSALS,
    AccountNotBound,
    ApplicationNotOpen,
    CounterError,
    CounterUnavailable,
    ServiceNotOpen,
)
from counter.uses import ServiceUse, UseRequest

GATE_SECONDS = 2.0  # for everything that the gate asks, all together


class ChargeCheck:
    """What a use of one service is. A service with rules of its own names a subclass in BILLING["SERVICE_ITEMS"].

    `request` is what the handler receives. Counts are whole uses; times are aware.
    """

    def __init__(self, service_key: str, *, label: str, name: str) -> None:
        self.service_key, self.label, self.name = service_key, label, name

    def get_before_count(self, request: Any) -> int:
        return 1

    def get_after_count(self, request: Any, response: Any, before_count: int) -> int:
        return before_count

    def get_before_start_time(self, request: Any) -> datetime:
        return clock.now()

    def get_after_start_time(self, request: Any, response: Any, before_start_time: datetime) -> datetime:
        return before_start_time

    def get_finish_time(self, request: Any, response: Any) -> datetime:
        return clock.now()

    def get_summary(self, request: Any, response: Any = None) -> str:
        context = context_of(request)
        return f"{self.name}; {context.application}; {context.organization}; {context.user}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a decorated handler asked for."""

    check: ChargeCheck
    before: bool
    after: bool
    usable: bool
    application_service: bool


@dataclass(slots=True)
class Charge:
    """One use at the gate; the handler finds it as `request.billing`. `held`: the counter may hold for it."""

    accno: str
    label: str
    reference: str
    organization: str
    application: str
    user: str
    count: int
    start: datetime
    svcno: str = ""
    held: bool = False
    unchecked: UncheckedGrant | None = None


def check_of(service_key: str) -> ChargeCheck:
    """The check of a service. Raises ImproperlyConfigured for a key or an entry that cannot be."""
    items: Mapping[str, tuple[Any, ...]] = settings.BILLING["SERVICE_ITEMS"]  # type: ignore[assignment]  # the setting is mixed
    item = items.get(service_key)
    if item is None:
        raise ImproperlyConfigured(f'BILLING["SERVICE_ITEMS"] has no {service_key!r}')
    if len(item) < 3:
        raise ImproperlyConfigured(f'BILLING["SERVICE_ITEMS"][{service_key!r}] is (label, name, check or None)')
    label, name, path = item[:3]
    kind = import_string(path) if path else ChargeCheck
    if not (isinstance(kind, type) and issubclass(kind, ChargeCheck)):
        raise ImproperlyConfigured(f"{path} is not a ChargeCheck")
    return kind(service_key, label=label, name=name or label)


def context_of(request: Any) -> BillingContext:
    """The context that the middleware hung up. Raises ImproperlyConfigured without it: nothing passes unchecked."""
    plain = getattr(request, "_request", request)
    context = getattr(plain, "billing_context", None)
    if context is None:
        raise ImproperlyConfigured("a gated view needs callcontrol.middleware.BillingMiddleware in MIDDLEWARE")
    return context  # type: ignore[no-any-return]  # the lazy object around it


def charge_of(request: Any) -> Charge:
    """The use that the gate admitted, for the gated handler."""
    charge: Charge = request.billing
    return charge


def admit(request: Any, terms: Terms, view: object) -> Charge:
    """Let the use begin. Raises GateRefused."""
    started = time.perf_counter()
    context = context_of(request)
    charge = _charge_of(request, terms, context)
    verdict = "refused"
    try:
        with client.within(GATE_SECONDS):
            _ask(request, terms, view, charge)
        outages.note_answer(charge.organization, charge.label, charge.accno)
        verdict = "granted"
    except CounterUnavailable as silence:
        _grant_unchecked(charge, silence)
        verdict = "granted_unchecked"
    except CounterError as refusal:
        outages.note_refusal(charge.organization, charge.label)
        raise GateRefused(refusal) from refusal
    finally:
        metrics.gate_requests.labels(terms.check.service_key, verdict).inc()
        metrics.gate_duration.labels(terms.check.service_key, verdict).observe(time.perf_counter() - started)
    return charge


def require_application(request: Any) -> None:
    """The organisation's account may use the calling application. Raises GateRefused (703; 503 without an answer)."""
    context = context_of(request)
    try:
        with client.within(GATE_SECONDS):
            _check_application(context)
    except CounterError as refusal:
        raise GateRefused(refusal) from refusal
    getattr(request, "_request", request).application_checked = True


def finish(charge: Charge, request: Any, response: Any, *, check: ChargeCheck) -> None:
    """Charge the use that has happened; what the counter does not hear is stored."""
    use = ServiceUse(
        charge.accno, charge.label, charge.reference,
        start=check.get_after_start_time(request, response, charge.start),
        finish=check.get_finish_time(request, response),
        count=check.get_after_count(request, response, charge.count),
        summary=check.get_summary(request, response)[:512],
        application=charge.application, organization=charge.organization,
    )  # fmt: skip
    try:
        (outcome,) = client.end_services([use], seconds=GATE_SECONDS)
    except CounterUnavailable as silence:
        outcome = silence
    if isinstance(outcome, CounterError):
        pending.keep_use(use, error=outcome)
    _give_back(charge)


def release(charge: Charge) -> None:
    """The use did not happen: whatever is held for it goes back, now or when the counter answers again."""
    if charge.held:
        row = pending.keep_release(
            charge.accno, charge.label, reference=charge.reference, organization=charge.organization
        )
        pending.deliver([row])
    _give_back(charge)


def leave(charge: Charge) -> None:
    """The handler went well and charges nothing here: its hold stays for the use that it began."""
    _give_back(charge)


def settle(charge: Charge, request: Any, response: Any, *, terms: Terms) -> None:
    """What the answer of the handler means for the use."""
    if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        release(charge)
    elif not terms.after:
        leave(charge)
    elif getattr(response, "streaming", False):
        _when_closed(response, lambda: finish(charge, request, response, check=terms.check))
    else:
        finish(charge, request, response, check=terms.check)


def _when_closed(response: Any, act: Callable[[], None]) -> None:
    """A streamed use ends with its stream, however that ends: Django calls the closers once."""
    response._resource_closers.append(act)


def _give_back(charge: Charge) -> None:
    if charge.unchecked is not None:
        charge.unchecked.give_back()


def _charge_of(request: Any, terms: Terms, context: BillingContext) -> Charge:
    return Charge(
        "", terms.check.label, _reference(request, context), context.organization, context.application, context.user,
        terms.check.get_before_count(request), terms.check.get_before_start_time(request),
    )  # fmt: skip


def _reference(request: HttpRequest, context: BillingContext) -> str:
    """A new id per attempt; under an Idempotency-Key the same one, so that a repeat meets its own hold."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return f"gate-{secrets.token_hex(16)}"
    parts = (context.organization, context.caller.actor, request.path, key)
    return f"gate-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:40]}"


def _ask(request: Any, terms: Terms, view: object, charge: Charge) -> None:
    context = context_of(request)
    if _application_wanted(request, terms, view):
        _check_application(context)
    if not charge.organization:
        raise AccountNotBound
    charge.accno = client.paying_account(charge.organization, charge.label, at=clock.now())
    if not terms.before:
        return
    if not terms.usable:
        _hold(request, terms, charge)
        return
    verdict = client.usable_service(charge.accno, charge.label, count=charge.count)
    if not verdict.usable:
        raise REFUSALS.get(verdict.reason, ServiceNotOpen)(verdict.detail)


def _hold(request: Any, terms: Terms, charge: Charge) -> None:
    """No start is named: a repeat under the same key says the same and meets its own hold."""
    charge.held = True  # from here on the counter may hold, whatever we hear
    try:
        receipt = client.start_service(
            UseRequest(
                charge.accno, charge.label, charge.reference, count=charge.count,
                summary=terms.check.get_summary(request)[:512], application=charge.application,
                organization=charge.organization,
            )
        )  # fmt: skip
    except CounterUnavailable:
        raise
    except CounterError:
        charge.held = False
        raise
    charge.svcno = receipt.svcno


def _application_wanted(request: Any, terms: Terms, view: object) -> bool:
    if getattr(getattr(request, "_request", request), "application_checked", False):
        return False
    if settings.BILLING["APPLICATION_SERVICE"]:
        return True
    of_class = getattr(view, "application_service", None)
    return terms.application_service if of_class is None else bool(of_class)


def _check_application(context: BillingContext) -> None:
    if not context.application or not context.organization:
        raise ApplicationNotOpen
    accno = client.paying_account(context.organization, context.application, at=clock.now())
    verdict = client.query_account_service(accno, context.application)
    if not verdict.usable:
        raise ApplicationNotOpen(verdict.detail)


def _grant_unchecked(charge: Charge, silence: CounterUnavailable) -> None:
    """By the organisation's policy. Refused: what the counter may hold all the same is released when it is back."""
    try:
        charge.unchecked = outages.grant_without_counter(charge.organization, charge.label)
    except CounterUnavailable:
        if charge.held:
            pending.keep_release(
                charge.accno, charge.label, reference=charge.reference, organization=charge.organization
            )
        raise GateRefused(silence) from silence
    charge.accno = charge.accno or charge.unchecked.accno
