"""What the metrics tell of the books: wallets, open holds, and the sum of all accounts."""

from collections.abc import Collection
from decimal import Decimal

from django.db import connection
from django.db.models import Count

from billing_platform import clock, metrics
from billing_platform.metrics import Reading
from ledger.invariants import SUM_BY_CURRENCY
from ledger.models import BillingAccount

COUNTED_MAX = 100_000
ADD_UP = frozenset({1, 2})  # the invariants about sums


def wallet_readings() -> list[Reading]:
    """How many wallets are in each state."""
    rows = BillingAccount.objects.values_list("state").annotate(number=Count("id"))
    numbers = dict.fromkeys(BillingAccount.State.values, 0) | dict(rows)
    return [Reading(metrics.wallets, number, (state,)) for state, number in numbers.items()]


def hold_readings() -> list[Reading]:
    """How many holds are open, counted up to a bound, and the age of the oldest; 0 without one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), min(created_at)"
            " FROM (SELECT created_at FROM ledger_hold WHERE state = 'open' LIMIT %s) AS open",
            [COUNTED_MAX],
        )
        number, oldest = cursor.fetchone()
    age = max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0
    return [Reading(metrics.holds_open, number), Reading(metrics.hold_oldest, age)]


def show_imbalance(broken: Collection[int]) -> None:
    """The sum of all accounts after a verification that found these invariants broken. 0 where the books agree.

    All transfers are read only when the books are known to be wrong.
    """
    for currency, amount in _sums() if ADD_UP.intersection(broken) else _nothing():
        metrics.ledger_imbalance.labels(currency).set(metrics.rounded(amount))


def _sums() -> list[tuple[str, Decimal]]:
    with connection.cursor() as cursor:
        cursor.execute(SUM_BY_CURRENCY)
        return list(cursor.fetchall())


def _nothing() -> list[tuple[str, Decimal]]:
    currencies = BillingAccount.objects.values_list("currency", flat=True).distinct().order_by("currency")
    return [(currency, Decimal(0)) for currency in currencies]
