"""An account's transfers, newest first, each with the balance that it left; and what it has spent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from billing_platform.paging import Page, PageRequest
from ledger.bounded import rows_within

VIEW = "account_transfers"
SPENDING_SECONDS = 2.0
# Uses, bills and payments go to revenue, and what is corrected comes back from there. `created_at` names the
# partitions; where a test clock runs ahead it lags behind `effective_at`.
_SPENT = """
    SELECT COALESCE(sum(CASE WHEN t.debit_id = a.wallet_id THEN t.amount ELSE -t.amount END), 0)
    FROM ledger_billingaccount a
    JOIN ledger_transfer t ON t.account_id = a.id
    JOIN ledger_ledgeraccount other ON other.kind = 'revenue' AND other.id IN (t.debit_id, t.credit_id)
    WHERE a.id = %(account)s AND t.effective_at >= %(since)s
      AND t.created_at >= least(%(since)s, now() - (%(at)s - %(since)s))
"""
_FIRST = "SELECT effective_at FROM ledger_transfer_facts WHERE account_id = %s ORDER BY id LIMIT 1"


@dataclass(frozen=True, slots=True)
class TransferLine:
    """One transfer as the account sees it: `change` > 0 came in; `balance_after` in the account's currency."""

    id: int
    change: Decimal
    balance_after: Decimal
    counterpart: str
    cause_type: str
    cause_id: str
    cause_leg: str
    reverses: int | None
    effective_at: datetime
    created_at: datetime
    memo: str


@dataclass(frozen=True, slots=True)
class Spending:
    """What an account spent, ≥ 0 unless more was corrected, and when it moved for the first time (None: never)."""

    amount: Decimal
    begins: datetime | None


def list_transfers(account_id: int, asked: PageRequest) -> Page[TransferLine]:
    """A page of the account's history. The cursor carries the balance: a deep page costs what the first one does."""
    before, balance = (None, None) if asked.after is None else (int(asked.after[0]), Decimal(str(asked.after[1])))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.id, t.change, a.balance, t.counterpart, t.cause_type, t.cause_id, t.cause_leg, t.reverses,
                   t.effective_at, t.created_at, t.memo
            FROM ledger_account_facts a JOIN ledger_transfer_facts t ON t.account_id = a.id
            WHERE a.id = %s AND (%s IS NULL OR t.id < %s) ORDER BY t.id DESC LIMIT %s
            """,
            [account_id, before, before, asked.limit + 1],
        )
        rows = cursor.fetchall()
    return asked.page(_lines(rows, balance), _cursor_after, view=VIEW)


def spending(account_id: int, *, since: datetime, at: datetime) -> Spending | None:
    """What the account spent from `since` until `at`, which is now; None when that is too much to add up in 2 s."""
    asked = {"account": account_id, "since": since, "at": at}
    spent = rows_within(SPENDING_SECONDS, _SPENT, asked)
    first = rows_within(SPENDING_SECONDS, _FIRST, [account_id])
    if spent is None or first is None:
        return None
    return Spending(spent[0][0], first[0][0] if first else None)


def _lines(rows: Sequence[tuple[Any, ...]], balance: Decimal | None) -> list[TransferLine]:
    """Wallets are locked before a transfer gets its id, so id order is the order in which balances moved."""
    lines = []
    for transfer_id, change, present, *rest in rows:
        after = present if balance is None else balance
        lines.append(TransferLine(transfer_id, change, after, *rest))
        balance = after - change
    return lines


def _cursor_after(line: TransferLine) -> list[str | int]:
    return [line.id, f"{line.balance_after - line.change:f}"]
