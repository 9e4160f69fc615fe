"""The pages of accounts and what may be done there: every act is shown first, and done when the number was typed."""

from decimal import Decimal
from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.answers import own_page, rows_file
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Conflict, PlatformError, ValidationFailed
from billing_platform.models import Role
from billing_platform.paging import page_request
from finance import files, intents, listing, wallet
from finance.intents import Intent
from ledger import adjustments, history, limits, register
from ledger.accounts import Account
from ledger.adjustments import Adjustment
from ledger.errors import AccountClosed, AdjustmentNotFound, LimitsNotWaiting, SecondPersonNeeded
from ledger.limits import WaitingLimits
from rating.api import EXPLAINERS

WRITER_ROLES = (Role.FINANCE.value,)
WRITERS = audience(roles=WRITER_ROLES)
LEDGER_READERS = audience(roles=tuple(listing.READERS))
BALANCE_READERS = audience(roles=(*listing.READERS, Role.SUPERVISOR.value, Role.AGENT.value))


@door(LEDGER_READERS)
def accounts_page(request: CallerRequest) -> HttpResponse:
    """`/finance/`: the accounts of the organisation, filtered; the totals of the filter are a question of their own."""
    wanted = listing.read_filter(request.GET, request.caller)
    if "format" in request.GET:
        rows = files.account_rows(wanted, at=clock.now())
        return rows_file(rows, name="accounts", kind=request.GET["format"])
    if request.GET.get("part") == "totals":
        return own_page(request, "finance/_totals.html", {"totals": register.total_accounts(wanted)})
    accounts = register.list_accounts(wanted, page_request(request.GET, view=register.VIEW))
    context = {"accounts": accounts, "filter": listing.shown_filter(request.GET), "standings": listing.STANDINGS}
    return own_page(request, "finance/accounts.html", context)


@door(BALANCE_READERS)
def account_page(request: CallerRequest, accno: str) -> HttpResponse:
    """S12. Agents and supervisors see the balance; the ledger is for finance, operations and auditors."""
    account = wallet.visible_account(request.caller, accno)
    if "format" in request.GET:
        LEDGER_READERS.admit(request.caller)
        rows = files.ledger_rows(account, at=clock.now())
        return rows_file(rows, name=account.accno, kind=request.GET["format"])
    return _account_page(request, account)


@door(WRITERS, ("POST",))
def funding_page(request: CallerRequest, accno: str, kind: str) -> HttpResponse:
    """A top-up or an adjustment: the rehearsal first, the act when the account number was typed below it."""
    account = wallet.visible_account(request.caller, accno)
    try:
        intent = intents.read_intent(kind, request.POST)
        rehearsal = intents.rehearse(intent, account, by=request.caller, at=clock.now())
        if not _is_confirmed(request, account):
            return _rehearsal(request, account, {"intent": intent, "rehearsal": rehearsal})
        outcome = intents.carry_out(intent, account, by=request.caller, at=clock.now())
    except (ValidationFailed, Conflict, AccountClosed) as refusal:
        return _account_page(request, account, refusal=refusal, kind=kind)
    _tell(request, intent, outcome)
    return _back(account)


@door(WRITERS, ("POST",))
def limits_page(request: CallerRequest, accno: str) -> HttpResponse:
    """Credit limit and warning threshold: shown first, set when the account number was typed."""
    account = wallet.visible_account(request.caller, accno)
    try:
        intent = intents.read_limits(request.POST)
        rehearsal = intents.rehearse_limits(intent, account)
        if not _is_confirmed(request, account):
            return _rehearsal(request, account, {"limits": intent, "rehearsal": rehearsal})
        outcome = intents.set_limits(intent, account, by=request.caller)
    except (ValidationFailed, Conflict, AccountClosed) as refusal:
        return _account_page(request, account, refusal=refusal, kind="limits")
    if isinstance(outcome, WaitingLimits):
        messages.info(request, _("The limits wait for a second person; nothing has changed."))
    else:
        messages.success(request, _("The limits were changed."))
    return _back(account)


@door(WRITERS, ("POST",))
def standing_page(request: CallerRequest, accno: str, act: str) -> HttpResponse:
    """Suspend or resume: what that means for calls is shown first, done when the account number was typed."""
    account = wallet.visible_account(request.caller, accno)
    try:
        reason = intents.read_reason(request.POST)
        after = intents.rehearse_standing(act, account)
        if not _is_confirmed(request, account):
            return _rehearsal(request, account, {"standing": act, "after": after, "reason": reason})
        changed = intents.change_standing(act, account, by=request.caller, reason=reason)
    except (ValidationFailed, AccountClosed) as refusal:
        return _account_page(request, account, refusal=refusal, kind="standing")
    blocked = changed.state in register.BLOCKED
    messages.success(request, _("New calls are refused now.") if blocked else _("New calls are possible again."))
    return _back(account)


@door(WRITERS, ("POST",))
def decision_page(request: CallerRequest, accno: str, adjustment_id: int, decision: str) -> HttpResponse:
    """A second person approves or rejects an adjustment that waits; who asked may only take it back."""
    account = wallet.visible_account(request.caller, accno)
    waiting = adjustments.read_adjustment(adjustment_id)
    if waiting.accno != account.accno:
        raise AdjustmentNotFound
    _require_another(request, decision, waiting.requested_by)
    if not _is_confirmed(request, account):
        context = {"waiting": waiting, "decision": decision, "after": account.balance + waiting.amount}
        return _rehearsal(request, account, context)
    if decision == "approve":
        adjustments.approve_adjustment(adjustment_id, by=request.caller, at=clock.now())
        messages.success(request, _("The adjustment was approved and booked."))
    else:
        reason = intents.read_reason(request.POST)
        adjustments.reject_adjustment(adjustment_id, by=request.caller, at=clock.now(), reason=reason)
        messages.info(request, _("The adjustment was rejected; no money moved."))
    return _back(account)


@door(WRITERS, ("POST",))
def limits_decision_page(request: CallerRequest, accno: str, request_id: int, decision: str) -> HttpResponse:
    """A second person approves or rejects limits that wait; who asked may only take them back."""
    account = wallet.visible_account(request.caller, accno)
    waiting = limits.read_waiting(request_id)
    if waiting.accno != account.accno:
        raise LimitsNotWaiting
    _require_another(request, decision, waiting.requested_by)
    if not _is_confirmed(request, account):
        return _rehearsal(request, account, {"waiting_limits": waiting, "decision": decision})
    if decision == "approve":
        limits.approve_limits(request_id, by=request.caller, at=clock.now())
        messages.success(request, _("The limits were approved and set."))
    else:
        reason = intents.read_reason(request.POST)
        limits.reject_limits(request_id, by=request.caller, at=clock.now(), reason=reason)
        messages.info(request, _("The limits were rejected; nothing has changed."))
    return _back(account)


def _require_another(request: CallerRequest, decision: str, requested_by: str) -> None:
    """Said before anybody types a number for nothing. Raises SecondPersonNeeded."""
    if decision == "approve" and requested_by == request.caller.actor:
        raise SecondPersonNeeded


def _is_confirmed(request: CallerRequest, account: Account) -> bool:
    return bool(request.POST.get("confirm", "").strip() == account.accno)


def _back(account: Account) -> HttpResponse:
    return HttpResponseRedirect(reverse("finance_account", args=[account.accno]))


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
    roles, at = request.caller.roles, clock.now()
    context: dict[str, object] = {
        "account": account,
        "is_low": account.balance < account.warning_threshold,
        "lacking": max(-account.balance - account.credit_limit, Decimal(0)),
        "lasting": wallet.lasting(account, at=at),
        "may_write": bool(WRITERS.roles & roles),
        "may_explain": bool(EXPLAINERS.roles & roles),
        "actor": request.caller.actor,
        "refusal": refusal,
        "errors": refusal.fields.get("errors", {}) if refusal else {},
        "kind": kind,
        "typed": request.POST,
    }
    if LEDGER_READERS.roles & roles:
        context["wallet"] = wallet.read_wallet(account, page_request(request.GET, view=history.VIEW), at=at)
    return own_page(request, "finance/account.html", context, status=refusal.http_status if refusal else HTTPStatus.OK)


def _rehearsal(request: CallerRequest, account: Account, context: dict[str, object]) -> HttpResponse:
    mistyped = {"account": account, "mistyped": "confirm" in request.POST}
    return own_page(request, "finance/rehearsal.html", context | mistyped)
