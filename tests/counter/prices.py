"""Drafts and suppliers' decks for the stories about what uses cost us, or would cost others."""

from decimal import Decimal

from billing_platform.auth import Caller
from rating import tariffs
from rating.costs import COST_PLAN
from rating.decks import load_deck, open_draft
from rating.drafts import end_rates
from rating.models import Deck, Rate, TariffProfile
from tests import cast

_DEALER = Caller("task", "cast")


def draft(deck: str, **rates: str | None) -> int:
    """The number of a draft of the deck with other rates, by key (`k8621="0.20"`); None takes a rate out."""
    version = open_draft(load_deck(deck), caller=_DEALER)
    for key, price in rates.items():
        row = Rate.objects.get(deck_id=version.deck_id, key=key.removeprefix("k"), valid_from_version=1)
        end_rates(version, [row.pk])
        if price is not None:
            row.pk, row.rate, row.valid_from_version = None, Decimal(price), version.number
            row.save(force_insert=True)
    tariffs.refresh()
    return version.number


def supplier_deck(
    code: str, *lines: str, carrier: str = tariffs.ANYBODY, category: str = "*any", currency: str = "CNY"
) -> None:
    """A supplier's deck, prefixes with country code, assigned to a trunk's carrier."""
    Deck.objects.create(code=code, purpose=Deck.Purpose.COST, numbering=Deck.Numbering.E164, currency=currency)
    cast.publish_deck(code, *lines, effective_from=cast.LONG_AGO)
    TariffProfile.objects.create(
        plan=COST_PLAN, tenant="*any", category=category, subject=carrier, family=code, active_from=None
    )
    tariffs.refresh()
