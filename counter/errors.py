"""Refusals of the counter: each with its reason, its public number, and its statuses on gRPC and on the REST contract.

This module is shared with the rooms that reach the counter over the wire; it imports nothing of the counter.
"""

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import PlatformError


class CounterError(PlatformError):
    """`code` is the reason, `billing_code` its public number, `rest_status` the status on /api/billaccounts/."""

    billing_code = 712
    rest_status = 400

    def __init__(self, detail: str = "", **fields: object) -> None:
        super().__init__(detail, **fields)
        self.fields = {"billing_code": self.billing_code, **fields}


class CounterUnavailable(CounterError):
    code, billing_code = "counter_unavailable", 700
    http_status, grpc_status, rest_status, retryable = 503, "UNAVAILABLE", 441, True
    title = _("The counter cannot answer right now; repeat the same content.")


class AccountNotFound(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "account_not_found", 701, 404, "NOT_FOUND", 404
    title = _("There is no such account.")


class AccountNotBound(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "account_not_bound", 702, 404, "NOT_FOUND", 404
    title = _("No account is bound to this organisation or person.")


class ApplicationNotOpen(CounterError):
    code, billing_code = "application_not_open", 703
    http_status, grpc_status, rest_status = 403, "FAILED_PRECONDITION", 403
    title = _("The application is not open for this account.")


class ServiceNotOpen(CounterError):
    code, billing_code = "service_not_open", 704
    http_status, grpc_status, rest_status = 403, "FAILED_PRECONDITION", 403
    title = _("The service is not open for this account.")


class AccountSuspended(CounterError):
    code, billing_code = "account_suspended", 705
    http_status, grpc_status, rest_status = 403, "FAILED_PRECONDITION", 403
    title = _("The account is suspended.")


class AccountClosed(AccountSuspended):
    code = "account_closed"
    title = _("The account is closed.")


class InsufficientBalance(CounterError):
    code, billing_code = "insufficient_balance", 706
    http_status, grpc_status, rest_status = 402, "RESOURCE_EXHAUSTED", 403
    title = _("The balance is not sufficient.")


class QuotaExceeded(CounterError):
    code, billing_code = "quota_exceeded", 707
    http_status, grpc_status, rest_status = 403, "RESOURCE_EXHAUSTED", 403
    title = _("The quota is used up.")


class ServiceUnknown(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "service_unknown", 708, 404, "NOT_FOUND", 404
    title = _("There is no such service.")


class IdempotencyConflict(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "idempotency_conflict", 709, 409, "ALREADY_EXISTS", 409
    title = _("This key was used before with other content.")


class ReferenceClosed(CounterError):
    """Carries `state`: ended, cancelled or expired."""

    code, billing_code = "reference_closed", 710
    http_status, grpc_status, rest_status = 409, "FAILED_PRECONDITION", 409
    title = _("This use has ended.")


class RecordNotFound(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "record_not_found", 711, 404, "NOT_FOUND", 404
    title = _("Nothing was started under this key.")


class Invalid(CounterError):
    """Carries `fields`: name -> what is wrong."""

    code, billing_code, http_status, grpc_status, rest_status = "validation", 712, 400, "INVALID_ARGUMENT", 400
    title = _("Some values do not make sense.")


class NotAuthenticated(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "unauthenticated", 713, 401, "UNAUTHENTICATED", 401
    title = _("Send a valid API key.")


class NotAllowed(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "forbidden", 714, 403, "PERMISSION_DENIED", 403
    title = _("The key lacks the scope for this.")


class WrongChargeMode(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "wrong_charge_mode", 715, 400, "INVALID_ARGUMENT", 400
    title = _("The service is not charged this way.")


class DestinationBlocked(CounterError):
    code, billing_code = "destination_blocked", 716
    http_status, grpc_status, rest_status = 403, "FAILED_PRECONDITION", 403
    title = _("Calls to this number are blocked.")


class NoRate(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "no_rate", 717, 403, "FAILED_PRECONDITION", 403
    title = _("There is no rate for this number.")


class BelowZero(CounterError):
    code, billing_code, http_status, grpc_status, rest_status = "below_zero", 712, 400, "FAILED_PRECONDITION", 400
    title = _("Less than zero cannot be in use.")


REFUSALS: dict[str, type[CounterError]] = {
    refusal.code: refusal
    for refusal in (
        CounterUnavailable, AccountNotFound, AccountNotBound, ApplicationNotOpen, ServiceNotOpen, AccountSuspended,
        AccountClosed, InsufficientBalance, QuotaExceeded, ServiceUnknown, IdempotencyConflict, ReferenceClosed,
        RecordNotFound, Invalid, NotAuthenticated, NotAllowed, WrongChargeMode, DestinationBlocked, NoRate, BelowZero,
    )
}  # fmt: skip


def counter_refusal(error: PlatformError) -> CounterError:
    """The same refusal in the counter's words, with its public number: what every answer of this room carries."""
    if isinstance(error, CounterError):
        return error
    if error.retryable:
        return CounterUnavailable(error.detail)
    known = REFUSALS.get(error.code)
    return Invalid(str(error)) if known is None else known(error.detail, **error.fields)
