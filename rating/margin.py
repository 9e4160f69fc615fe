"""What a call costs us beside what it is sold for; only for those who may see a supplier's prices."""

from dataclasses import dataclass
from decimal import Decimal

from rating.call import PricingError
from rating.costs import cost_tariff
from rating.engine import price_call
from rating.explain import Answer
from rating.explaining.reading import read_question
from rating.numbers import dialling
from rating.question import read_call


@dataclass(frozen=True, slots=True)
class SupplierPrice:
    """The supplier's price of a call in the sale's currency; `margin` None: there is no sale to compare with."""

    amount: Decimal
    currency: str
    deck: str
    version: int
    margin: Decimal | None


def supplier_price(question: object, answer: Answer) -> SupplierPrice | None:
    """None when no supplier's deck is assigned for the trunk's carrier, or it has no price for the call."""
    asked = read_question(question)
    call = read_call(asked.facts, context=dialling.at_home()).call
    tariff = cost_tariff(category=asked.category, carrier=asked.facts.carrier, at=call.at, currency=answer["currency"])
    if tariff is None:
        return None
    try:
        price = price_call(call, tariff)
    except PricingError:
        return None
    deck, version = price.versions[0]
    sold = None if answer["amount"] is None else Decimal(answer["amount"])
    return SupplierPrice(price.amount, price.currency, deck, version, None if sold is None else sold - price.amount)
