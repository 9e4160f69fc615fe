"""Adjustments by hand: up to a limit one person decides, above it a second one approves.

The limit is ADJUSTMENT_SECOND_PERSON_ABOVE, in the account's currency, whatever the sign of the amount.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.states import claim
from billing_platform.trail import record_act
from ledger.accounts import load_account
from ledger.amounts import require_amount
from ledger.errors import (
    AccountClosed,
    AdjustmentDecided,
    AdjustmentNotFound,
    CauseConflict,
    SecondPersonNeeded,
)
from ledger.funding import Funding, post_funding
from ledger.models import AdjustmentRequest, BillingAccount

State = AdjustmentRequest.State
WAITING_MAX = 200  # shown of one account


@dataclass(frozen=True, slots=True)
class Adjustment:
    """An adjustment that waits for, or had, its second person. `transfer_id` once it was posted."""

    id: int
    accno: str
    amount: Decimal
    reference: str
    reason: str
    state: str
    requested_by: str
    decided_by: str
    created_at: datetime
    transfer_id: int | None = None


def needs_second_person(amount: Decimal) -> bool:
    """Is this more than one person may decide?"""
    return abs(amount) > settings.ADJUSTMENT_SECOND_PERSON_ABOVE


@transaction.atomic(durable=True)  # the request and the trail of who asked
def request_adjustment(funding: Funding, *, by: Caller) -> Adjustment:
    """Note an adjustment for a second person to decide; no money moves. The same reference again: the first request.

    Raises AccountNotFound, AccountClosed, CauseConflict (same reference, other content).
    """
    account = load_account(funding.accno)
    require_amount(funding.amount)
    if account.state == BillingAccount.State.CLOSED:
        raise AccountClosed
    row, created = AdjustmentRequest.objects.get_or_create(
        account_id=account.id, reference=funding.reference,
        defaults={"amount": funding.amount, "reason": funding.memo, "requested_by": by.actor},
    )  # fmt: skip
    if (row.amount, row.reason) != (funding.amount, funding.memo):
        raise CauseConflict(fields=["amount", "reason"])
    if created:
        asked = {"request": row.pk, "amount": f"{row.amount:f}"}
        target = "billingaccount", funding.accno
        record_act(by, "account.adjustment_request", target=target, change=(None, asked), reason=row.reason)
    return read_adjustment(row.pk)


@transaction.atomic(durable=True)  # approved exactly when the money has moved
def approve_adjustment(request_id: int, *, by: Caller, at: datetime) -> Adjustment:
    """Post a waiting adjustment. Raises SecondPersonNeeded, AdjustmentNotFound, AdjustmentDecided, AccountClosed."""
    waiting = _decide(request_id, State.APPROVED, by=by, at=at)
    funding = Funding(waiting.accno, waiting.amount, waiting.reference, at, memo=waiting.reason, by=by)
    posted = post_funding(funding, counterpart="adjustment", cause_type="adjustment")
    return read_adjustment(request_id, transfer_id=posted.transfer_id)


@transaction.atomic(durable=True)  # the decision and its trail
def reject_adjustment(request_id: int, *, by: Caller, at: datetime, reason: str) -> Adjustment:
    """End a waiting adjustment without moving money; who asked may take it back. Raises as `approve_adjustment`."""
    waiting = _decide(request_id, State.REJECTED, by=by, at=at)
    target = "billingaccount", waiting.accno
    record_act(by, "account.adjustment_reject", target=target, change=(None, {"request": request_id}), reason=reason)
    return read_adjustment(request_id)


def read_adjustment(request_id: int, *, transfer_id: int | None = None) -> Adjustment:
    """One request. Raises AdjustmentNotFound."""
    row = AdjustmentRequest.objects.select_related("account").filter(pk=request_id).first()
    if row is None:
        raise AdjustmentNotFound
    return _adjustment(row, transfer_id=transfer_id)


def list_waiting(accno: str) -> list[Adjustment]:
    """The account's adjustments that wait for a second person, oldest first, at most 200 of them."""
    rows = AdjustmentRequest.objects.select_related("account").filter(account__accno=accno, state=State.PENDING)
    return [_adjustment(row) for row in rows.order_by("pk")[:WAITING_MAX]]


def _adjustment(row: AdjustmentRequest, *, transfer_id: int | None = None) -> Adjustment:
    return Adjustment(
        row.pk, row.account.accno, row.amount, row.reference, row.reason, row.state, row.requested_by, row.decided_by,
        row.created_at, transfer_id,
    )  # fmt: skip


def _decide(request_id: int, to: AdjustmentRequest.State, *, by: Caller, at: datetime) -> Adjustment:
    """Claim the request for one decision and answer it as it waited."""
    waiting = read_adjustment(request_id)
    require_second_person(by, to, requested_by=waiting.requested_by)
    row = AdjustmentRequest.objects.filter(pk=request_id)
    if not claim(row, AdjustmentRequest.TRANSITIONS, to, decided_by=by.actor, decided_at=at):
        raise AdjustmentDecided(state=read_adjustment(request_id).state)
    return waiting


def require_second_person(by: Caller, to: AdjustmentRequest.State, *, requested_by: str) -> None:
    """Only a person decides, and approves only what somebody else has asked for. Raises SecondPersonNeeded."""
    if by.kind != "person":
        raise SecondPersonNeeded("a program cannot decide")
    if to == State.APPROVED and by.actor == requested_by:
        raise SecondPersonNeeded
