"""REST of the ledger: accounts, transfers, top-ups, adjustments. Thin: parse, call one function, show the receipt."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework import serializers

from billing_platform import clock
from billing_platform.api import StrictSerializer, read_json
from billing_platform.auth import Caller, audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Malformed, ValidationFailed
from billing_platform.idempotency import idempotent
from billing_platform.models import Role, Scope
from billing_platform.money import parse_amount
from billing_platform.paging import page_request
from billing_platform.transactions import repeated
from ledger import adjustments, history
from ledger.accounts import Account, find_account
from ledger.errors import AccountNotFound, AdjustmentNotFound
from ledger.funding import Funding, adjust, top_up
from ledger.posting import Posted

MONEY_SECONDS = 8.0
READERS = audience(
    roles=(
        Role.SUPERVISOR.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value,
    ),
    scopes=(Scope.LEDGER_READ.value, Scope.LEDGER_WRITE.value),
)  # fmt: skip
WRITERS = audience(roles=(Role.FINANCE.value,), scopes=(Scope.LEDGER_WRITE.value,))
AMOUNT = r"\A-?[0-9]{1,12}(\.[0-9]{1,6})?\Z"


class FundingSerializer(StrictSerializer):
    """What moves money by hand; the server alone knows balance, state and counterpart."""

    amount = serializers.RegexField(AMOUNT)
    currency = serializers.CharField(max_length=3, required=False)
    reference = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=300)


class DecisionSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=300)


@door(READERS)
def account_view(request: CallerRequest, accno: str) -> HttpResponse:
    """One account with its balance."""
    return JsonResponse(_account(_visible_account(request.caller, accno)))


@door(READERS)
def transfers_view(request: CallerRequest, accno: str) -> HttpResponse:
    """Its transfers, newest first, with the balance after each."""
    _refuse_other_parameters(request, {"limit", "cursor"})
    account = _visible_account(request.caller, accno)
    page = history.list_transfers(account.id, page_request(request.GET, view=history.VIEW))
    items = [_shown(asdict(line)) for line in page.items]
    return JsonResponse({"currency": account.currency, "items": items, "next_cursor": page.next_cursor})


@door(WRITERS, ("POST",))
def top_ups_view(request: CallerRequest, accno: str) -> HttpResponse:
    """Money received; `reference` (the bank's or the cashier's) makes a repeat harmless."""

    def run() -> HttpResponse:
        account = _visible_account(request.caller, accno)
        funding = _funding(request, account)
        if funding.amount < 0:
            raise ValidationFailed(errors={"amount": ["more than 0"]})
        return _posted(account, _retried(top_up, funding))

    return idempotent(request, run)


@door(WRITERS, ("GET", "POST"))
def adjustments_view(request: CallerRequest, accno: str) -> HttpResponse:
    """GET: what waits for a second person. POST: a correction, posted (201) or, above the limit, waiting (202)."""
    if request.method != "POST":
        waiting = adjustments.list_waiting(_visible_account(request.caller, accno).accno)
        return JsonResponse({"items": [_shown(asdict(adjustment)) for adjustment in waiting]})

    def run() -> HttpResponse:
        account = _visible_account(request.caller, accno)
        funding = _funding(request, account)
        if adjustments.needs_second_person(funding.amount):
            waiting = adjustments.request_adjustment(funding, by=request.caller)
            return JsonResponse(_shown(asdict(waiting)), status=HTTPStatus.ACCEPTED)
        return _posted(account, _retried(adjust, funding))

    return idempotent(request, run)


@door(WRITERS, ("POST",))
def approve_view(request: CallerRequest, accno: str, adjustment_id: int) -> HttpResponse:
    """The second person agrees: the money moves."""
    _require_adjustment_of(_visible_account(request.caller, accno), adjustment_id)
    approve = partial(adjustments.approve_adjustment, adjustment_id, by=request.caller, at=clock.now())
    return JsonResponse(_shown(asdict(repeated(approve, seconds=MONEY_SECONDS))))


@door(WRITERS, ("POST",))
def reject_view(request: CallerRequest, accno: str, adjustment_id: int) -> HttpResponse:
    """The second person refuses, or the first one takes it back: no money moves."""
    _require_adjustment_of(_visible_account(request.caller, accno), adjustment_id)
    reason = _valid(DecisionSerializer(data=read_json(request)))["reason"]
    rejected = adjustments.reject_adjustment(adjustment_id, by=request.caller, at=clock.now(), reason=reason)
    return JsonResponse(_shown(asdict(rejected)))


def _visible_account(caller: Caller, accno: str) -> Account:
    """Another organisation's account is not there. Callers bound to none and platform administrators see all."""
    account = find_account(accno)
    if account is None or not (caller.sees_all or account.organization == caller.organization):
        raise AccountNotFound
    return account


def _require_adjustment_of(account: Account, adjustment_id: int) -> None:
    if adjustments.read_adjustment(adjustment_id).accno != account.accno:
        raise AdjustmentNotFound


def _funding(request: CallerRequest, account: Account) -> Funding:
    given = _valid(FundingSerializer(data=read_json(request)))
    amount = parse_amount(given["amount"])
    if amount == 0:
        raise ValidationFailed(errors={"amount": ["not 0"]})
    if given.get("currency", account.currency) != account.currency:
        raise ValidationFailed(errors={"currency": [f"the account is kept in {account.currency}"]})
    return Funding(
        account.accno, amount, given["reference"], clock.now(), memo=given["reason"], by=request.caller
    )  # fmt: skip


def _valid(serializer: StrictSerializer) -> dict[str, Any]:
    if not serializer.is_valid():
        raise ValidationFailed(errors=serializer.errors)
    return dict(serializer.validated_data)


def _retried(move: Callable[[Funding], Posted], funding: Funding) -> Posted:
    """The reference makes it safe to run again even when the outcome of a commit is unknown."""
    return repeated(partial(move, funding), seconds=MONEY_SECONDS, repeat_cut=True)


def _refuse_other_parameters(request: HttpRequest, known: set[str]) -> None:
    unknown = sorted(set(request.GET) - known)
    if unknown:
        raise Malformed(f"unknown parameter {unknown[0]}")


def _posted(account: Account, posted: Posted) -> HttpResponse:
    receipt = _shown({"accno": account.accno, "currency": account.currency, **asdict(posted)})
    return JsonResponse(receipt, status=HTTPStatus.OK if posted.repeated else HTTPStatus.CREATED)


def _account(account: Account) -> dict[str, object]:
    return _shown({
        "accno": account.accno, "kind": account.kind, "name": account.name, "owner": account.owner,
        "organization": account.organization, "parent": account.parent_accno, "currency": account.currency,
        "balance": account.balance, "held": account.held, "available": account.available,
        "credit_limit": account.credit_limit, "warning_threshold": account.warning_threshold, "state": account.state,
    })  # fmt: skip


def _shown(fields: dict[str, object]) -> dict[str, object]:
    """Amounts as decimal text, instants as ISO 8601 with their offset."""
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value
