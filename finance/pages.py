"""The account's page and what may be done on it. Every act is shown first and done when the account number is typed."""

from http import HTTPStatus
from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Conflict, PlatformError, ValidationFailed
from billing_platform.models import Role
from billing_platform.paging import page_request
from finance import intents, wallet
from finance.intents import Intent
from ledger import adjustments, history
from ledger.accounts import Account
from ledger.adjustments import Adjustment
from ledger.errors import AdjustmentNotFound, SecondPersonNeeded

WRITER_ROLES = (Role.FINANCE.value,)
LEDGER_ROLES = (*WRITER_ROLES, Role.OPS.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value)
WRITERS = audience(roles=WRITER_ROLES)
LEDGER_READERS = audience(roles=LEDGER_ROLES)
BALANCE_READERS = audience(roles=(*LEDGER_ROLES, Role.SUPERVISOR.value, Role.AGENT.value))


@door(LEDGER_READERS)
def accounts_page(request: CallerRequest) -> HttpResponse:
    """`/finance/`: the accounts of the organisation."""
    return _page(request, "finance/accounts.html", {"accounts": wallet.visible_accounts(request.caller)})


@door(BALANCE_READERS)
def account_page(request: CallerRequest, accno: str) -> HttpResponse:
    """S12. Agents and supervisors see the balance; the ledger is for finance, operations and auditors."""
    account = wallet.visible_account(request.caller, accno)
    if request.GET.get("format") == "csv":
        LEDGER_READERS.admit(request.caller)
        return _ledger_file(account)
    return _account_page(request, account)


@door(WRITERS, ("POST",))
def funding_page(request: CallerRequest, accno: str, kind: str) -> HttpResponse:
    """A top-up or an adjustment: the rehearsal first, the act when the account number was typed below it."""
    account = wallet.visible_account(request.caller, accno)
    try:
        intent = intents.read_intent(kind, request.POST)
        rehearsal = intents.rehearse(intent, account, by=request.caller, at=clock.now())
    except (ValidationFailed, Conflict) as refusal:
        return _account_page(request, account, refusal=refusal, kind=kind)
    if request.POST.get("confirm", "").strip() != account.accno:
        context = {
            "account": account, "intent": intent, "kind": kind, "rehearsal": rehearsal,
            "mistyped": "confirm" in request.POST,
        }  # fmt: skip
        return _page(request, "finance/rehearsal.html", context)
    _tell(request, intent, intents.carry_out(intent, account, by=request.caller, at=clock.now()))
    return HttpResponseRedirect(reverse("finance_account", args=[accno]))


@door(WRITERS, ("POST",))
def limits_page(request: CallerRequest, accno: str) -> HttpResponse:
    """Credit limit and warning threshold: shown first, set when the account number was typed."""
    account = wallet.visible_account(request.caller, accno)
    try:
        limits = intents.read_limits(request.POST)
    except ValidationFailed as refusal:
        return _account_page(request, account, refusal=refusal, kind="limits")
    if request.POST.get("confirm", "").strip() != account.accno:
        context = {"account": account, "limits": limits, "mistyped": "confirm" in request.POST}
        return _page(request, "finance/rehearsal.html", context)
    intents.set_limits(account, limits, by=request.caller, reason=request.POST.get("reason", "").strip())
    messages.success(request, _("The limits were changed."))
    return HttpResponseRedirect(reverse("finance_account", args=[accno]))


@door(WRITERS, ("POST",))
def decision_page(request: CallerRequest, accno: str, adjustment_id: int, decision: str) -> HttpResponse:
    """A second person approves or rejects what waits; who asked may only take it back."""
    account = wallet.visible_account(request.caller, accno)
    waiting = adjustments.read_adjustment(adjustment_id)
    if waiting.accno != account.accno:
        raise AdjustmentNotFound
    if decision == "approve" and waiting.requested_by == request.caller.actor:
        raise SecondPersonNeeded
    if request.POST.get("confirm", "").strip() != account.accno:
        context = {
            "account": account, "waiting": waiting, "decision": decision, "mistyped": "confirm" in request.POST,
            "after": account.balance + waiting.amount,
        }  # fmt: skip
        return _page(request, "finance/rehearsal.html", context)
    if decision == "approve":
        adjustments.approve_adjustment(adjustment_id, by=request.caller, at=clock.now())
        messages.success(request, _("The adjustment was approved and booked."))
    else:
        reason = adjustments.require_reason(request.POST.get("reason", ""))
        adjustments.reject_adjustment(adjustment_id, by=request.caller, at=clock.now(), reason=reason)
        messages.info(request, _("The adjustment was rejected; no money moved."))
    return HttpResponseRedirect(reverse("finance_account", args=[accno]))


def _ledger_file(account: Account) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{account.accno}.csv"', "Cache-Control": "no-store"}
    lines = wallet.csv_lines(account)
    return cast("HttpResponse", StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers))


def _tell(request: HttpRequest, intent: Intent, outcome: object) -> None:
    """What became of it, at the head of the page that follows."""
    if isinstance(outcome, Adjustment):
        messages.info(request, _("The adjustment waits for a second person; no money has moved."))
    elif getattr(outcome, "repeated", False):
        text = _("The reference %(reference)s was booked before; nothing was booked again.")
        messages.warning(request, text % {"reference": intent.reference})
    else:
        messages.success(request, _("Booked."))


def _account_page(
    request: CallerRequest, account: Account, *, refusal: PlatformError | None = None, kind: str = ""
) -> HttpResponse:
    """The page, with the form that was refused as it was filled in and what is wrong with it."""
    roles = request.caller.roles
    context: dict[str, object] = {
        "account": account,
        "days_left": wallet.days_left(account, at=clock.now()),
        "may_write": bool(WRITERS.roles & roles),
        "actor": request.caller.actor,
        "refusal": refusal,
        "errors": refusal.fields.get("errors", {}) if refusal else {},
        "kind": kind,
        "typed": request.POST,
    }
    if LEDGER_READERS.roles & roles:
        context["wallet"] = wallet.read_wallet(account, page_request(request.GET, view=history.VIEW))
    return _page(request, "finance/account.html", context, status=refusal.http_status if refusal else HTTPStatus.OK)


def _page(
    request: CallerRequest, template: str, context: dict[str, object], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    response = render(request, template, context, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response
