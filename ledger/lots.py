"""Credit lots: money that was granted or expires, kept beside the base money of a wallet.

Base money has no row: it is balance − Σ remaining, below 0 where usage went into debt. Spending order: smaller
priority, gifts and promotions before paid, earliest expiry (none last), oldest, id; base money stands at priority 50,
paid, without expiry. Invariant: remaining = granted − Σ consumptions, and each transfer's consumptions ≤ its amount.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q, QuerySet, Sum

from ledger.errors import CauseConflict
from ledger.models import BillingAccount, CreditLot, LotConsumption, Transfer, TransferKey

BASE_PRIORITY = 50
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Spending:
    """A transfer as lots see it: `change` of the wallet, and the transfer that it gives back, if any."""

    transfer_id: int
    change: Decimal
    reverses: int | None
    at: datetime


def draw(account_id: int, *, balance: Decimal, spendings: Sequence[Spending]) -> None:
    """Take each spending from the lots of a locked wallet, or give it back to the lots that it came from.

    `balance` is the wallet's before the first spending.
    """
    lots = _lock_lots(account_id, reversed_ids=[row.reverses for row in spendings if row.reverses is not None])
    consumed: list[LotConsumption] = []
    for spending in spendings:
        if spending.change < 0:
            consumed += _taken(lots, balance, spending)
        elif spending.reverses is not None:
            consumed += _given_back(lots, spending)
        balance += spending.change
    LotConsumption.objects.bulk_create(consumed)
    touched = {row.lot_id for row in consumed}
    CreditLot.objects.bulk_update([lot for lot in lots if lot.pk in touched], ["remaining"])


def _lock_lots(account_id: int, *, reversed_ids: Sequence[int]) -> list[CreditLot]:
    """Lots that still hold money, and those that a reversal gives something back to."""
    wanted = Q(remaining__gt=0)
    if reversed_ids:
        wanted |= Q(pk__in=LotConsumption.objects.filter(transfer_id__in=reversed_ids).values("lot_id"))
    return list(CreditLot.objects.filter(wanted, account_id=account_id).select_for_update().order_by("pk"))


def _order(lot: CreditLot) -> tuple[object, ...]:
    expiry = lot.expires_at.timestamp() if lot.expires_at else float("inf")  # an order, not an amount
    return lot.priority, lot.kind == CreditLot.Kind.PAID, expiry, lot.created_at, lot.pk


def _before_base(lot: CreditLot) -> bool:
    """Is this lot spent before base money?"""
    paid_for_ever = lot.kind == CreditLot.Kind.PAID and lot.expires_at is None
    return (lot.priority, paid_for_ever) < (BASE_PRIORITY, True)


def _taken(lots: Sequence[CreditLot], balance: Decimal, spending: Spending) -> list[LotConsumption]:
    owed = -spending.change
    live = sorted(
        (lot for lot in lots if lot.remaining > 0 and (lot.expires_at is None or spending.at < lot.expires_at)),
        key=_order,
    )
    base = max(ZERO, balance - sum((lot.remaining for lot in lots), ZERO))
    first = [lot for lot in live if _before_base(lot)]
    rows = []
    for lot in [*first, None, *(lot for lot in live if lot not in first)]:
        part = min(owed, base if lot is None else lot.remaining)
        owed -= part
        if lot is not None and part > 0:
            lot.remaining -= part
            rows.append(LotConsumption(lot=lot, transfer_id=spending.transfer_id, amount=part))
    return rows


def _given_back(lots: Sequence[CreditLot], spending: Spending) -> list[LotConsumption]:
    """Last consumed first, base money in its turn; what returns to an expired lot expires again by the next run."""
    assert spending.reverses is not None
    due = spending.change
    rows = []
    for lot, left in reversed(_left_to_return(lots, spending.reverses, except_for=spending.transfer_id)):
        part = min(due, left)
        due -= part
        if lot is not None and part > 0:
            lot.remaining += part
            rows.append(LotConsumption(lot=lot, transfer_id=spending.transfer_id, amount=-part))
    return rows


def _reversals_of(transfer_id: int) -> "QuerySet[Transfer]":
    keys = TransferKey.objects.filter(cause_type="reversal", cause_id=str(transfer_id))
    return Transfer.objects.filter(pk__in=list(keys.values_list("transfer_id", flat=True)))


def _left_to_return(
    lots: Sequence[CreditLot], transfer_id: int, *, except_for: int
) -> list[tuple[CreditLot | None, Decimal]]:
    """What a transfer took from lots and (None) base money, in the order it took, less what went back already."""
    by_id = {lot.pk: lot for lot in lots}
    earlier = {row.pk: row.amount for row in _reversals_of(transfer_id) if row.pk != except_for}
    gone_back: dict[int, Decimal] = {}
    for row in LotConsumption.objects.filter(transfer_id__in=earlier):
        gone_back[row.lot_id] = gone_back.get(row.lot_id, ZERO) - row.amount
    taken = [
        (by_id[row.lot_id], row.amount) for row in LotConsumption.objects.filter(transfer_id=transfer_id).order_by("pk")
    ]
    whole = Transfer.objects.values_list("amount", flat=True).get(pk=transfer_id)
    base = whole - sum((amount for _, amount in taken), ZERO)
    base_back = sum(earlier.values(), ZERO) - sum(gone_back.values(), ZERO)
    first = [(lot, amount - gone_back.get(lot.pk, ZERO)) for lot, amount in taken if _before_base(lot)]
    last = [(lot, amount - gone_back.get(lot.pk, ZERO)) for lot, amount in taken if not _before_base(lot)]
    return [*first, (None, base - base_back), *last]


def add_lot(
    account_id: int, *, kind: str, amount: Decimal, reference: str, expires_at: datetime | None, priority: int
) -> int:
    """The lot of money that was posted to the wallet in this transaction; the same reference is the same lot.

    Raises CauseConflict when that lot has other terms.
    """
    terms = {"kind": kind, "granted": amount, "expires_at": expires_at, "priority": priority}
    lot, created = CreditLot.objects.get_or_create(
        account_id=account_id, reference=reference, defaults={**terms, "remaining": amount}
    )
    differing = [name for name, value in terms.items() if getattr(lot, name) != value]
    if differing:
        raise CauseConflict(fields=differing)
    if created:
        BillingAccount.objects.filter(pk=account_id, has_lots=False).update(has_lots=True)
    return lot.pk


def find_expired_lots(*, at: datetime, limit: int) -> list[tuple[int, int, Decimal]]:
    """(lot, account, remaining) of lots whose time is over and that still hold money."""
    rows = CreditLot.objects.filter(remaining__gt=0, expires_at__lte=at).order_by("expires_at")
    return list(rows.values_list("pk", "account_id", "remaining")[:limit])


def empty_lot(lot_id: int, *, amount: Decimal, transfer_id: int) -> None:
    """Note that an expiry transfer took the rest of a lot; the wallet is locked."""
    CreditLot.objects.filter(pk=lot_id).update(remaining=F("remaining") - amount)
    LotConsumption.objects.create(lot_id=lot_id, transfer_id=transfer_id, amount=amount)


def expired_total(account_id: int, *, at: datetime) -> Decimal:
    """What an account still counts in lots whose time is over: no room for new spending."""
    rows = CreditLot.objects.filter(account_id=account_id, remaining__gt=0, expires_at__lte=at)
    return rows.aggregate(total=Sum("remaining"))["total"] or ZERO
