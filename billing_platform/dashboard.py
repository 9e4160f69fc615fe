"""The admin's first page: cards of the rooms, each only for roles that may open what it leads to."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from billing_platform import registry
from billing_platform.auth import caller_of_request


@dataclass(frozen=True, slots=True)
class Card:
    """One figure: `value` is ready to be shown, `href` leads to the same figure's page, `alarm` asks for eyes."""

    key: str
    title: str
    value: str
    href: str = ""
    note: str = ""
    alarm: bool = False


def cards(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by the theme: the cards of every room in the registry, for this caller."""
    caller = caller_of_request(request)
    context["cards"] = [card for room in registry.resolve(registry.DASHBOARD_CARDS) for card in room(caller)]
    return context
