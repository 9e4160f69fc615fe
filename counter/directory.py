"""Who pays: organisations and people, the accounts bound to them, sub-accounts - now, or as it was at an instant."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from counter import items
from counter.errors import AccountNotBound, AccountNotFound, IdempotencyConflict
from counter.models import AccountBinding, AccountService, Organization
from ledger import accounts
from ledger.accounts import Account
from ledger.errors import CauseConflict

ANCESTORS_MAX = 16


@dataclass(frozen=True, slots=True)
class Bound:
    """The account that paid at the asked instant, and the period in which the same question has the same answer."""

    account: Account
    valid_from: datetime | None
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubAccounts:
    """Accounts in the order of the contract, and the period in which the list is the same."""

    accnos: tuple[str, ...]
    valid_from: datetime | None
    valid_until: datetime | None


@transaction.atomic(durable=True)  # the account and its wallet appear together
def create_account(*, owner: str, kind: str, name: str, organization: str) -> Account:
    """Open the owner's account, or answer the one that is there.

    Raises IdempotencyConflict for another name, and for an account of an organisation that is not the asker's.
    """
    try:
        account = accounts.open_account(kind=kind, name=name, owner=owner, organization=organization)
    except CauseConflict as conflict:
        raise IdempotencyConflict("differs in: name", fields=["name"]) from conflict
    if organization and account.organization != organization:
        raise IdempotencyConflict("differs in: organization", fields=["organization"])
    return account


def find_bound_account(*, organization: str, application: str, at: datetime) -> Bound:
    """The account bound to (application, organisation), else to the organisation, else to the nearest parent with one.

    Raises AccountNotBound.
    """
    rows = _organization_and_parents(organization)
    bindings = list(
        AccountBinding.objects.filter(
            Q(application__isnull=True) | Q(application__code=application), organization_id__in=[pk for pk, _ in rows]
        ).values_list("organization_id", "application_id", "account_id", "valid_from", "valid_until")
    )
    changes = sorted({instant for row in bindings for instant in row[3:5] if instant is not None})
    for organization_id, _ in rows:
        in_force = [
            row for row in bindings
            if row[0] == organization_id and row[3] <= at and (row[4] is None or at < row[4])
        ]  # fmt: skip
        if in_force:
            best = min(in_force, key=lambda row: row[1] is None)  # the application's own binding before the general one
            since = max((change for change in changes if change <= at), default=None)
            until = min((change for change in changes if change > at), default=None)
            return Bound(accounts.read_account(best[2]), since, until)
    raise AccountNotBound


def _organization_and_parents(code: str) -> list[tuple[int, str]]:
    """The organisation and its parents, nearest first. Raises AccountNotBound when it is unknown."""
    found: list[tuple[int, str]] = []
    row = Organization.objects.filter(code=code).values_list("pk", "code", "parent_id").first()
    while row is not None and len(found) < ANCESTORS_MAX:
        found.append((row[0], row[1]))
        row = Organization.objects.filter(pk=row[2]).values_list("pk", "code", "parent_id").first() if row[2] else None
    if not found:
        raise AccountNotBound
    return found


def descendants(code: str) -> frozenset[str]:
    """The organisation and everything below it, by code; at most 16 levels."""
    level = list(Organization.objects.filter(code=code).values_list("pk", "code"))
    found = {row[1] for row in level}
    for _ in range(ANCESTORS_MAX):
        level = list(Organization.objects.filter(parent_id__in=[row[0] for row in level]).values_list("pk", "code"))
        if not level:
            break
        found |= {row[1] for row in level}
    return frozenset(found)


def query_account(
    *, user: str, application: str, organization: str, at: datetime, organizations: frozenset[str] | None
) -> Bound:
    """The account of an organisation, which wins, or of a person, as far as the asker may see it.

    Raises AccountNotBound.
    """
    if organization:
        bound = find_bound_account(organization=organization, application=application, at=at)
    else:
        personal = accounts.find_personal_account(user) if user else None
        if personal is None:
            raise AccountNotBound
        bound = Bound(personal, None, None)
    if organizations is not None and bound.account.organization not in organizations:
        raise AccountNotBound
    return bound


def query_sub_accounts(parent: str, *, label: str, at: datetime, organizations: frozenset[str] | None) -> SubAccounts:
    """Without a label: the sub-accounts by number. With one: parent first, then these, if they had it open at `at`.

    Suspended and closed ones are left out of the second. Raises AccountNotFound.
    """
    head = accounts.find_account(parent)
    if head is None or (organizations is not None and head.organization not in organizations):
        raise AccountNotFound
    subs = accounts.list_sub_accounts(head.id)
    if not label:
        return SubAccounts(tuple(sub.accno for sub in subs), None, None)
    candidates = [account for account in [head, *subs] if account.state not in {"suspended", "closed"}]
    ids = [account.id for account in candidates]
    opened = items.accounts_with_open(ids, label, at=at)
    changes = _opening_changes(ids, label)
    return SubAccounts(
        tuple(account.accno for account in candidates if account.id in opened),
        max((change for change in changes if change <= at), default=None),
        min((change for change in changes if change > at), default=None),
    )


def _opening_changes(account_ids: Iterable[int], label: str) -> set[datetime]:
    rows = AccountService.objects.filter(account_id__in=list(account_ids), item__label=label)
    return {instant for row in rows.values_list("opened_at", "closed_at") for instant in row if instant is not None}


def bind_account(accno: str, *, organization: str, at: datetime, application_id: int | None = None) -> None:
    """From `at` on this account pays for the organisation; the binding before it ends there. Raises AccountNotFound."""
    account = accounts.find_account(accno)
    if account is None:
        raise AccountNotFound
    with transaction.atomic():
        row = Organization.objects.get(code=organization)
        open_bindings = AccountBinding.objects.filter(organization=row, valid_until__isnull=True)
        open_bindings = (
            open_bindings.filter(application__isnull=True)
            if application_id is None
            else open_bindings.filter(application_id=application_id)
        )
        if open_bindings.filter(account_id=account.id).exists():
            return
        open_bindings.filter(valid_from__gte=at).delete()  # never in force
        open_bindings.update(valid_until=at)
        AccountBinding.objects.create(
            account_id=account.id, organization=row, application_id=application_id, valid_from=at
        )
