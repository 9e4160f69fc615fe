"""Occupied units of a resource item: counted under one row lock, each change a row, limits kept."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing_platform.transactions import limit_waiting
from counter.errors import AccountNotFound, BelowZero, IdempotencyConflict, QuotaExceeded, WrongChargeMode
from counter.items import Mode, find_openings, opening_at, read_item
from counter.models import ResourceChange, ResourceUsage
from counter.starting import Parties, require_usable
from ledger import accounts

OCCUPIED_MAX = 2**31 - 1  # what the wire and the column can say


@dataclass(frozen=True, slots=True)
class Change:
    """What should change: by `count`, or to `total` in use after it. `request_id` makes a repeat harmless."""

    accno: str
    label: str
    count: int = 1
    total: int | None = None
    request_id: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Occupied:
    """Units in use after the change; `limits` 0 = unlimited."""

    usage: int
    limits: int
    duplicate: bool = False


def increase(change: Change, *, organizations: frozenset[str] | None, at: datetime) -> Occupied:
    """Occupy more. Raises QuotaExceeded above the limit, the refusals of the check; usage is unchanged then."""
    return _apply(change, +1, organizations, at)


def reduce(change: Change, *, organizations: frozenset[str] | None, at: datetime) -> Occupied:
    """Occupy less; always allowed. Raises BelowZero."""
    return _apply(change, -1, organizations, at)


@transaction.atomic(durable=True)  # the occupancy and the row that explains it move together
def _apply(change: Change, sign: int, organizations: frozenset[str] | None, at: datetime) -> Occupied:
    limit_waiting()
    parties = _parties(change, organizations, at)
    account, item, opening = parties.account, parties.item, parties.opening
    limits = opening.limits if opening is not None and opening.limits is not None else item.limits
    ResourceUsage.objects.bulk_create([ResourceUsage(account_id=account.id, item_id=item.id)], ignore_conflicts=True)
    row = ResourceUsage.objects.select_for_update(no_key=True).get(account_id=account.id, item_id=item.id)
    if change.request_id:
        earlier = ResourceChange.objects.filter(usage=row, request_id=change.request_id).first()
        if earlier is not None:
            return _repeat(earlier, change, sign, limits)
    after = change.total if change.total is not None else row.usage + sign * change.count
    if after < 0:
        raise BelowZero
    if sign > 0 or after > row.usage:
        require_usable(parties)
        if after > (limits or OCCUPIED_MAX):
            raise QuotaExceeded
    ResourceChange.objects.create(
        usage=row, before=row.usage, after=after, actor=change.actor, request_id=change.request_id or None,
        changed_at=at,
    )  # fmt: skip
    ResourceUsage.objects.filter(pk=row.pk).update(usage=after)
    return Occupied(after, limits)


def _parties(change: Change, organizations: frozenset[str] | None, at: datetime) -> Parties:
    account = accounts.find_account(change.accno)
    if account is None or (organizations is not None and account.organization not in organizations):
        raise AccountNotFound
    item = read_item(change.label)
    if item.mode != Mode.RESOURCE:
        raise WrongChargeMode
    return Parties(account, item, opening_at(find_openings([(account.id, item.id)])[account.id, item.id], at))


def _repeat(earlier: ResourceChange, change: Change, sign: int, limits: int) -> Occupied:
    expected = change.total if change.total is not None else earlier.before + sign * change.count
    if expected != earlier.after:
        raise IdempotencyConflict("differs in: count, total", fields=["count", "total"])
    return Occupied(earlier.after, limits, duplicate=True)
