"""Who belongs where: people, organisations and applications as the public contract's client looks them up.

`organizations` are the codes that the asker may see; None = all. What is outside of them does not exist.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from billing_platform.errors import NotFound
from billing_platform.models import Membership
from counter import items
from counter.directory import ANCESTORS_MAX, descendants, query_account
from counter.errors import AccountNotBound, ApplicationNotOpen, ServiceUnknown
from counter.models import AccountBinding, Application, Organization
from ledger.accounts import find_account

PEOPLE_MAX = 10_000
Visible = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Person:
    """A user; `id` is what other programs call them by."""

    id: str
    username: str
    nickname: str


@dataclass(frozen=True, slots=True)
class Named:
    """An organisation or an application."""

    id: str
    name: str


def load_person(user_id: str, *, organizations: Visible) -> Person:
    """A person of a visible organisation. Raises NotFound."""
    user = (
        _people().filter(pk=user_id).first() if user_id.isascii() and user_id.isdigit() and len(user_id) < 19 else None
    )
    if user is None or (organizations is not None and not organizations & _units_of(user_id)):
        raise NotFound
    return _person(user)


def load_organization(code: str, *, organizations: Visible) -> Named:
    """Raises NotFound."""
    name = Organization.objects.filter(code=code).values_list("name", flat=True).first()
    if name is None or (organizations is not None and code not in organizations):
        raise NotFound
    return Named(code, name)


def load_application(code: str) -> Named:
    """Raises NotFound."""
    name = Application.objects.filter(code=code).values_list("name", flat=True).first()
    if name is None:
        raise NotFound
    return Named(code, name)


def tree_members(code: str, *, organizations: Visible) -> list[Person]:
    """The people of an organisation and of everything below it, by name. Raises NotFound."""
    load_organization(code, organizations=organizations)
    return _members(descendants(code))


def unit_members(user_id: str, code: str, *, organizations: Visible) -> list[Person]:
    """The people of one organisation, as one of its people asks. Raises NotFound."""
    load_person(user_id, organizations=organizations)
    load_organization(code, organizations=organizations)
    return _members([code])


def bound_organizations(accno: str, *, at: datetime, organizations: Visible) -> list[Named]:
    """The organisations that an account pays for now, by code. Raises NotFound."""
    account = find_account(accno)
    if account is None or (organizations is not None and account.organization not in organizations):
        raise NotFound
    rows = AccountBinding.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=at), account_id=account.id, valid_from__lte=at
    )
    named = rows.order_by("organization__code").values_list("organization__code", "organization__name").distinct()
    return [Named(*row) for row in named]


def require_application(
    application: str, *, user: str, organization: str, at: datetime, organizations: Visible
) -> None:
    """Has the organisation's account - without one the person's - the application open? Raises ApplicationNotOpen."""
    try:
        bound = query_account(
            user=user, application=application, organization=organization, at=at, organizations=organizations
        )
        item = items.read_item(application)
    except (AccountNotBound, ServiceUnknown) as refusal:
        raise ApplicationNotOpen from refusal
    opened = items.accounts_with_open([bound.account.id], application, at=at)
    if bound.account.state != "active" or not item.enabled or not item.is_application or not opened:
        raise ApplicationNotOpen


def people_around(user_id: str, code: str, *, reach: str, organizations: Visible) -> list[str]:
    """Ids of the people in the person's units inside the tree of the organisation: `department` the same units,
    `branch` these and what is below, `organization` the whole tree. Nobody when the person does not belong to it.

    Raises NotFound for an organisation that is not there.
    """
    load_organization(code, organizations=organizations)
    tree = descendants(_root(code))
    visible = tree if organizations is None else tree & organizations
    units = _units_of(user_id) & visible
    if not units:
        return []
    if reach == "branch":
        units = frozenset[str]().union(*(descendants(unit) for unit in units)) & visible
    return [person.id for person in _members(visible if reach == "organization" else units)]


def _root(code: str) -> str:
    for _ in range(ANCESTORS_MAX):
        parent = Organization.objects.filter(code=code).values_list("parent__code", flat=True).first()
        if parent is None:
            break
        code = parent
    return code


def _units_of(user_id: str) -> frozenset[str]:
    if not (user_id.isascii() and user_id.isdigit() and len(user_id) < 19):
        return frozenset()
    return frozenset(Membership.objects.filter(user_id=int(user_id)).values_list("organization", flat=True))


def _members(codes: Iterable[str]) -> list[Person]:
    members = Membership.objects.filter(organization__in=list(codes)).values("user_id")
    return [_person(user) for user in _people().filter(pk__in=members).order_by("username")[:PEOPLE_MAX]]


def _people() -> QuerySet[User]:
    return User.objects.filter(is_active=True)


def _person(user: User) -> Person:
    return Person(str(user.pk), user.get_username(), user.get_full_name() or user.get_username())
