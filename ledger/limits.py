"""Credit limit and warning threshold by people's decision: much credit takes two of them.

Credit is money that may be spent: a raise that ends above ADJUSTMENT_SECOND_PERSON_ABOVE, in the account's currency,
waits for a second person, in however many steps it is made.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.states import claim
from billing_platform.trail import record_act
from ledger.accounts import Account, load_account, set_limits
from ledger.adjustments import require_second_person
from ledger.errors import AccountClosed, CauseConflict, LimitsNotWaiting, SecondPersonNeeded
from ledger.models import AdjustmentRequest, BillingAccount, LimitRequest
from ledger.posting import lock_wallets

State = AdjustmentRequest.State


@dataclass(frozen=True, slots=True)
class Limits:
    """Both 0 or more, in the account's currency."""

    credit_limit: Decimal
    warning_threshold: Decimal


@dataclass(frozen=True, slots=True)
class WaitingLimits:
    """Limits that somebody asked for and a second person has not decided yet."""

    id: int
    accno: str
    limits: Limits
    reason: str
    requested_by: str
    created_at: datetime


def needs_second_person(account: Account, limits: Limits) -> bool:
    """Is this more credit than the account has and more than one person may give?"""
    return account.credit_limit < limits.credit_limit > settings.ADJUSTMENT_SECOND_PERSON_ABOVE


@transaction.atomic(durable=True)  # the limits, the account's state and the trail of who set them
def change_limits(accno: str, limits: Limits, *, by: Caller, reason: str) -> Account:
    """Set both limits; the account's state follows. Raises AccountNotFound, AccountClosed, SecondPersonNeeded."""
    lock_wallets([load_account(accno).id])  # judged by the limits that are replaced, not by earlier ones
    if needs_second_person(load_account(accno), limits):
        raise SecondPersonNeeded
    return _set(accno, limits, by=by, reason=reason)


@transaction.atomic(durable=True)  # the request and the trail of who asked
def request_limits(accno: str, limits: Limits, *, by: Caller, reason: str) -> WaitingLimits:
    """Note limits for a second person to decide; nothing changes. The same again: the request that waits.

    Raises AccountNotFound, AccountClosed, CauseConflict (other limits wait already).
    """
    account = load_account(accno)
    if account.state == BillingAccount.State.CLOSED:
        raise AccountClosed
    row, created = LimitRequest.objects.get_or_create(
        account_id=account.id, state=State.PENDING,
        defaults={
            "credit_limit": limits.credit_limit, "warning_threshold": limits.warning_threshold, "reason": reason,
            "requested_by": by.actor,
        },
    )  # fmt: skip
    if Limits(row.credit_limit, row.warning_threshold) != limits:
        raise CauseConflict("other limits wait for a second person already", fields=["credit_limit"])
    if created:
        asked = {"request": row.pk, "credit_limit": f"{row.credit_limit:.6f}"}
        target = "billingaccount", accno
        record_act(by, "account.limits_request", target=target, change=(None, asked), reason=reason)
    return read_waiting(row.pk)


@transaction.atomic(durable=True)  # approved exactly when the limits are set
def approve_limits(request_id: int, *, by: Caller, at: datetime) -> Account:
    """Set limits that waited. Raises SecondPersonNeeded, LimitsNotWaiting, AccountClosed."""
    waiting = _decide(request_id, State.APPROVED, by=by, at=at)
    return _set(waiting.accno, waiting.limits, by=by, reason=waiting.reason)


@transaction.atomic(durable=True)  # the decision and its trail
def reject_limits(request_id: int, *, by: Caller, at: datetime, reason: str) -> None:
    """End a request; nothing changes; who asked may take it back. Raises as `approve_limits`."""
    waiting = _decide(request_id, State.REJECTED, by=by, at=at)
    target = "billingaccount", waiting.accno
    record_act(by, "account.limits_reject", target=target, change=(None, {"request": request_id}), reason=reason)


def read_waiting(request_id: int) -> WaitingLimits:
    """A request that waits. Raises LimitsNotWaiting."""
    row = LimitRequest.objects.select_related("account").filter(pk=request_id, state=State.PENDING).first()
    if row is None:
        raise LimitsNotWaiting
    return _waiting(row)


def find_waiting(accno: str) -> WaitingLimits | None:
    """The limits that wait for the account, or None."""
    row = LimitRequest.objects.select_related("account").filter(account__accno=accno, state=State.PENDING).first()
    return _waiting(row) if row is not None else None


def _waiting(row: LimitRequest) -> WaitingLimits:
    limits = Limits(row.credit_limit, row.warning_threshold)
    return WaitingLimits(row.pk, row.account.accno, limits, row.reason, row.requested_by, row.created_at)


def _set(accno: str, limits: Limits, *, by: Caller, reason: str) -> Account:
    return set_limits(
        accno, credit_limit=limits.credit_limit, warning_threshold=limits.warning_threshold, by=by, reason=reason
    )


def _decide(request_id: int, to: AdjustmentRequest.State, *, by: Caller, at: datetime) -> WaitingLimits:
    """Claim the request for one decision and answer it as it waited."""
    waiting = read_waiting(request_id)
    require_second_person(by, to, requested_by=waiting.requested_by)
    rows = LimitRequest.objects.filter(pk=request_id)
    if not claim(rows, LimitRequest.TRANSITIONS, to, decided_by=by.actor, decided_at=at):
        raise LimitsNotWaiting
    return waiting
