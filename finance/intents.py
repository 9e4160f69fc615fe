"""What a person wants done to an account: read from a form, rehearsed by the code that will do it, then done.

The rehearsal runs the real posting and takes it back, so its figures and its refusals are those of the act itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.utils.translation import gettext as _

from billing_platform.auth import Caller
from billing_platform.errors import ValidationFailed
from billing_platform.money import AmountUnreadable, parse_amount
from billing_platform.transactions import repeated
from ledger import accounts, adjustments, funding, limits
from ledger.accounts import Account
from ledger.adjustments import Adjustment
from ledger.amounts import require_amount
from ledger.funding import Funding
from ledger.limits import Limits, WaitingLimits
from ledger.posting import Posted

MONEY_SECONDS = 8.0
REFERENCE_MAX, REASON_MAX = 100, 300
TOP_UP, ADJUSTMENT = "top_up", "adjustment"
COUNTERPARTS = {TOP_UP: "settlement", ADJUSTMENT: "adjustment"}
STANDINGS: dict[str, Callable[..., Account]] = {
    "suspend": accounts.suspend_account,
    "resume": accounts.resume_account,
}


@dataclass(frozen=True, slots=True)
class Intent:
    """A top-up or an adjustment as written in the form; `amount` in the account's currency."""

    kind: str
    amount: Decimal
    reference: str
    reason: str

    def funding(self, accno: str, *, by: Caller, at: datetime) -> Funding:
        """As the ledger takes it."""
        return Funding(accno, self.amount, self.reference, at, memo=self.reason, by=by)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would happen to the balance; whether it was booked before; whether a second person has to decide."""

    before: Decimal
    after: Decimal
    repeated: bool
    needs_second_person: bool


@dataclass(frozen=True, slots=True)
class LimitsIntent:
    """Other limits, and why."""

    limits: Limits
    reason: str


@dataclass(frozen=True, slots=True)
class LimitsRehearsal:
    """What other limits would do: the account as it would be, and whether a second person has to decide."""

    after: Account
    needs_second_person: bool


def read_intent(kind: str, form: Mapping[str, str]) -> Intent:
    """Raises ValidationFailed naming every field that is wrong."""
    errors: dict[str, list[str]] = {}
    amount = _amount(form.get("amount", ""), errors, field="amount")
    if kind == TOP_UP and amount < 0:
        errors["amount"] = [_("more than 0")]
    reference = _text(form, "reference", REFERENCE_MAX, errors)
    reason = _text(form, "reason", REASON_MAX, errors)
    if errors:
        raise ValidationFailed(errors=errors)
    return Intent(kind, amount, reference, reason)


def rehearse(intent: Intent, account: Account, *, by: Caller, at: datetime) -> Rehearsal:
    """Do it and take it back. Raises what the act would raise."""
    with transaction.atomic():
        posted = funding.post_funding(
            intent.funding(account.accno, by=by, at=at), counterpart=COUNTERPARTS[intent.kind], cause_type=intent.kind
        )
        transaction.set_rollback(True)
    second = intent.kind == ADJUSTMENT and not posted.repeated and adjustments.needs_second_person(intent.amount)
    return Rehearsal(account.balance, posted.balance, posted.repeated, second)


def carry_out(intent: Intent, account: Account, *, by: Caller, at: datetime) -> Posted | Adjustment:
    """The act itself, once per reference; an adjustment above the limit waits for a second person."""
    wanted = intent.funding(account.accno, by=by, at=at)
    if intent.kind == ADJUSTMENT and adjustments.needs_second_person(intent.amount):
        return adjustments.request_adjustment(wanted, by=by)
    move = funding.top_up if intent.kind == TOP_UP else funding.adjust
    return repeated(partial(move, wanted), seconds=MONEY_SECONDS, repeat_cut=True)


def read_limits(form: Mapping[str, str]) -> LimitsIntent:
    """Raises ValidationFailed naming every field that is wrong."""
    errors: dict[str, list[str]] = {}
    values = [_limit(form.get(field, ""), errors, field=field) for field in ("credit_limit", "warning_threshold")]
    reason = _text(form, "reason", REASON_MAX, errors)
    if errors:
        raise ValidationFailed(errors=errors)
    return LimitsIntent(Limits(*values), reason)


def rehearse_limits(intent: LimitsIntent, account: Account) -> LimitsRehearsal:
    """Set them and take it back. Raises what the act would raise."""
    with transaction.atomic():
        wanted = intent.limits
        after = accounts.set_limits(
            account.accno, credit_limit=wanted.credit_limit, warning_threshold=wanted.warning_threshold
        )
        transaction.set_rollback(True)
    return LimitsRehearsal(after, limits.needs_second_person(account, wanted))


def set_limits(intent: LimitsIntent, account: Account, *, by: Caller) -> Account | WaitingLimits:
    """The act itself; more credit than one person may give waits for a second one."""
    if limits.needs_second_person(account, intent.limits):
        return limits.request_limits(account.accno, intent.limits, by=by, reason=intent.reason)
    return limits.change_limits(account.accno, intent.limits, by=by, reason=intent.reason)


def read_reason(form: Mapping[str, str]) -> str:
    """Raises ValidationFailed for none, or a longer one than is kept."""
    errors: dict[str, list[str]] = {}
    reason = _text(form, "reason", REASON_MAX, errors)
    if errors:
        raise ValidationFailed(errors=errors)
    return reason


def rehearse_standing(act: str, account: Account) -> Account:
    """Suspend or resume and take it back: the account as it would be. Raises what the act would raise."""
    with transaction.atomic():
        after = STANDINGS[act](account.accno)
        transaction.set_rollback(True)
    return after


def change_standing(act: str, account: Account, *, by: Caller, reason: str) -> Account:
    """Suspend or resume; doing it twice is doing it once. Raises AccountClosed."""
    return STANDINGS[act](account.accno, by=by, reason=reason)


def _amount(text: str, errors: dict[str, list[str]], *, field: str) -> Decimal:
    """An amount the ledger can hold; 0 with an error beside it where there is none."""
    try:
        amount = parse_amount(text.strip().replace(",", "").replace("−", "-"))
        require_amount(amount)
    except (AmountUnreadable, ValueError):
        errors[field] = [_("an amount such as 100.00, at most six decimals")]
        return Decimal(0)
    return amount


def _limit(text: str, errors: dict[str, list[str]], *, field: str) -> Decimal:
    try:
        if parse_amount(text.strip()) == 0:
            return Decimal(0)
    except AmountUnreadable:
        pass
    amount = _amount(text, errors, field=field)
    if amount < 0:
        errors[field] = [_("0 or more")]
    return amount


def _text(form: Mapping[str, str], field: str, length_max: int, errors: dict[str, list[str]]) -> str:
    text = form.get(field, "").strip()
    if not text or len(text) > length_max or "\0" in text:
        errors[field] = [_("required, at most %(length)s characters") % {"length": length_max}]
    return text
