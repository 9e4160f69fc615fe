"""What the metrics tell of a batch: how its legs were rated, what was charged, what that cost. One step a batch."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from billing_platform import metrics
from counter.errors import CounterError, NoRate
from counter.items import Mode
from counter.metered import Metered

ZERO = Decimal(0)
OK, DEFAULT_RATE, ERROR = "ok", "default_rate", "error"
NO_RATE = {"no_rate": "no_rate", "no_tariff": "no_rate", "band_gap": "band_gap", "blocked": "blocked"}  # by cause


@contextmanager
def counted_rating(uses: Sequence[Metered]) -> Iterator[None]:
    """The block rates these uses: how long it took for all of them, and what came of each leg."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    legs = Counter[str]()
    for use in uses:
        if use.item.mode == Mode.BY_DECK and use.is_answered:
            legs[_result(use)] += 2 if use.item.legs == "both" else 1
    for result, number in legs.items():
        metrics.rated.labels(result).inc(number)
    if legs:
        whole = OK if legs.keys() <= {OK, DEFAULT_RATE} else ERROR
        metrics.rating_duration.labels(whole).observe(seconds)


def _result(use: Metered) -> str:
    if isinstance(use.outcome, NoRate):
        return NO_RATE.get(str(use.outcome.fields.get("cause", "")), ERROR)
    if isinstance(use.outcome, CounterError):
        return ERROR
    return DEFAULT_RATE if DEFAULT_RATE in use.charge.warnings else OK


def count_charged(uses: Iterable[Metered]) -> None:
    """What these uses brought and cost, once committed. A charge that replaces another is not counted again."""
    revenue, cost = dict[str, Decimal](), dict[str, Decimal]()
    for use in uses:
        if not use.replaces:
            currency, supplier = use.charge.currency, use.charge.supplier.amount
            revenue[currency] = revenue.get(currency, ZERO) + use.charge.cost
            if supplier is not None:
                cost[currency] = cost.get(currency, ZERO) + supplier
    for currency, amount in revenue.items():
        metrics.revenue.labels(currency).inc(metrics.rounded(amount))
    for currency, amount in cost.items():
        metrics.cost.labels(currency).inc(metrics.rounded(amount))
