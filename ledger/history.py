"""An account's transfers, newest first, each with the balance that it left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from billing_platform.paging import Page, PageRequest

VIEW = "account_transfers"


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
