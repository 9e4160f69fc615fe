"""The list of accounts: what its address asks for, and the card that leads there."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing_platform.auth import Caller
from billing_platform.dashboard import Card
from billing_platform.errors import Malformed
from billing_platform.models import Role
from ledger.register import BLOCKED, AccountFilter, total_accounts

READERS = frozenset({Role.FINANCE.value, Role.OPS.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value})
TEXT_MAX = 100
STANDINGS: dict[str, "str | Promise"] = {
    "": _("all"),
    "blocked": _("may not start calls"),
    "active": pgettext_lazy("account", "active"),
    "overdrawn": _("overdrawn"),
    "suspended": _("suspended"),
    "closed": _("closed"),
}


@dataclass(frozen=True, slots=True)
class ShownFilter:
    """The filter as the page's form holds it; `query` asks for the same again, "" without a filter."""

    text: str
    state: str
    is_low: bool

    @property
    def query(self) -> str:
        asked = {"q": self.text, "state": self.state, "low": "1" if self.is_low else ""}
        return urlencode({name: value for name, value in asked.items() if value})


def shown_filter(query: Mapping[str, str]) -> ShownFilter:
    """Raises Malformed for a state that there is not, or a text longer than any name."""
    text, state = query.get("q", "").strip(), query.get("state", "")
    if state not in STANDINGS or len(text) > TEXT_MAX or "\0" in text:
        raise Malformed("state is one of the list's, q has at most 100 characters")
    return ShownFilter(text, state, query.get("low", "") == "1")


def read_filter(query: Mapping[str, str], caller: Caller) -> AccountFilter:
    """The filter of an address for this reader: of their organisation, or of all. Raises as `shown_filter`."""
    shown = shown_filter(query)
    states = BLOCKED if shown.state == "blocked" else (shown.state,) if shown.state else ()
    organization = None if caller.sees_all else caller.organization
    return AccountFilter(organization, shown.text, states, shown.is_low)


def cards(caller: Caller) -> list[Card]:
    """How many accounts are below their warning threshold, for those who may open their list."""
    if not READERS & caller.roles:
        return []
    totals = total_accounts(read_filter({"low": "1"}, caller))
    number = None if totals is None else sum(total.accounts for total in totals)
    href = f"{reverse('finance_accounts')}?low=1"
    return [
        Card("low_balances", str(_("Low balances")), "–" if number is None else str(number), href, alarm=bool(number))
    ]
