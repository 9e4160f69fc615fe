"""Refusals of the ledger."""

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import Conflict, Forbidden, NotFound, PlatformError


class AccountNotFound(NotFound):
    code = "account_not_found"
    title = _("There is no such account.")


class InsufficientBalance(PlatformError):
    code, http_status, grpc_status = "insufficient_balance", 402, "RESOURCE_EXHAUSTED"
    title = _("The balance is not sufficient.")


class AccountBlocked(PlatformError):
    """Carries `state`."""

    code, http_status, grpc_status = "account_suspended", 403, "FAILED_PRECONDITION"
    title = _("The account is blocked.")


class AccountClosed(PlatformError):
    code, http_status, grpc_status = "account_closed", 403, "FAILED_PRECONDITION"
    title = _("The account is closed.")


class CauseConflict(Conflict):
    code = "idempotency_conflict"
    title = _("This cause was posted before with other content.")


class HoldClosed(Conflict):
    """Carries `state`: captured, released or expired."""

    code, grpc_status = "reference_closed", "FAILED_PRECONDITION"
    title = _("This hold has ended.")


class ReversalExceeds(Conflict):
    code, grpc_status = "reversal_exceeds", "FAILED_PRECONDITION"
    title = _("More would be reversed than was posted.")


class NotSealable(Conflict):
    code, grpc_status = "not_sealable", "FAILED_PRECONDITION"
    title = _("The day cannot be sealed yet.")


class AdjustmentNotFound(NotFound):
    code = "adjustment_not_found"
    title = _("There is no such adjustment.")


class AdjustmentDecided(Conflict):
    """Carries `state`: approved or rejected."""

    code, grpc_status = "adjustment_decided", "FAILED_PRECONDITION"
    title = _("This adjustment has been decided.")


class LimitsNotWaiting(Conflict):
    """Of another account, decided by now, or never asked for."""

    code, grpc_status = "limits_not_waiting", "FAILED_PRECONDITION"
    title = _("This change of limits does not wait for anybody.")


class SecondPersonNeeded(Forbidden):
    code = "second_person_needed"
    title = _("Another person must approve this.")
