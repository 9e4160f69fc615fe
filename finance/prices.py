"""What an account's uses cost: for each service that it has open the price, or the chain of decks asked in order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_platform.templatetags.figures import amount
from counter.items import Item, Opening, find_openings, load_items, opening_at
from ledger.accounts import Account
from rating import tariffs
from rating.tariff import Tariff
from rating.timetable import datetime_of, instant_of

SERVICES_MAX = 50
BY_DECK = "by_deck"
LEG_NAMES: dict[str, "str | Promise"] = {"a": gettext_lazy("agent's leg"), "b": gettext_lazy("customer's leg")}


@dataclass(frozen=True, slots=True)
class DeckLink:
    """A deck that is asked when those before it have no rate: for whom it was assigned, its version in force, and the
    next version that is known to follow within a month (None: none)."""

    whose: str
    deck: str
    version: int
    next_version: int | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pricing:
    """What one service, or one leg of it, costs this account now: `price` in words, or the `links` of a chain."""

    name: str
    category: str
    leg: str
    price: str
    links: list[DeckLink]


def prices_of(account: Account, *, at: datetime) -> list[Pricing]:
    """The prices of the services that the account has open, at most 50 of them, by label."""
    items = sorted(load_items().values(), key=lambda item: item.label)
    openings = find_openings((account.id, item.id) for item in items)
    found: list[Pricing] = []
    for item in items:
        opening = opening_at(openings[account.id, item.id], at)
        if opening is not None and len(found) < SERVICES_MAX:
            found.extend(_by_decks(item, account, at) if item.mode == BY_DECK else [_by_price(item, opening, at)])
    return found


def _by_price(item: Item, opening: Opening, at: datetime) -> Pricing:
    version = item.price_at(at)
    usual = version.price if version is not None else None
    price = usual if opening.price is None else opening.price
    if item.mode == "resource" or price is None:
        words = _("no price by use")
    elif item.mode == "per_duration" and version is not None:
        words = _("%(price)s for each %(seconds)s s begun") % {
            "price": amount(price, item.currency), "seconds": version.increment,
        }  # fmt: skip
    else:
        words = _("%(price)s per use") % {"price": amount(price, item.currency)}
    if opening.price is not None:
        words = _("%(words)s, own price") % {"words": words}
    return Pricing(item.name, item.label, "", words, [])


def _by_decks(item: Item, account: Account, at: datetime) -> Iterator[Pricing]:
    """A chain for each charged leg; one where both are priced alike."""
    default = tariffs.default_tariff(item.currency, at=at)
    last = list(_links(default, at, lambda _subject: _("default deck"))) if default is not None else []
    legs = [leg for leg in LEG_NAMES if item.legs in {leg, "both"}]
    whose = partial(_whose, accno=account.accno)
    chains = {leg: list(_links(_tariff(item, account, leg, at), at, whose)) for leg in legs}
    if len(legs) > 1 and chains["a"] == chains["b"]:
        legs = legs[:1]
    for leg in legs:
        shown = str(LEG_NAMES[leg]) if len(legs) > 1 else ""
        yield Pricing(item.name, f"{item.label}.{leg}", shown, "", chains[leg] + last)


def _tariff(item: Item, account: Account, leg: str, at: datetime) -> Tariff:
    return tariffs.tariff_for(
        tenant=account.organization, category=f"{item.label}.{leg}", subject=account.accno, at=at,
        currency=item.currency,
    )  # fmt: skip


def _links(tariff: Tariff, at: datetime, whose: Callable[[str], str]) -> Iterator[DeckLink]:
    """The decks in force for calls of any carrier, each with what follows it."""
    now, versions = instant_of(at), tariff.versions()
    for link in tariff.stage_at(now, "").links:
        head = link.version.head
        later = [one for one in versions if one.head.deck == head.deck and one.in_force_from > now]
        follows = min(later, key=lambda one: one.in_force_from, default=None)
        here = DeckLink(whose(link.subject), head.deck, head.version)
        if follows is not None:
            begins = datetime_of(follows.in_force_from, ZoneInfo(settings.TIME_ZONE))
            here = replace(here, next_version=follows.head.version, next_at=begins)
        yield here


def _whose(subject: str, *, accno: str) -> str:
    if subject == accno:
        return _("this account")
    return _("organisation") if subject == tariffs.ANYBODY else _("profile %(name)s") % {"name": subject}
