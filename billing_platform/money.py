"""Money: the only rounding of the house, and the only way between amounts and text.

Exact in, one rounding by the declared rule, exact out. Floats are refused: they have already been rounded.
Pure: no clock, no database, no settings; the decimal context of the calling thread changes nothing.
"""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from functools import lru_cache

UP, HALF_UP, HALF_EVEN, DOWN = "up", "half_up", "half_even", "down"
ROUNDINGS = (UP, HALF_UP, HALF_EVEN, DOWN)
DECIMALS_MAX = 20

# Wide enough for every amount the ledger can hold with every decimal a deck may ask for; anything lost would raise.
_EXACT = Context(prec=120, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation])
_AMOUNT = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,20})?", re.ASCII)
_SHIFT = 10**DECIMALS_MAX
_SHOWN = 10**12  # of a ratio without end


class AmountUnreadable(ValueError):
    """The text is not a plain decimal amount."""


class Rounder:
    """Rounds numerators over one fixed denominator; made once where many amounts share it.

    `up` goes away from zero, `down` towards it, so that a reversal is always minus its charge.
    """

    __slots__ = ("_bias", "_divide", "_half_even", "_multiply", "_quantum", "decimals", "method")

    def __init__(self, denominator: int, *, method: str, decimals: int) -> None:
        if method not in ROUNDINGS or not 0 <= decimals <= DECIMALS_MAX:
            raise ValueError(f"no rounding {method!r} to {decimals} decimals")
        self.method, self.decimals = method, decimals
        reduced = Fraction(10**decimals, denominator)
        self._multiply, self._divide = reduced.numerator, reduced.denominator
        self._bias = {UP: self._divide - 1, DOWN: 0}.get(method, self._divide // 2)
        self._half_even = method == HALF_EVEN and self._divide % 2 == 0  # an odd divisor has no halves
        self._quantum = Decimal((0, (1,), -decimals))

    def amount(self, numerator: int) -> Decimal:
        """The rounded amount with exactly `decimals` decimals."""
        if numerator < 0:
            return _EXACT.subtract(Decimal(0), self.amount(-numerator))
        scaled = numerator * self._multiply + self._bias
        units = scaled // self._divide
        if self._half_even and units & 1 and not scaled % self._divide:
            units -= 1  # exactly half: the bias lifted it to the odd neighbour
        return _EXACT.multiply(Decimal(units), self._quantum)


@lru_cache(maxsize=4096)
def rounder_over(denominator: int, method: str, decimals: int) -> Rounder:
    """The shared Rounder for a denominator; raises ValueError for an unknown method or too many decimals."""
    return Rounder(denominator, method=method, decimals=decimals)


def round_amount(value: Decimal | Fraction | int, *, method: str, decimals: int) -> Decimal:
    """The value rounded once to `decimals` decimals; raises TypeError for a float, ValueError for NaN or infinity."""
    _require_exact(value)
    numerator, denominator = value.as_integer_ratio()
    return rounder_over(denominator, method, decimals).amount(numerator)


def exact_fraction(value: Decimal | Fraction | int) -> Fraction:
    """The same value as a fraction; raises TypeError for a float, ValueError for NaN or infinity."""
    _require_exact(value)
    return Fraction(value)


def _require_exact(value: Decimal | Fraction | int) -> None:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no amount")
    elif isinstance(value, bool) or not isinstance(value, Fraction | int):
        raise TypeError(f"money is Decimal, Fraction or int, not {type(value).__name__}")


def add_amounts(*amounts: Decimal) -> Decimal:
    """The exact sum; it keeps the decimals of the finest amount."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def amount_text(amount: Decimal) -> str:
    """Plain digits, never an exponent, trailing zeros kept: Decimal("1E+2") gives "100". Raises as `exact_fraction`."""
    _require_exact(amount)
    return format(amount, "f")


def ratio_text(numerator: int, denominator: int) -> str:
    """The shortest plain decimal of an exact ratio; one that does not end is shown to twelve decimals, half to even."""
    if not numerator % denominator:
        return str(numerator // denominator)
    digits, rest = divmod(abs(numerator) * _SHIFT, denominator)
    if rest:
        digits = round(Fraction(abs(numerator) * _SHOWN, denominator)) * (_SHIFT // _SHOWN)
    whole, part = divmod(digits, _SHIFT)
    text = f"{whole}.{part:0{DECIMALS_MAX}d}".rstrip("0").rstrip(".") if part else str(whole)
    return f"-{text}" if numerator < 0 and digits else text


def parse_amount(text: str) -> Decimal:
    """Read a plain ASCII decimal ("12.50", "-3"); raises AmountUnreadable for other text, TypeError for a float."""
    if not _AMOUNT.fullmatch(text):
        raise AmountUnreadable(f"{text!r} is not an amount")
    return Decimal(text)
