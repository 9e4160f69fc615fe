"""Refusals of calls: what the caller may read, and what helps."""

from http import HTTPStatus

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import Conflict, Forbidden, PlatformError, RateLimited, ValidationFailed
from counter.errors import CounterError, CounterUnavailable

FOR_MONEY = frozenset({706})  # billing codes that a top-up helps against


class GateRefused(PlatformError):
    """The gate said no: the counter's `code` and `billing_code`, 402 for money, 403 otherwise (503: no answer)."""

    def __init__(self, refusal: CounterError) -> None:
        super().__init__(refusal.detail, **refusal.fields)
        self.code, self.title = refusal.code, refusal.title
        self.billing_code = refusal.billing_code
        self.http_status, self.grpc_status, self.retryable = _status(refusal), refusal.grpc_status, refusal.retryable
        self.fields["billing_code"] = refusal.billing_code


def _status(refusal: CounterError) -> int:
    if isinstance(refusal, CounterUnavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    if refusal.http_status == HTTPStatus.CONFLICT:
        return HTTPStatus.CONFLICT
    return HTTPStatus.PAYMENT_REQUIRED if refusal.billing_code in FOR_MONEY else HTTPStatus.FORBIDDEN


class BodyInvalid(ValidationFailed):
    """`errors` maps a field's name to what is wrong with it."""

    http_status = HTTPStatus.BAD_REQUEST


class SameNumbers(BodyInvalid):
    code = "same_numbers"
    title = _("Both sides have the same number.")


class DisplayNumberNotAllowed(Forbidden):
    """Carries `number`."""

    code = "display_number_not_allowed"
    title = _("This number may not be shown: it is not a verified number of your organisation.")


class NumberBlacklisted(Forbidden):
    code = "number_blacklisted"
    title = _("This number is on a deny list.")


class NotInWhitelist(Forbidden):
    code = "not_in_whitelist"
    title = _("Only numbers of the allow list may be called.")


class OutsideBusinessHours(Forbidden):
    """Carries `next_open`, an instant or None."""

    code = "outside_business_hours"
    title = _("Calls are not allowed at this hour.")


SCREENED = (SameNumbers, DisplayNumberNotAllowed, NumberBlacklisted, NotInWhitelist, OutsideBusinessHours)


class ConcurrencyLimit(RateLimited):
    code = "concurrency_limit"
    title = _("Too many calls are live.")


class InvalidState(Conflict):
    """Carries `state`."""

    code = "invalid_state"
    title = _("The call is not in a state that allows this.")


class NothingToDispute(Conflict):
    """Carries `state` of the call."""

    code = "nothing_to_dispute"
    title = _("The record of this call is not there yet: there is nothing to dispute.")


class DisputeOpen(Conflict):
    """Carries `dispute`, the open one."""

    code = "dispute_open"
    title = _("This call is disputed already.")


class DisputeClosed(Conflict):
    """Carries `state` of the dispute."""

    code = "dispute_closed"
    title = _("This dispute has been answered or withdrawn.")


class ProviderError(PlatformError):
    """The platform refused. Carries `provider`, `provider_code`."""

    code, http_status, grpc_status = "provider_error", 502, "UNAVAILABLE"
    title = _("The callback platform refused the call.")


class Interrupted(PlatformError):
    """We stopped half-way before the platform was asked: nobody was called."""

    code, http_status, grpc_status, retryable = "interrupted", 503, "UNAVAILABLE", True
    title = _("The call could not be started; try again.")


class StreamsExhausted(RateLimited):
    code, http_status = "too_many_streams", HTTPStatus.SERVICE_UNAVAILABLE
    title = _("Too many live views on this server; ask again by polling.")
