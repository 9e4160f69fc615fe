"""The register of accounts: found by number, name or owner, page by page, with totals per currency."""

from dataclasses import dataclass
from decimal import Decimal

from billing_platform.paging import Page, PageRequest
from ledger.accounts import Account, State, accounts_where
from ledger.bounded import rows_within

VIEW = "accounts"
TOTAL_SECONDS = 5.0
BLOCKED = (State.OVERDRAWN.value, State.SUSPENDED.value)  # no new uses


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts: of an organisation (None: of all), whose number, name or owner has `text` in it, in one of the
    `states` (none: in any), and only those `below_warning`."""

    organization: str | None
    text: str = ""
    states: tuple[str, ...] = ()
    below_warning: bool = False


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """All accounts of a filter in one currency: what they have, what others owe (> 0), and what is held."""

    currency: str
    accounts: int
    has: Decimal
    owes: Decimal
    held: Decimal


_CONDITION = """
    WHERE (%s::text IS NULL OR a.organization = %s)
      AND (%s = '' OR strpos(a.accno, upper(%s)) > 0 OR strpos(lower(a.name), lower(%s)) > 0 OR a.owner = %s)
      AND (cardinality(%s::text[]) = 0 OR a.state = ANY(%s))
      AND (NOT %s OR a.balance < a.warning_threshold)
"""
_TOTALS = """
    SELECT a.currency, count(*), COALESCE(sum(a.balance) FILTER (WHERE a.balance > 0), 0),
           COALESCE(-sum(a.balance) FILTER (WHERE a.balance < 0), 0), sum(a.held)
    FROM ledger_billingaccount a
"""


def list_accounts(wanted: AccountFilter, asked: PageRequest) -> Page[Account]:
    """A page of the accounts by number."""
    after = str(asked.after[0]) if asked.after else ""
    where = f"{_CONDITION} AND a.accno > %s ORDER BY a.accno LIMIT %s"
    found = accounts_where(where, *_values(wanted), after, asked.limit + 1)
    return asked.page(found, lambda account: [account.accno], view=VIEW)


def total_accounts(wanted: AccountFilter) -> list[CurrencyTotal] | None:
    """The totals of the whole filter by currency; None when they could not be added up in 5 s."""
    rows = rows_within(TOTAL_SECONDS, f"{_TOTALS}{_CONDITION} GROUP BY a.currency ORDER BY a.currency", _values(wanted))
    return None if rows is None else [CurrencyTotal(*row) for row in rows]


def _values(wanted: AccountFilter) -> list[object]:
    states = list(wanted.states)
    return [
        wanted.organization, wanted.organization, *[wanted.text] * 4, states, states, wanted.below_warning,
    ]  # fmt: skip
