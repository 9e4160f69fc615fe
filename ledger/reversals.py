"""Corrections: new transfers that give back earlier ones; at most the whole, never more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from ledger.amounts import require_amount
from ledger.errors import ReversalExceeds
from ledger.posting import NewTransfer, Posted, lock_wallets, post_transfers


@dataclass(frozen=True, slots=True)
class Reversal:
    """What to give back: `amount` None = all of it. `reason` names the cause and makes a repeat harmless."""

    transfer_id: int
    reason: str
    effective_at: datetime
    amount: Decimal | None = None
    memo: str = ""


def reverse_transfers(reversals: Sequence[Reversal]) -> list[Posted]:
    """Post the opposite of earlier transfers to the same sides. Same (transfer, reason) again: the first receipt.

    Raises ReversalExceeds when the reversals of one transfer together would pass its amount.
    """
    return post_transfers(opposite_transfers(reversals))


def opposite_transfers(reversals: Sequence[Reversal]) -> list[NewTransfer]:
    """What `reverse_transfers` would post, one for each, for who posts it with what takes its place: accounts then
    tell only what came of both. Locks the wallets. Raises as `reverse_transfers`.
    """
    originals = _load_originals([reversal.transfer_id for reversal in reversals])
    lock_wallets(account_id for account_id, _, _ in originals.values())
    reversed_before = _reversed_amounts(list(originals))
    transfers = []
    for reversal in reversals:
        _, change, _ = originals[reversal.transfer_id]
        amount = abs(change) if reversal.amount is None else reversal.amount
        require_amount(amount)
        if amount < 0:
            raise ValueError(f"a reversal is more than 0: {amount!r}")
        others = {leg: sum_ for leg, sum_ in reversed_before[reversal.transfer_id].items() if leg != reversal.reason}
        if sum(others.values()) + amount > abs(change):
            raise ReversalExceeds(transfer=reversal.transfer_id)
        reversed_before[reversal.transfer_id][reversal.reason] = amount
        transfers.append(_opposite(reversal, amount, originals[reversal.transfer_id]))
    return transfers


def _opposite(reversal: Reversal, amount: Decimal, original: tuple[int, Decimal, str]) -> NewTransfer:
    account_id, change, counterpart = original
    return NewTransfer(
        account_id, amount if change < 0 else -amount, counterpart, "reversal", str(reversal.transfer_id),
        reversal.effective_at, cause_leg=reversal.reason, reverses=reversal.transfer_id, memo=reversal.memo,
    )  # fmt: skip


def _load_originals(transfer_ids: Sequence[int]) -> dict[int, tuple[int, Decimal, str]]:
    """Account, signed change of the wallet and counterpart of each transfer."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.id, t.account_id, CASE WHEN t.credit_id = a.wallet_id THEN t.amount ELSE -t.amount END,
                   regexp_replace(other.code, '/[^/]*$', '')
            FROM ledger_transfer t JOIN ledger_billingaccount a ON a.id = t.account_id
            JOIN ledger_ledgeraccount other
              ON other.id = CASE WHEN t.credit_id = a.wallet_id THEN t.debit_id ELSE t.credit_id END
            WHERE t.id = ANY(%s) AND t.reverses IS NULL
            """,
            [list(transfer_ids)],
        )
        found = {row[0]: (row[1], row[2], row[3]) for row in cursor.fetchall()}
    if len(found) != len(set(transfer_ids)):
        raise ReversalExceeds("only transfers that are no reversals themselves can be reversed")
    return found


def _reversed_amounts(transfer_ids: Sequence[int]) -> dict[int, dict[str, Decimal]]:
    """Per transfer what earlier reversals gave back, by reason."""
    amounts: dict[int, dict[str, Decimal]] = {transfer_id: {} for transfer_id in transfer_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT k.cause_id::bigint, k.cause_leg, t.amount FROM ledger_transferkey k
            JOIN ledger_transfer t ON t.id = k.transfer_id
            WHERE k.cause_type = 'reversal' AND k.cause_id = ANY(%s)
            """,
            [[str(transfer_id) for transfer_id in transfer_ids]],
        )
        for transfer_id, reason, amount in cursor.fetchall():
            amounts[transfer_id][reason] = amount
    return amounts
