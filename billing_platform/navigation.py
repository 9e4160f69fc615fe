"""The frame around every page: where this person may go, who they are, which languages there are."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from billing_platform.auth import ANONYMOUS, Caller, caller_of_request
from billing_platform.errors import Unauthenticated
from billing_platform.models import Role
from billing_platform.notices import Unread, unread_of

OFFICE = frozenset({
    Role.SUPERVISOR, Role.RATE_ADMIN, Role.OPS, Role.FINANCE, Role.AUDITOR, Role.PLATFORM_ADMIN,
})  # fmt: skip
NAV = (  # key, path, label, roles; a page that no room has brought yet is not shown
    ("call", "/", _("Call"), frozenset({Role.AGENT, Role.SUPERVISOR})),
    ("calls", "/agent/calls/", _("Call history"), frozenset({Role.AGENT, Role.SUPERVISOR, Role.AUDITOR})),
    ("cdr", "/cdr/", _("Call records"), OFFICE),
    ("finance", "/finance/", _("Finance"), frozenset({Role.FINANCE, Role.AUDITOR})),
    ("reports", "/reports/", _("Reports"), OFFICE),
    ("decks", "/admin/rating/deck/", _("Rate decks"), frozenset({Role.RATE_ADMIN})),
    ("ops", "/ops/", _("Operations"), OFFICE - {Role.SUPERVISOR}),
    ("admin", "/admin/", _("Administration"), OFFICE - {Role.SUPERVISOR}),
    ("explain", "/admin/rating/explain/", _("Test a number"), OFFICE - {Role.PLATFORM_ADMIN}),
    ("rerate", "/cdr/rerate/", _("Re-rate"), frozenset({Role.RATE_ADMIN, Role.OPS, Role.FINANCE, Role.AUDITOR})),
    ("docs", "/api/docs/", _("Developers"), frozenset(Role)),
)


ELSEWHERE = {  # pages that stand beside, not below, the entry that leads to them
    "/agent/disputes/": "/agent/calls/",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the menu."""

    key: str
    path: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What `base.html` shows around a page."""

    caller: Caller
    roles: list[str]
    nav: list[Entry]
    languages: list[Language]
    here: str
    unread: Unread


@functools.cache
def _exists(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


@functools.cache
def _languages() -> list[Language]:
    return [Language(code, get_language_info(code)["name_local"]) for code, _name in settings.LANGUAGES]


def _entry_of(page: str, entries: Sequence[str]) -> str:
    """The entry that a page belongs to, the longest that it stands below; "" for none. The desk is one page alone."""
    if page in ("/", "/agent/"):
        return "/"
    page = next((entry for place, entry in ELSEWHERE.items() if page.startswith(place)), page)
    return max((entry for entry in entries if entry != "/" and page.startswith(entry)), key=len, default="")


def _frame(request: HttpRequest) -> Frame:
    try:
        caller = caller_of_request(request)
    except Unauthenticated:  # a wrong key came with the request for a page: the page says so itself
        caller = ANONYMOUS
    reachable = [entry for entry in NAV if entry[3] & caller.roles and _exists(entry[1])]
    here = _entry_of(request.path, [path for _key, path, _label, _roles in reachable])
    return Frame(
        caller,
        [str(Role(role).label) for role in sorted(caller.roles)],
        [Entry(key, path, str(label), path == here) for key, path, label, _roles in reachable],
        _languages(),
        request.get_full_path(),
        unread_of(caller.user_id) if caller.user_id else Unread(0),
    )


def frame(request: HttpRequest) -> dict[str, object]:
    """Context processor: `frame`, made only when a template asks."""
    return {"frame": SimpleLazyObject(lambda: _frame(request))}
