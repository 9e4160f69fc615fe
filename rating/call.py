"""The question put to the engine, and its refusals."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing_platform.money import exact_fraction, ratio_text
from rating.terms import KINDS, VOICE
from rating.timetable import SECOND, instant_of

QUANTITY_MAX = 31 * 86_400 * SECOND  # nanoseconds

NO_TARIFF, NO_RATE, BAND_GAP, BLOCKED = "no_tariff", "no_rate", "band_gap", "blocked"
BAD_NUMBER, BAD_INPUT, TOO_LONG, CURRENCY_MISMATCH = "bad_number", "bad_input", "too_long", "currency_mismatch"

Detail = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be priced: a number, the instant of the answer and a quantity.

    `quantity` and `elapsed` are nanoseconds for voice and plain units for other kinds. `key` is the number's key:
    "" when the use carries no number, None when a number was given and is invalid or hidden. `dialled` is the
    number as given; decks with raw numbering compare this. `continued` (default: elapsed > 0) marks a later
    slice of a call, which pays no connect fee.
    """

    key: str | None
    at: datetime
    quantity: int
    kind: str = VOICE
    carrier: str = ""
    reach: str = ""
    elapsed: int = 0
    continued: bool | None = None
    dialled: str = ""

    @property
    def is_continued(self) -> bool:
        """True for a later slice of a running call."""
        return self.elapsed > 0 if self.continued is None else self.continued

    def check(self) -> None:
        """Raises PricingError bad_input or too_long when the question cannot be priced at all."""
        quantity, elapsed = self.quantity, self.elapsed
        if type(quantity) is not int or type(elapsed) is not int or quantity < 0 or elapsed < 0:
            raise self._bad_input("quantity", "quantity and elapsed are whole numbers from 0")
        if self.kind == VOICE:
            if elapsed + quantity > QUANTITY_MAX:
                raise PricingError(TOO_LONG, at=self.at, detail={"days_max": 31})
        elif self.kind not in KINDS:
            raise self._bad_input("kind", f"unknown: {self.kind}")

    def start(self) -> int:
        """The instant of the answer, in nanoseconds since 1970; raises PricingError bad_input for a naive time."""
        try:
            return instant_of(self.at)
        except (TypeError, AttributeError) as naive:
            raise self._bad_input("at", "not an aware time") from naive

    def _bad_input(self, name: str, reason: str) -> "PricingError":
        return PricingError(BAD_INPUT, at=self.at, detail={"field": name, "reason": reason})


class PricingError(Exception):
    """No price: `code` says why, `at` the instant at which it showed, `detail` what is known (JSON values)."""

    def __init__(self, code: str, *, at: datetime | None, detail: Detail | None = None) -> None:
        super().__init__(code)
        self.code, self.at, self.detail = code, at, dict(detail or {})

    def __str__(self) -> str:
        return f"{self.code} at {self.at.isoformat() if self.at else None} {self.detail}"


def nanoseconds(seconds: Decimal | int) -> int:
    """A duration in nanoseconds; raises ValueError for one that is negative or finer than a nanosecond."""
    exact = exact_fraction(seconds) * SECOND
    if exact < 0 or exact.denominator != 1:
        raise ValueError(f"{seconds} is no duration in whole nanoseconds")
    return exact.numerator


def length_value(quantity: int) -> int | str:
    """Nanoseconds as a JSON value in seconds: a number when whole, else plain decimal text."""
    return ratio_text(quantity, SECOND) if quantity % SECOND else quantity // SECOND
