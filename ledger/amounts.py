"""What the ledger takes as an amount: exactly storable in NUMERIC(20,6), so that no balance drifts from its rows."""

from decimal import Decimal

from ledger.models import AMOUNT_LIMIT

SMALLEST = Decimal("0.000001")


def require_amount(amount: Decimal) -> None:
    """Refuse floats, NaN, 0, 10^12 and beyond, and a seventh decimal; the sign is free. Raises ValueError."""
    if type(amount) is not Decimal or not amount.is_finite() or amount == 0 or abs(amount) >= AMOUNT_LIMIT:
        raise ValueError(f"not an amount: {amount!r}")
    if amount.quantize(SMALLEST) != amount:
        raise ValueError(f"more than 6 decimals: {amount!r}")
