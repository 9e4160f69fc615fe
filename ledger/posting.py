"""Posting: the only writer of balances. Promise: a cause posts once, both sides are named, wallets are locked last.

Amounts are Decimals of at most 6 places in the wallet's currency. Every function here joins the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec
from django.db import connection
from msgspec.structs import replace

from billing_platform.arrays import numbers_array, texts_array
from billing_platform.copying import Cell, copy_rows
from billing_platform.failpoints import failpoint
from billing_platform.outbox import NewEvent, record_events
from ledger import lots
from ledger.accounts import state_event, system_account_ids
from ledger.amounts import require_amount
from ledger.errors import AccountBlocked, AccountClosed, AccountNotFound, CauseConflict, InsufficientBalance
from ledger.models import BillingAccount

ZERO = Decimal(0)
LOT_CAUSES = frozenset({"lot_grant", "lot_expiry"})
State = BillingAccount.State


class NewTransfer(msgspec.Struct, frozen=True, gc=False):
    """Money to move: `change` > 0 into the wallet, < 0 out of it; `counterpart`: a system account's `kind[:label]`."""

    account_id: int
    change: Decimal
    counterpart: str
    cause_type: str
    cause_id: str
    effective_at: datetime
    cause_leg: str = ""
    reverses: int | None = None
    memo: str = ""

    @property
    def cause(self) -> tuple[str, str, str]:
        return self.cause_type, self.cause_id, self.cause_leg


@dataclass(frozen=True, slots=True)
class Posted:
    """The receipt of one transfer; `repeated` when its cause had been posted before.

    `balance` and `state` are the account's after the whole batch.
    """

    transfer_id: int
    amount: Decimal
    repeated: bool
    balance: Decimal
    state: str


class Wallet(msgspec.Struct, frozen=True, gc=False):
    """A wallet as locked (or as left by posting) in this transaction."""

    account_id: int
    accno: str
    organization: str
    wallet_id: int
    currency: str
    balance: Decimal
    held: Decimal
    credit_limit: Decimal
    warning_threshold: Decimal
    state: str
    has_lots: bool

    @property
    def available(self) -> Decimal:
        return self.balance - self.held + self.credit_limit


_WALLET_COLUMNS = (
    "id, accno, organization, wallet_id, currency, balance, held, credit_limit, warning_threshold, state, has_lots"
)


def lock_wallets(account_ids: Iterable[int]) -> dict[int, Wallet]:
    """Lock all wallets of a batch at once, in id order. Raises AccountNotFound when one is missing."""
    assert connection.in_atomic_block, "money moves inside a transaction, or half of it might"
    wanted = sorted(set(account_ids))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {_WALLET_COLUMNS} FROM ledger_billingaccount WHERE id = ANY(%s::bigint[])
            ORDER BY id FOR NO KEY UPDATE
            """,  # noqa: S608  constant columns
            [numbers_array(wanted)],
        )
        wallets = {row[0]: Wallet(*row) for row in cursor.fetchall()}
    if len(wallets) != len(wanted):
        raise AccountNotFound
    return wallets


def find_free_wallets(account_ids: Iterable[int]) -> set[int]:
    """Those accounts that no other transaction has locked at this moment; locks nothing beyond the statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM ledger_billingaccount WHERE id = ANY(%s) FOR NO KEY UPDATE SKIP LOCKED",
            [list(set(account_ids))],
        )
        return {row[0] for row in cursor.fetchall()}


def post_transfers(transfers: Sequence[NewTransfer]) -> list[Posted]:
    """Post what has happened, whatever the balance; accounts may fall into debt and are then `overdrawn`.

    Same cause and same content: the first transfer again. Raises CauseConflict on other content, AccountNotFound.
    """
    if not transfers:
        return []
    wallets = lock_wallets(transfer.account_id for transfer in transfers)
    return _post(transfers, wallets)


def post_payment(transfer: NewTransfer) -> Posted:
    """Post a prospective payment: only when the room above the credit limit suffices.

    Same cause and same content: the first transfer again. Raises InsufficientBalance, AccountBlocked, AccountClosed.
    """
    require_amount(transfer.change)
    wallet = lock_wallets([transfer.account_id])[transfer.account_id]
    room = wallet.available + transfer.change
    if wallet.has_lots:
        room -= lots.expired_total(wallet.account_id, at=transfer.effective_at)
    if not _find_posted([transfer]):
        _require_payable(wallet, room)
    return _post([transfer], {transfer.account_id: wallet}, room_after=room)[0]


def _require_payable(wallet: Wallet, room: Decimal) -> None:
    if wallet.state == State.CLOSED:
        raise AccountClosed
    if wallet.state == State.SUSPENDED:
        raise AccountBlocked(state=wallet.state)
    if room < 0:
        raise InsufficientBalance(accno=wallet.accno)


def _post(
    transfers: Sequence[NewTransfer], wallets: dict[int, Wallet], *, room_after: Decimal | None = None
) -> list[Posted]:
    for transfer in transfers:
        require_amount(transfer.change)
    fresh_ids = _insert_keys(transfers)
    pairs = list(zip(transfers, fresh_ids, strict=True))
    earlier = _find_posted([transfer for transfer, fresh_id in pairs if fresh_id is None])
    earlier_ids = [_same_or_conflict(transfer, earlier) if fresh_id is None else 0 for transfer, fresh_id in pairs]
    fresh = [(fresh_id, transfer) for transfer, fresh_id in pairs if fresh_id is not None]
    after = wallets | (_settle(fresh, wallets, room_after) if fresh else {})
    return [
        Posted(
            fresh_id or earlier_id, abs(transfer.change), fresh_id is None, after[transfer.account_id].balance,
            after[transfer.account_id].state,
        )
        for (transfer, fresh_id), earlier_id in zip(pairs, earlier_ids, strict=True)
    ]  # fmt: skip


def _settle(
    fresh: Sequence[tuple[int, NewTransfer]], wallets: dict[int, Wallet], room_after: Decimal | None
) -> dict[int, Wallet]:
    """Write new transfers and move their wallets; answers the wallets as they are then."""
    _insert_transfers(fresh, wallets, room_after)
    changes: dict[int, Decimal] = {}
    for _, transfer in fresh:
        changes[transfer.account_id] = changes.get(transfer.account_id, ZERO) + transfer.change
    _draw_lots(fresh, wallets)
    after = {account_id: _after(wallets[account_id], change) for account_id, change in changes.items()}
    _write_balances(after.values())
    failpoint("ledger.posting.after_balance")
    record_events([event for wallet in after.values() for event in _limit_events(wallets[wallet.account_id], wallet)])
    return after


def _insert_keys(transfers: Sequence[NewTransfer]) -> list[int | None]:
    """A new transfer id for each cause that is new, None for those that exist."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO ledger_transferkey (cause_type, cause_id, cause_leg, transfer_id)
            SELECT cause_type, cause_id, cause_leg, nextval('ledger_transfer_id_seq')
            FROM unnest(%s::text[], %s::text[], %s::text[]) AS t(cause_type, cause_id, cause_leg)
            ON CONFLICT DO NOTHING RETURNING cause_type, cause_id, cause_leg, transfer_id
            """,
            [
                texts_array(transfer.cause_type for transfer in transfers),
                texts_array(transfer.cause_id for transfer in transfers),
                texts_array(transfer.cause_leg for transfer in transfers),
            ],
        )
        ids = {(row[0], row[1], row[2]): row[3] for row in cursor.fetchall()}
    return [ids.pop(transfer.cause, None) for transfer in transfers]


def _find_posted(transfers: Sequence[NewTransfer]) -> dict[tuple[str, str, str], tuple[int, int, Decimal, str]]:
    if not transfers:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT k.cause_type, k.cause_id, k.cause_leg, t.id, t.account_id,
                   CASE WHEN t.credit_id = a.wallet_id THEN t.amount ELSE -t.amount END, other.code
            FROM unnest(%s::text[], %s::text[], %s::text[]) AS asked(cause_type, cause_id, cause_leg)
            JOIN ledger_transferkey k USING (cause_type, cause_id, cause_leg)
            JOIN ledger_transfer t ON t.id = k.transfer_id
            JOIN ledger_billingaccount a ON a.id = t.account_id
            JOIN ledger_ledgeraccount other
              ON other.id = CASE WHEN t.credit_id = a.wallet_id THEN t.debit_id ELSE t.credit_id END
            """,
            [[t.cause_type for t in transfers], [t.cause_id for t in transfers], [t.cause_leg for t in transfers]],
        )
        return {(row[0], row[1], row[2]): (row[3], row[4], row[5], row[6]) for row in cursor.fetchall()}


def _same_or_conflict(transfer: NewTransfer, earlier: dict[tuple[str, str, str], tuple[int, int, Decimal, str]]) -> int:
    """The earlier transfer of this cause; the same cause twice in one batch is a conflict with itself."""
    if transfer.cause not in earlier:
        raise CauseConflict
    transfer_id, account_id, change, counterpart_code = earlier[transfer.cause]
    same = (account_id, change) == (transfer.account_id, transfer.change)
    if not same or counterpart_code.rpartition("/")[0] != transfer.counterpart:
        raise CauseConflict
    return transfer_id


_TRANSFER_COLUMNS = (
    "id", "account_id", "debit_id", "credit_id", "amount", "currency", "cause_type", "cause_id", "cause_leg",
    "reverses", "effective_at", "memo", "room_after",
)  # fmt: skip


def _insert_transfers(
    fresh: Sequence[tuple[int, NewTransfer]], wallets: dict[int, Wallet], room_after: Decimal | None
) -> None:
    sides = system_account_ids({(t.counterpart, wallets[t.account_id].currency) for _, t in fresh})
    copy_rows(
        "ledger_transfer",
        _TRANSFER_COLUMNS,
        [_transfer_row(transfer_id, transfer, wallets, sides, room_after) for transfer_id, transfer in fresh],
    )


def _transfer_row(
    transfer_id: int,
    transfer: NewTransfer,
    wallets: dict[int, Wallet],
    sides: dict[tuple[str, str], int],
    room_after: Decimal | None,
) -> tuple[Cell, ...]:
    wallet = wallets[transfer.account_id]
    other = sides[transfer.counterpart, wallet.currency]
    debit, credit = (other, wallet.wallet_id) if transfer.change > 0 else (wallet.wallet_id, other)
    return (
        transfer_id, transfer.account_id, debit, credit, abs(transfer.change), wallet.currency, transfer.cause_type,
        transfer.cause_id, transfer.cause_leg, transfer.reverses, transfer.effective_at, transfer.memo, room_after,
    )  # fmt: skip


def _write_balances(wallets: Iterable[Wallet]) -> None:
    """One UPDATE for all locked wallets."""
    rows = list(wallets)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ledger_billingaccount a SET balance = t.balance, state = t.state
            FROM unnest(%s::bigint[], %s::numeric[], %s::text[]) AS t(id, balance, state) WHERE a.id = t.id
            """,
            [
                numbers_array(row.account_id for row in rows),
                numbers_array(row.balance for row in rows),
                texts_array(row.state for row in rows),
            ],
        )


def _draw_lots(fresh: Sequence[tuple[int, NewTransfer]], wallets: dict[int, Wallet]) -> None:
    """Wallets without lots never touch their table; grants and expiries of lots name their lot themselves."""
    for wallet in (wallet for wallet in wallets.values() if wallet.has_lots):
        spendings = [
            lots.Spending(transfer_id, transfer.change, transfer.reverses, transfer.effective_at)
            for transfer_id, transfer in fresh
            if transfer.account_id == wallet.account_id and transfer.cause_type not in LOT_CAUSES
        ]
        lots.draw(wallet.account_id, balance=wallet.balance, spendings=spendings)


def _after(wallet: Wallet, change: Decimal) -> Wallet:
    """`overdrawn` once the balance is past the credit limit, `active` again when it is back; other states stay."""
    balance, state = wallet.balance + change, wallet.state
    if state in {State.ACTIVE, State.OVERDRAWN}:
        state = State.OVERDRAWN.value if balance < -wallet.credit_limit else State.ACTIVE.value
    return replace(wallet, balance=balance, state=state)


def _limit_events(before: Wallet, after: Wallet) -> list[NewEvent]:
    """What crossing a limit tells: downwards with the balance, upwards that calls may start again."""
    if (before.state, after.state) == (State.OVERDRAWN, State.ACTIVE):
        return [state_event(after.accno, organization=after.organization, state=after.state)]
    topics = []
    if before.balance >= before.warning_threshold > after.balance:
        topics.append("account.low_balance")
    if before.state != after.state and after.state == State.OVERDRAWN:
        topics.append("account.overdrawn")
    payload = {"accno": after.accno, "balance": f"{after.balance:f}"}
    return [NewEvent(topic, after.organization, after.accno, payload) for topic in topics]
