"""Holds: money set aside before a use, taken or given back once. Prospective spending may be refused here.

Amounts are Decimals > 0 in the account's currency. Functions join the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from billing_platform import clock
from billing_platform.errors import PlatformError
from billing_platform.failpoints import failpoint
from ledger.amounts import require_amount
from ledger.errors import AccountBlocked, AccountClosed, AccountNotFound, CauseConflict, HoldClosed, InsufficientBalance
from ledger.models import BillingAccount, Hold
from ledger.posting import lock_wallets

HOLD_GRACE = timedelta(minutes=5)  # an open hold older than its expiry and this is a breach
ZERO = Decimal(0)

# Lots whose time is over are no room, even before the expiry run has taken them; wallets without lots never look.
_SET_ASIDE = """
    UPDATE ledger_billingaccount a SET held = held + %(amount)s
    FROM (SELECT CASE WHEN has_lots THEN (
              SELECT coalesce(sum(remaining), 0) FROM ledger_creditlot
              WHERE account_id = %(account)s AND remaining > 0 AND expires_at <= %(at)s
          ) ELSE 0 END AS amount FROM ledger_billingaccount WHERE id = %(account)s) AS expired
    WHERE id = %(account)s AND state = 'active' AND balance - held - expired.amount - %(amount)s >= -credit_limit
    RETURNING balance - held - expired.amount + credit_limit
"""


@dataclass(frozen=True, slots=True)
class HeldMoney:
    """An open hold. `available` remains to the account after it; `repeated` when the reference was held before."""

    hold_id: int
    amount: Decimal
    expires_at: datetime
    available: Decimal
    repeated: bool = False


def place_hold(account_id: int, *, amount: Decimal, reference: str, expires_at: datetime) -> HeldMoney:
    """Set money aside when it fits: one conditional UPDATE. The same open reference and amount: the first hold again.

    Raises InsufficientBalance, AccountBlocked, AccountClosed, HoldClosed (reference ended), CauseConflict.
    """
    require_amount(amount)
    if amount < 0:
        raise ValueError(f"a hold is more than 0: {amount!r}")
    room = _set_aside(account_id, amount)
    hold_id = None if room is None else _insert_hold(account_id, amount, room, reference, expires_at)
    if room is not None and hold_id is not None:
        failpoint("ledger.holds.after_place")
        return HeldMoney(hold_id, amount, expires_at, room)
    if room is not None:
        _give_back(account_id, amount)  # this reference was held before
    earlier = _find_earlier(account_id, amount, reference)
    if earlier is None:
        raise _refusal(account_id)
    return earlier


def _set_aside(account_id: int, amount: Decimal) -> Decimal | None:
    """Raise `held` when that fits: the room left, None when it does not."""
    assert connection.in_atomic_block, "a hold without its row would never come back"
    with connection.cursor() as cursor:
        cursor.execute(_SET_ASIDE, {"amount": amount, "account": account_id, "at": clock.now()})
        row = cursor.fetchone()
    return None if row is None else row[0]


def _give_back(account_id: int, amount: Decimal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_billingaccount SET held = held - %s WHERE id = %s", [amount, account_id])


def _insert_hold(account_id: int, amount: Decimal, room: Decimal, reference: str, expires_at: datetime) -> int | None:
    """The id of the new hold; None when the reference exists. The wallet is locked, so nobody else inserts it now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO ledger_hold (account_id, amount, room_after, reference, state, expires_at)
            VALUES (%s, %s, %s, %s, 'open', %s) ON CONFLICT (account_id, reference) DO NOTHING RETURNING id
            """,
            [account_id, amount, room, reference, expires_at],
        )
        row = cursor.fetchone()
    return None if row is None else row[0]


def _find_earlier(account_id: int, amount: Decimal, reference: str) -> HeldMoney | None:
    """The open hold of this reference. Raises CauseConflict for another amount, HoldClosed when it has ended."""
    hold = Hold.objects.select_related("account").filter(account_id=account_id, reference=reference).first()
    if hold is None:
        return None
    if hold.amount != amount:
        raise CauseConflict(fields=["amount"])
    if hold.state != Hold.State.OPEN:
        raise HoldClosed(state=hold.state)
    available = hold.account.balance - hold.account.held + hold.account.credit_limit
    return HeldMoney(hold.pk, hold.amount, hold.expires_at, available, repeated=True)


def _refusal(account_id: int) -> PlatformError:
    """Why nothing can be held on this account."""
    account = BillingAccount.objects.filter(pk=account_id).first()
    if account is None:
        return AccountNotFound()
    if account.state == BillingAccount.State.CLOSED:
        return AccountClosed()
    if account.state == BillingAccount.State.SUSPENDED:
        return AccountBlocked(state=account.state)
    return InsufficientBalance(accno=account.accno)


def capture_holds(hold_ids: Sequence[int], *, cause: str, with_wallets: Iterable[int] = ()) -> dict[int, Decimal]:
    """Give open holds back to their wallets because the use is charged in this transaction; ended ones are left alone.

    `with_wallets` are the accounts that the transaction will post to: all are locked at once, after the holds.
    Answers the amounts of those that were open.
    """
    return _resolve(hold_ids, Hold.State.CAPTURED, cause, with_wallets)


def release_hold(hold_id: int, *, cause: str) -> Decimal:
    """Give one hold back; 0 when it had ended before."""
    return _resolve([hold_id], Hold.State.RELEASED, cause).get(hold_id, ZERO)


def expire_holds(hold_ids: Sequence[int], *, cause: str) -> dict[int, Decimal]:
    """End those of the open holds whose time is over; one that was extended meanwhile stays."""
    return _resolve(hold_ids, Hold.State.EXPIRED, cause, due_at=clock.now())


def extend_hold(hold_id: int, *, more: Decimal, expires_at: datetime) -> Decimal:
    """Hold `more` (may be 0) under the same hold until `expires_at`, never earlier than before; answers the whole.

    Raises HoldClosed when it has ended; InsufficientBalance, AccountBlocked and AccountClosed change nothing.
    """
    if more != 0:
        require_amount(more)
    if more < 0:
        raise ValueError(f"a hold only grows: {more!r}")
    hold = Hold.objects.select_for_update(no_key=True).get(pk=hold_id)
    if hold.state != Hold.State.OPEN:
        raise HoldClosed(state=hold.state)
    room = hold.room_after
    if more > 0:
        found = _set_aside(hold.account_id, more)
        if found is None:
            raise _refusal(hold.account_id)
        room = found
    hold.amount, hold.room_after, hold.expires_at = hold.amount + more, room, max(hold.expires_at, expires_at)
    hold.save(update_fields=["amount", "room_after", "expires_at"])
    return hold.amount


def find_expired(*, at: datetime, limit: int) -> list[int]:
    """Ids of open holds whose expiry has passed, oldest first."""
    rows = Hold.objects.filter(state=Hold.State.OPEN, expires_at__lte=at).order_by("expires_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def _resolve(
    hold_ids: Iterable[int],
    outcome: Hold.State,
    cause: str,
    with_wallets: Iterable[int] = (),
    *,
    due_at: datetime | None = None,
) -> dict[int, Decimal]:
    """Claim the open ones, write their resolutions, lower `held` once per wallet - holds first, wallets last."""
    wanted = sorted(set(hold_ids))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, account_id, amount FROM ledger_hold
            WHERE id = ANY(%s) AND state = 'open' AND (%s::timestamptz IS NULL OR expires_at <= %s)
            ORDER BY id FOR NO KEY UPDATE
            """,
            [wanted, due_at, due_at],
        )
        rows = cursor.fetchall()
        if not rows:
            return {}
        lock_wallets({row[1] for row in rows}.union(with_wallets))
        cursor.execute(
            """
            WITH claimed AS (
                UPDATE ledger_hold SET state = %(outcome)s WHERE id = ANY(%(ids)s) AND state = 'open'
                RETURNING id, account_id, amount
            ), resolved AS (
                INSERT INTO ledger_holdresolution (hold_id, outcome, cause)
                SELECT id, %(outcome)s, %(cause)s FROM claimed
            )
            UPDATE ledger_billingaccount a SET held = a.held - t.amount
            FROM (SELECT account_id, sum(amount) AS amount FROM claimed GROUP BY account_id) t WHERE a.id = t.account_id
            """,
            {"outcome": outcome.value, "ids": [row[0] for row in rows], "cause": cause},
        )
    return {row[0]: row[2] for row in rows}
