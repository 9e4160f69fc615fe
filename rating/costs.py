"""What the supplier asks: cost decks are assigned like any tariff, in a plan of their own, by the trunk's carrier."""

from datetime import datetime

from rating.caching.live import generations
from rating.models import TariffProfile
from rating.tariff import Tariff
from rating.tariffs import ANYBODY, tariff_for

COST_PLAN = "cost"
ANY_TENANT = ANY_CATEGORY = "*any"


class _Assigned:
    """Is any cost deck assigned at all? Asked of the database once per generation of tariffs."""

    def __init__(self) -> None:
        self._seen = (-1, False)

    def now(self) -> bool:
        generation = generations.number("tariffs")
        if self._seen[0] != generation:
            self._seen = generation, TariffProfile.objects.filter(plan=COST_PLAN).exists()
        return self._seen[1]


_assigned = _Assigned()


def costs_are_known() -> bool:
    """True when some supplier's deck is assigned; what asks for many costs asks this first."""
    return _assigned.now()


def cost_tariff(*, category: str, carrier: str, at: datetime, currency: str) -> Tariff | None:
    """The supplier's tariff of a use that begins at `at`; None when nothing is assigned.

    Looks for the carrier's own assignment, then that of every carrier; for the category (`label.leg`, `label`), then
    for every category. `currency` is that of the sale: a deck in another one answers `currency_mismatch`.
    """
    if not _assigned.now():
        return None
    for name in (category, ANY_CATEGORY):
        tariff = tariff_for(
            plan=COST_PLAN, tenant=ANY_TENANT, category=name, subject=carrier or ANYBODY, at=at, currency=currency
        )
        if tariff.subjects:
            return tariff
    return None
