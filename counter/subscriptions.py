"""Opening and closing a service for an account; what an order sells becomes usable here.

Functions join the caller's transaction, so that an order and its openings move together.
"""

from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from counter.errors import IdempotencyConflict, ServiceNotOpen
from counter.items import read_item
from counter.models import AccountService
from ledger.accounts import load_account
from rating.assignments import assign_deck


def open_service(
    accno: str, label: str, *, at: datetime, price: Decimal | None = None, deck: str = "", limits: int | None = None
) -> None:
    """Open a service from `at` on, perhaps at an own price or from an own rate deck. Open already: nothing changes.

    Raises AccountNotFound, ServiceUnknown, IdempotencyConflict (open with another price or limit).
    """
    account, item = load_account(accno), read_item(label)
    try:
        with transaction.atomic():
            AccountService(account_id=account.id, item_id=item.id, opened_at=at, price=price, limits=limits).save(
                force_insert=True
            )
    except IntegrityError:
        present = AccountService.objects.get(account_id=account.id, item_id=item.id, closed_at__isnull=True)
        if (present.price, present.limits) != (price, limits):
            raise IdempotencyConflict("the service is open with other terms") from None
    if deck:
        assign_deck(deck, tenant=account.organization, category=label, subject=accno, active_from=at, fallback=["*any"])


def close_service(accno: str, label: str, *, at: datetime) -> None:
    """Close a service at `at`; uses that began before are still charged by its terms. Raises ServiceNotOpen."""
    account, item = load_account(accno), read_item(label)
    present = AccountService.objects.filter(account_id=account.id, item_id=item.id, closed_at__isnull=True)
    if present.update(closed_at=at) == 0:
        raise ServiceNotOpen
