"""What the pages show, as the rows of files: every row of the same question, numbers as numbers."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from billing_platform.answers import Row
from billing_platform.paging import LIMIT_MAX, PageRequest, page_request
from billing_platform.sheets import Figure
from finance.wallet import movement_of
from ledger import history, register
from ledger.accounts import Account
from ledger.register import AccountFilter


def ledger_rows(account: Account, *, at: datetime) -> Iterator[Row]:
    """The whole ledger of the account, newest first, below a head that names the account and the zone."""
    yield [account.accno, account.name, account.currency, settings.TIME_ZONE, _instant(at)]
    yield [_("Time"), _("What"), _("Reference"), _("Reason"), _("Amount"), _("Balance"), _("Currency")]
    asked: PageRequest | None = PageRequest(LIMIT_MAX, None)
    while asked is not None:
        page = history.list_transfers(account.id, asked)
        for line in page.items:
            movement = movement_of(line, account.accno)
            change, after = Figure(f"{line.change:f}"), Figure(f"{line.balance_after:f}")
            yield [
                _instant(line.created_at), movement.cause, movement.reference, line.memo, change, after,
                account.currency,
            ]  # fmt: skip
        asked = _following(page.next_cursor, history.VIEW)


def account_rows(wanted: AccountFilter, *, at: datetime) -> Iterator[Row]:
    """All accounts of a filter by number, below a head that names the filter and the zone."""
    below = [_("below the warning threshold")] if wanted.below_warning else []
    asked_for = [wanted.organization or "*", wanted.text, *wanted.states, *below]
    yield [_("Accounts"), *asked_for, settings.TIME_ZONE, _instant(at)]
    yield [
        _("Account"), _("Name"), _("Organisation"), _("State"), _("Currency"), _("Balance"), _("Held"),
        _("Credit limit"), _("Available"), _("Warn below"),
    ]  # fmt: skip
    asked: PageRequest | None = PageRequest(LIMIT_MAX, None)
    while asked is not None:
        page = register.list_accounts(wanted, asked)
        for account in page.items:
            money = (
                account.balance, account.held, account.credit_limit, account.available, account.warning_threshold,
            )  # fmt: skip
            yield [
                account.accno, account.name, account.organization, account.state, account.currency,
                *(Figure(f"{amount:f}") for amount in money),
            ]  # fmt: skip
        asked = _following(page.next_cursor, register.VIEW)


def _following(cursor: str | None, view: str) -> PageRequest | None:
    return page_request({"limit": str(LIMIT_MAX), "cursor": cursor}, view=view) if cursor else None


def _instant(at: datetime) -> str:
    return localtime(at).isoformat(timespec="seconds")
