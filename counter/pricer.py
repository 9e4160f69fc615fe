"""Pricing stored uses again by the hundred thousand: amounts only, no explanation.

The same questions to the same engine as `pricing.price_use` asks; what is the same for many uses is looked up once.
The carrier is the one that was found when the use was charged: later changes of the tables change no old price.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from billing_platform.money import HALF_UP, round_amount
from counter.charged import Charged
from counter.items import Item
from counter.pricing import ESTIMATE_POLICY, SIX_PLACES, TO_DEFAULT_DECK
from counter.repricing import stored_call
from rating import engine
from rating.caching.periods import PeriodTariffs
from rating.engine import Call, Price, PricingError

ZERO = Decimal(0)


class Party(NamedTuple):
    """Who pays."""

    accno: str
    organization: str


class Repriced(NamedTuple):
    """What a use would cost; `error` names why the default deck had to price it, `amount` None: nothing could."""

    amount: Decimal | None
    error: str = ""


class Pricer:
    """Prices uses charged by deck by the tariffs of their period."""

    def __init__(self, tariffs: PeriodTariffs, items: Mapping[int, Item]) -> None:
        self._tariffs, self.items = tariffs, items
        self.parties: dict[int, Party] = {}

    def learn(self, uses: Iterable[Charged]) -> None:
        """Look up the accounts of these uses, once each."""
        missing = {use.account_id for use in uses} - self.parties.keys()
        if missing:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT id, accno, organization FROM ledger_account_facts WHERE id = ANY(%s)", [list(missing)]
                )
                self.parties |= {row[0]: Party(row[1], row[2]) for row in cursor.fetchall()}

    def sale(self, use: Charged) -> Repriced:
        """What the customer would pay."""
        legs = self.calls(use)
        try:
            prices = [self._sale(use, leg, call) for leg, call in legs]
        except PricingError as refused:
            if refused.code not in TO_DEFAULT_DECK:
                return Repriced(None, refused.code)
            return Repriced(self._by_default_deck(use, legs), refused.code)
        return Repriced(_total(prices))

    def cost(self, use: Charged) -> Decimal | None:
        """What the supplier would be paid; None where nobody knows."""
        if not self._tariffs.costs_are_known:
            return None
        prices = []
        for leg, call in self.calls(use, whole=True):
            category = f"{self.items[use.item_id].label}.{leg}"
            tariff = self._tariffs.cost_tariff(category, use.asked.carrier, at=call.at, currency=use.currency)
            if tariff is None:
                return None
            try:
                prices.append(engine.price_call(call, tariff))
            except PricingError:
                return None
        return _total(prices)

    def calls(self, use: Charged, *, whole: bool = False) -> list[tuple[str, Call]]:
        """The legs that were charged, as the engine's questions; `whole`: package minutes included."""
        why, asked = use.why, use.asked
        covered = 0 if whole else why.covered_seconds
        return [
            (line.leg, stored_call(asked, line, start=use.start, finish=use.finish, covered_seconds=covered))
            for line in why.lines
        ]

    def _sale(self, use: Charged, leg: str, call: Call) -> Price:
        party, label = self.parties[use.account_id], self.items[use.item_id].label
        tariff = self._tariffs.sale_tariff(
            party.organization, f"{label}.{leg}", party.accno, at=use.start, currency=use.currency
        )
        if use.why.rate_policy == ESTIMATE_POLICY:
            return engine.dearest(call, tariff)
        return engine.price_call(call, tariff)

    def _by_default_deck(self, use: Charged, legs: list[tuple[str, Call]]) -> Decimal | None:
        tariff = self._tariffs.default_tariff(use.currency)
        if tariff is None:
            return None
        try:
            return _total([engine.price_call(replace(call, key=call.key or ""), tariff) for _, call in legs])
        except PricingError:
            return None


def _total(prices: list[Price]) -> Decimal:
    """Each leg is rounded by its own rate; the sum has the ledger's decimals."""
    if len(prices) == 1 and prices[0].ladder.rounder.decimals <= SIX_PLACES:
        return prices[0].amount
    return round_amount(sum([price.amount for price in prices], ZERO), method=HALF_UP, decimals=SIX_PLACES)
