"""What the carrier whose trunk took a call asks for it: priced with the charge, by the supplier's deck.

A cost that nobody knows is None, never 0. It stands beside the charge and in no answer of the counter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from billing_platform.money import HALF_UP, round_amount
from counter.items import Item
from counter.uses import CallFacts
from rating import engine
from rating.costs import cost_tariff, costs_are_known
from rating.engine import Call, Price, PricingError
from rating.question import AskedCall

ZERO = Decimal(0)
DECIMALS = 6
VERSIONS_MAX = 100


class SupplierCost(NamedTuple):
    """`amount` in the item's currency; `deck_version` names the decks that gave it, `deck:version,…`."""

    amount: Decimal | None
    deck_version: str


UNKNOWN = SupplierCost(None, "")


def supplier_cost(legs: Mapping[str, AskedCall], item: Item, facts: CallFacts) -> SupplierCost:
    """What the charged legs cost us; UNKNOWN where a leg has no supplier's deck, or that deck no price for it."""
    if not costs_are_known():
        return UNKNOWN
    prices = []
    for leg, asked in legs.items():
        price = _leg_price(f"{item.label}.{leg}", _whole_call(asked.call, facts), item, facts)
        if price is None:
            return UNKNOWN
        prices.append(price)
    total = round_amount(sum([price.amount for price in prices], ZERO), method=HALF_UP, decimals=DECIMALS)
    return SupplierCost(total, version_names(prices))


def version_names(prices: Iterable[Price]) -> str:
    """The decks and versions behind prices, `deck:version` with commas, in the order of their use."""
    names = dict.fromkeys(f"{deck}:{number}" for price in prices for deck, number in price.versions)
    return ",".join(names)[:VERSIONS_MAX]


def _leg_price(category: str, call: Call, item: Item, facts: CallFacts) -> Price | None:
    tariff = cost_tariff(category=category, carrier=facts.carrier, at=call.at, currency=item.currency)
    if tariff is None:
        return None
    try:
        return engine.price_call(call, tariff)
    except PricingError:
        return None


def _whole_call(call: Call, facts: CallFacts) -> Call:
    """The supplier knows nothing of package units: from the answer on, or not at all when nobody answered."""
    if call.elapsed:
        call = replace(
            call, at=call.at - timedelta(microseconds=call.elapsed // 1000), quantity=call.quantity + call.elapsed,
            elapsed=0,
        )  # fmt: skip
    return call if facts.answered else replace(call, quantity=0)
