"""One account as its page shows it: money, days left, movements, prices, alerts. Reads only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from django.conf import settings
from django.db import connection
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.models import OutboxEvent, Role
from billing_platform.paging import LIMIT_MAX, Page, PageRequest, page_request
from billing_platform.sheets import BOM, Figure, csv_row
from ledger import adjustments, history
from ledger.accounts import Account, find_account, find_accounts
from ledger.adjustments import Adjustment
from ledger.errors import AccountNotFound
from ledger.history import TransferLine
from rating import tariffs
from rating.timetable import instant_of

USE_DAYS = 7  # the present use is the mean of these
DAYS_SHOWN_MAX = 999
ALERTS_MAX, ACCOUNTS_MAX = 20, 200
LEGS = ("", ".a", ".b")  # a two-leg service may have a deck for each leg
CAUSES: dict[str, "str | Promise"] = {
    "top_up": _("top-up"),
    "adjustment": _("adjustment"),
    "use": _("use"),
    "reversal": _("correction"),
    "lot_grant": _("gift"),
    "lot_expiry": _("gift expired"),
    "payment": _("order payment"),
    "bill": _("bill"),
}
ALERTS: dict[str, "str | Promise"] = {
    "account.low_balance": _("Balance below the warning threshold"),
    "account.overdrawn": _("Balance below the credit limit: calls are blocked"),
    "account.state": _("State of the account changed"),
}


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of the ledger. `change` > 0 came in; amounts in the account's currency."""

    line: TransferLine
    cause: str
    reference: str


@dataclass(frozen=True, slots=True)
class Pricing:
    """Which decks price a category, the first that knows the number wins: (subject, deck, version)."""

    category: str
    links: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that was told about the account, and whether it has arrived."""

    at: datetime
    text: str
    state: str
    state_label: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Wallet:
    """Everything below the head of the page."""

    movements: Page[Movement]
    waiting: list[Adjustment]
    pricing: list[Pricing]
    alerts: list[Alert]


def visible_account(caller: Caller, accno: str) -> Account:
    """The account for this reader. Raises AccountNotFound, also for another organisation's."""
    account = find_account(accno)
    sees_all = not caller.organization or Role.PLATFORM_ADMIN.value in caller.roles
    if account is None or not (sees_all or account.organization == caller.organization):
        raise AccountNotFound
    return account


def visible_accounts(caller: Caller) -> list[Account]:
    """The accounts of the reader's organisation by number, at most 200."""
    sees_all = not caller.organization or Role.PLATFORM_ADMIN.value in caller.roles
    where, parameters = ("", []) if sees_all else ("WHERE organization = %s", [caller.organization])
    sql = f"SELECT accno FROM ledger_account_facts {where} ORDER BY accno LIMIT {ACCOUNTS_MAX}"  # noqa: S608  constants
    found = find_accounts(accno for (accno,) in _rows(sql, parameters))
    return [found[accno] for accno in sorted(found)]


def days_left(account: Account, *, at: datetime) -> int | None:
    """For how many days the available money lasts at the use of the last seven; None without use, at most 999."""
    sql = """
        SELECT COALESCE(-sum(change), 0) FROM ledger_transfer_facts
        WHERE account_id = %s AND cause_type IN ('use', 'bill', 'payment') AND effective_at >= %s
    """
    ((used,),) = _rows(sql, [account.id, at - timedelta(days=USE_DAYS)])
    if used <= 0:
        return None
    left = max(account.available, Decimal(0)) * USE_DAYS // used
    return min(int(left), DAYS_SHOWN_MAX)


def read_wallet(account: Account, asked: PageRequest) -> Wallet:
    """The account's movements, waiting adjustments, prices and alerts."""
    page = history.list_transfers(account.id, asked)
    movements = Page([_movement(line, account.accno) for line in page.items], page.next_cursor)
    return Wallet(movements, adjustments.list_waiting(account.accno), _pricing(account), _alerts(account.accno))


def csv_lines(account: Account) -> Iterator[str]:
    """The whole ledger of the account, newest first, for a spreadsheet."""
    head = [_("Time"), _("What"), _("Reference"), _("Reason"), _("Amount"), _("Balance"), _("Currency")]
    yield BOM + csv_row([account.accno, account.name, settings.TIME_ZONE])
    yield csv_row([str(cell) for cell in head])
    asked: PageRequest | None = PageRequest(LIMIT_MAX, None)
    while asked is not None:
        page = history.list_transfers(account.id, asked)
        for line in page.items:
            yield _csv_line(_movement(line, account.accno), account)
        more = {"limit": str(LIMIT_MAX), "cursor": page.next_cursor or ""}
        asked = page_request(more, view=history.VIEW) if page.next_cursor else None


def _csv_line(movement: Movement, account: Account) -> str:
    line = movement.line
    return csv_row([
        localtime(line.created_at).isoformat(timespec="seconds"), movement.cause, movement.reference, line.memo,
        Figure(f"{line.change:f}"), Figure(f"{line.balance_after:f}"), account.currency,
    ])  # fmt: skip


def _movement(line: TransferLine, accno: str) -> Movement:
    own = f"{accno}:"  # people's references stand behind the account; what a program did has a number
    reference = line.cause_id.removeprefix(own) if line.cause_id.startswith(own) else f"#{line.cause_id}"
    return Movement(line, str(CAUSES.get(line.cause_type, line.cause_type)), reference)


def _pricing(account: Account) -> list[Pricing]:
    """The chain of decks now, for each service that has one."""
    at = clock.now()
    found = []
    items = cast("Mapping[str, tuple[str, str, str | None]]", settings.BILLING["SERVICE_ITEMS"])
    for label, *_rest in items.values():
        for leg in LEGS:
            category = f"{label}{leg}"
            tariff = tariffs.tariff_for(tenant=account.organization, category=category, subject=account.accno, at=at)
            links = tariff.stage_at(instant_of(at), "").links
            if links:
                decks = [(link.subject, link.version.head.deck, link.version.head.version) for link in links]
                found.append(Pricing(category, decks))
    return found


def _alerts(accno: str) -> list[Alert]:
    events = OutboxEvent.objects.filter(subject=accno, topic__in=ALERTS).order_by("-id")[:ALERTS_MAX]
    return [
        Alert(event.created_at, str(ALERTS[event.topic]), event.state, event.get_state_display(), event.attempts)
        for event in events
    ]


def _rows(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
