"""Values as text in deck files: one form each, so that the same content gives the same bytes."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing_platform.money import amount_text
from rating.terms import TierTerms


def number_text(number: Decimal | int) -> str:
    """The shortest plain decimal: 0.10 gives "0.1", 60.000 gives "60"."""
    text = amount_text(Decimal(number))
    return text.rstrip("0").rstrip(".") if "." in text else text


def instant_text(at: datetime | None, zone: ZoneInfo) -> str:
    """The instant on the deck's wall clock, with its offset; "" for none."""
    return "" if at is None else at.astimezone(zone).isoformat()


def tiers_text(tiers: tuple[TierTerms, ...]) -> str:
    """`180:0.05;600:0.03/6`."""
    return ";".join(
        f"{number_text(tier.start)}:{number_text(tier.rate)}"
        + ("" if tier.increment is None else f"/{number_text(tier.increment)}")
        for tier in tiers
    )
