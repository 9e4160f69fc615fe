"""Money that comes and goes by people's decision: top-ups, adjustments, granted credit and its expiry.

Every function is a use-case with one durable transaction; the reference makes a repeat harmless.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.trail import record_act
from billing_platform.transactions import limit_waiting
from ledger import lots
from ledger.accounts import load_account
from ledger.errors import AccountClosed
from ledger.models import BillingAccount, CreditLot, LotConsumption
from ledger.posting import NewTransfer, Posted, lock_wallets, post_transfers


@dataclass(frozen=True, slots=True)
class Funding:
    """A movement of money by decision: `amount` in the account's currency, `reference` unique per account and kind.

    `by` leaves an audit entry with `memo` as its reason.
    """

    accno: str
    amount: Decimal
    reference: str
    at: datetime
    memo: str = ""
    by: Caller | None = None


@transaction.atomic(durable=True)  # the transfer and the account's state move together
def top_up(funding: Funding) -> Posted:
    """Money received: settlement → wallet, amount > 0. Raises AccountNotFound, AccountClosed, CauseConflict."""
    return post_funding(funding, counterpart="settlement", cause_type="top_up")


@transaction.atomic(durable=True)  # as top_up
def adjust(funding: Funding) -> Posted:
    """A correction by hand, amount ≠ 0: adjustment ↔ wallet. Raises as top_up."""
    return post_funding(funding, counterpart="adjustment", cause_type="adjustment")


@transaction.atomic(durable=True)  # money and the lot that remembers its expiry appear together
def grant(funding: Funding, *, expires_at: datetime | None, kind: str = "gift", priority: int = 50) -> Posted:
    """Credit that expires or ranks: promotion → wallet, with its lot. Raises as top_up."""
    posted = post_funding(funding, counterpart="promotion", cause_type="lot_grant")
    account = load_account(funding.accno)
    lots.add_lot(
        account.id, kind=CreditLot.Kind(kind), amount=funding.amount, reference=funding.reference,
        expires_at=expires_at, priority=priority,
    )  # fmt: skip
    return posted


def expire_lots(*, at: datetime, limit: int) -> int:
    """Post back what is left in lots whose time is over, each in its own transaction; answers how many."""
    expired = lots.find_expired_lots(at=at, limit=limit)
    return sum(_expire_lot(lot_id, account_id, at=at) for lot_id, account_id, _ in expired)


@transaction.atomic(durable=True)  # the lot is empty exactly when its money is posted back
def _expire_lot(lot_id: int, account_id: int, *, at: datetime) -> bool:
    limit_waiting()
    lock_wallets([account_id])
    lot = CreditLot.objects.select_for_update().get(pk=lot_id)
    if lot.remaining <= 0:
        return False
    movements = LotConsumption.objects.filter(lot_id=lot_id).count()  # a lot may expire again after a refund
    transfer = NewTransfer(
        account_id, -lot.remaining, "promotion", "lot_expiry", str(lot_id), at, cause_leg=str(movements)
    )
    (posted,) = post_transfers([transfer])
    lots.empty_lot(lot_id, amount=lot.remaining, transfer_id=posted.transfer_id)
    return True


def post_funding(funding: Funding, *, counterpart: str, cause_type: str) -> Posted:
    """The building block of the use-cases here: joins the caller's transaction. Raises as they do."""
    limit_waiting()
    account = load_account(funding.accno)
    if cause_type != "adjustment" and funding.amount <= 0:
        raise ValueError("the amount is greater than 0")
    transfer = NewTransfer(
        account.id, funding.amount, counterpart, cause_type, f"{funding.accno}:{funding.reference}", funding.at,
        memo=funding.memo,
    )  # fmt: skip
    (posted,) = post_transfers([transfer])
    if posted.state == BillingAccount.State.CLOSED and not posted.repeated:
        raise AccountClosed  # judged under the lock; the repeat of what came in before the closing is still answered
    if funding.by is not None and not posted.repeated:
        change = {"balance": f"{posted.balance - funding.amount:f}"}, {"balance": f"{posted.balance:f}"}
        target = "billingaccount", funding.accno
        record_act(funding.by, f"account.{cause_type}", target=target, change=change, reason=funding.memo)
    return posted
