"""One account as its page shows it: money, how long it lasts, movements, what waits. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing_platform.auth import Caller
from billing_platform.paging import Page, PageRequest
from finance import alerts, prices
from finance.alerts import Alert
from finance.prices import Pricing
from ledger import adjustments, history, limits
from ledger.accounts import Account, find_account
from ledger.adjustments import Adjustment
from ledger.errors import AccountNotFound
from ledger.history import TransferLine
from ledger.limits import WaitingLimits

USE_SPAN = timedelta(days=7)  # the present use is the mean of these
SPAN_MIN = timedelta(days=1)  # of a younger account: as if the first day's use were a whole day's
DAYS_SHOWN_MAX = 999
CAUSES: dict[str, "str | Promise"] = {
    "top_up": _("top-up"),
    "adjustment": _("adjustment"),
    "use": _("use"),
    "reversal": pgettext_lazy("ledger", "correction"),
    "lot_grant": _("gift"),
    "lot_expiry": _("gift expired"),
    "payment": _("order payment"),
    "bill": _("bill"),
}


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of the ledger. `change` > 0 came in; amounts in the account's currency."""

    line: TransferLine
    cause: str
    reference: str


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long the available money lasts at the present use: `days` (at most 999), None without use. Not `known`: there
    was too much use to add it up in time."""

    days: int | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Wallet:
    """Everything below the head of the page."""

    movements: Page[Movement]
    waiting: list[Adjustment]
    waiting_limits: WaitingLimits | None
    pricing: list[Pricing]
    alerts: list[Alert]


def visible_account(caller: Caller, accno: str) -> Account:
    """The account for this reader. Raises AccountNotFound, also for another organisation's."""
    account = find_account(accno)
    if account is None or not (caller.sees_all or account.organization == caller.organization):
        raise AccountNotFound
    return account


def lasting(account: Account, *, at: datetime) -> Lasting:
    """The money that may still be spent, credit included, over the mean use of the last seven days.

    Of an account that is younger the mean is of its life, at least a day. What is corrected counts as it ended.
    """
    spent = history.spending(account.id, since=at - USE_SPAN, at=at)
    if spent is None:
        return Lasting(known=False)
    if spent.amount <= 0:
        return Lasting()
    span = max(min(at - spent.begins, USE_SPAN), SPAN_MIN) if spent.begins else USE_SPAN
    left = max(account.available, Decimal(0)) * (span // timedelta(seconds=1)) / (spent.amount * 86_400)
    return Lasting(min(int(left), DAYS_SHOWN_MAX))


def read_wallet(account: Account, asked: PageRequest, *, at: datetime) -> Wallet:
    """The account's movements, what waits for a second person, prices and alerts."""
    page = history.list_transfers(account.id, asked)
    return Wallet(
        Page([movement_of(line, account.accno) for line in page.items], page.next_cursor),
        adjustments.list_waiting(account.accno),
        limits.find_waiting(account.accno),
        prices.prices_of(account, at=at),
        alerts.list_alerts(account),
    )


def movement_of(line: TransferLine, accno: str) -> Movement:
    """The line with its cause in words. People's references stand behind the account, a program's are numbers."""
    own = f"{accno}:"
    reference = line.cause_id.removeprefix(own) if line.cause_id.startswith(own) else f"#{line.cause_id}"
    return Movement(line, str(CAUSES.get(line.cause_type, line.cause_type)), reference)
