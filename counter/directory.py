"""Who pays: organisations and people, the accounts bound to them, sub-accounts - now, or as it was at an instant."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from counter import items
from counter.errors import AccountNotBound, AccountNotFound, CounterError, IdempotencyConflict
from counter.models import AccountBinding, AccountService, Organization
from counter.uses import PayerAsked, PayerFound
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
    lineage = _lineages([organization]).get(organization, [])
    binding = _binding_at(lineage, _bindings(lineage, application=application), at=at)
    if binding is None:
        raise AccountNotBound
    return Bound(accounts.read_account(binding.account_id), binding.valid_from, binding.valid_until)


def _lineages(codes: Iterable[str]) -> dict[str, list[int]]:
    """The ids of each organisation and its parents, nearest first, at most 16; unknown codes are absent."""
    found: dict[str, list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_LINEAGES, {"codes": list(codes), "levels": ANCESTORS_MAX})
        for code, organization_id in cursor.fetchall():
            found.setdefault(code, []).append(organization_id)
    return found


_LINEAGES = """
    WITH RECURSIVE line (code, id, parent_id, level) AS (
        SELECT code, id, parent_id, 1 FROM counter_organization WHERE code = ANY(%(codes)s)
        UNION ALL
        SELECT line.code, o.id, o.parent_id, level + 1
        FROM line JOIN counter_organization o ON o.id = line.parent_id WHERE level < %(levels)s
    )
    SELECT code, id FROM line ORDER BY level
"""


class _Binding(NamedTuple):
    """Which account is bound, and the period of that answer."""

    account_id: int
    valid_from: datetime | None
    valid_until: datetime | None


_Row = tuple[int | None, int, datetime, datetime | None]  # application, account, from, until


def _bindings(organization_ids: Iterable[int], *, application: str) -> dict[int, list[_Row]]:
    """What is bound to these organisations, in all applications or in this one, by organisation."""
    rows = AccountBinding.objects.filter(
        Q(application__isnull=True) | Q(application__code=application), organization_id__in=list(organization_ids)
    ).values_list("organization_id", "application_id", "account_id", "valid_from", "valid_until")
    found: dict[int, list[_Row]] = {}
    for organization_id, application_id, account_id, since, until in rows:
        found.setdefault(organization_id, []).append((application_id, account_id, since, until))
    return found


def _binding_at(lineage: Sequence[int], bindings: Mapping[int, Sequence[_Row]], *, at: datetime) -> _Binding | None:
    """The nearest that was in force, the application's own before the general one."""
    rows = [row for organization_id in lineage for row in bindings.get(organization_id, ())]
    in_force = (
        [row for row in bindings.get(organization_id, ()) if row[2] <= at and (row[3] is None or at < row[3])]
        for organization_id in lineage
    )
    nearest = next(filter(None, in_force), None)
    if nearest is None:
        return None
    changes = {instant for row in rows for instant in row[2:4] if instant is not None}
    return _Binding(min(nearest, key=lambda row: row[0] is None)[1], *_around(changes, at))


def _latest(*instants: datetime | None) -> datetime | None:
    return max((instant for instant in instants if instant is not None), default=None)


def _earliest(*instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _around(changes: Collection[datetime], at: datetime) -> tuple[datetime | None, datetime | None]:
    """The last change until an instant, and the first one after it."""
    after = [change for change in changes if change > at]
    return max((change for change in changes if change <= at), default=None), min(after, default=None)


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
    accnos = tuple(account.accno for account in candidates if account.id in opened)
    return SubAccounts(accnos, *_around(_opening_changes(ids, label), at))


def find_payers(
    asked: Sequence[PayerAsked], *, organizations: frozenset[str] | None
) -> list[PayerFound | CounterError]:
    """Who pays for each of these uses: of the bound account and its sub-accounts, in the order of `query_sub_accounts`,
    the first that had the service open, else the bound account itself.

    The answers are those of `query_account` and `query_sub_accounts`, AccountNotBound among them; four statements,
    however many are asked for.
    """
    lineages = _lineages({one.organization for one in asked})
    bindings = _bindings({each for line in lineages.values() for each in line}, application="")
    bound = [_binding_at(lineages.get(one.organization, ()), bindings, at=one.at) for one in asked]
    heads = accounts.read_accounts({each.account_id for each in bound if each is not None})
    hidden = {pk for pk, head in heads.items() if organizations is not None and head.organization not in organizations}
    seen = {place: each for place, each in enumerate(bound) if each is not None and each.account_id not in hidden}
    opened = _first_opened({place: (each.account_id, asked[place]) for place, each in seen.items()})
    found: list[PayerFound | CounterError] = [AccountNotBound() for _ in asked]
    for place, each in seen.items():
        payer, since, until = opened[place]
        found[place] = PayerFound(
            payer or heads[each.account_id].accno, _latest(each.valid_from, since), _earliest(each.valid_until, until)
        )
    return found


_Opened = tuple[str | None, datetime | None, datetime | None]


def _first_opened(asked: Mapping[int, tuple[int, PayerAsked]]) -> dict[int, _Opened]:
    """By place: of an account and its sub-accounts the first that had the label open, and the period of that answer."""
    rows = [(place, head, one.label, one.at) for place, (head, one) in asked.items()]
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_OPENED, [list(column) for column in zip(*rows, strict=True)])
        return {place: (payer, since, until) for place, payer, since, until in cursor.fetchall()}


_FIRST_OPENED = """
    SELECT q.place, opened.payer, opened.since, opened.until
    FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::timestamptz[]) AS q (place, head, label, at)
    CROSS JOIN LATERAL (
        SELECT (array_agg(a.accno ORDER BY a.id <> q.head, a.accno)
                    FILTER (WHERE s.opened_at <= q.at AND (s.closed_at IS NULL OR s.closed_at > q.at)))[1] AS payer,
               max(greatest(CASE WHEN s.opened_at <= q.at THEN s.opened_at END,
                            CASE WHEN s.closed_at <= q.at THEN s.closed_at END)) AS since,
               min(least(CASE WHEN s.opened_at > q.at THEN s.opened_at END,
                         CASE WHEN s.closed_at > q.at THEN s.closed_at END)) AS until
        FROM (
            SELECT id, accno, state FROM ledger_account_facts WHERE id = q.head
            UNION ALL
            (SELECT id, accno, state FROM ledger_account_facts WHERE parent_id = q.head ORDER BY accno LIMIT 1000)
        ) a
        JOIN counter_accountservice s ON s.account_id = a.id
        JOIN counter_serviceitem i ON i.id = s.item_id AND i.label = q.label
        WHERE a.state NOT IN ('suspended', 'closed')
    ) opened
"""


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
