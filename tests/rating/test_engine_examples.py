"""The worked examples: what every deck author may hold the engine to."""

from datetime import time
from decimal import Decimal

import pytest

from rating.engine import PricingError, price_call, price_legs, seconds_for, single_deck_tariff
from rating.terms import BandTerms, TierTerms
from tests.rating.pricing import CALENDAR, THURSDAY, amount, call, deck, instant, tariff

FEE = Decimal("0.05")
P_AND_Q = (
    {"rate": "0.12", "band": "peak", "next_increment": 6, "connect_fee": FEE},
    {"rate": "0.06", "next_increment": 6, "connect_fee": FEE},
)
SIXTY_SIX = {"first_increment": 60, "next_increment": 6}
PER_SECOND = {"first_increment": 1, "next_increment": 1}
FREE_10 = {"free_kind": "free_first_n", "free_seconds": 10}
FREE_UNDER_8 = {"free_kind": "free_if_shorter_than", "free_seconds": 8, "connect_fee": FEE}
CAP_1 = {"rate": "0.12", "cap": Decimal("1.00")}
DEAR_FIRST = {"rate": "0.08", "first_rate": Decimal("0.20"), **SIXTY_SIX}
GENERAL = {"prefix": "86", "rate": "0.30"}

EXAMPLES = [
    ("1 make-up Saturday into the evening", "2026-10-10 17:58:30", 125, P_AND_Q, "0.2660"),
    ("2 a holiday is no workday", "2026-10-07 10:00:00", 125, P_AND_Q, "0.1760"),
    ("3 the first minute belongs to the peak", "2026-10-15 17:59:57", 61, P_AND_Q, "0.1760"),
    ("4 nothing for nothing", THURSDAY, 0, P_AND_Q, "0.0000"),
    ("4 one second", THURSDAY, 1, P_AND_Q, "0.1700"),
    ("5 tier from 180 s", THURSDAY, 200, [{"tiers": (TierTerms(180, Decimal("0.05")),)}], "0.3500"),
    ("6 tier inside an increment", THURSDAY, 200, [{"tiers": (TierTerms(90, Decimal("0.05")),)}], "0.3000"),
    ("7 within the free seconds", THURSDAY, 10, [FREE_10], "0.0000"),
    ("7 one second more", THURSDAY, 11, [FREE_10], "0.1000"),
    ("7 minutes count from there", THURSDAY, 70, [FREE_10], "0.1000"),
    ("7 and the next one", THURSDAY, 71, [FREE_10], "0.2000"),
    ("8 shorter than eight", THURSDAY, 7, [FREE_UNDER_8], "0.0000"),
    ("8 eight from the first second", THURSDAY, 8, [FREE_UNDER_8], "0.1500"),
    ("9 minimum charge", THURSDAY, 1, [{"rate": "0.05", "min_charge": Decimal("0.15"), **PER_SECOND}], "0.1500"),
    ("10 free above the cap", THURSDAY, 1000, [CAP_1 | {"cap_kind": "free"}], "1.0000"),
    ("10 disconnect leaves the price", THURSDAY, 1000, [CAP_1 | {"cap_kind": "disconnect"}], "2.0400"),
    ("11 up", THURSDAY, 7, [{"rounding": "up", **PER_SECOND}], "0.0117"),
    ("11 down", THURSDAY, 7, [{"rounding": "down", **PER_SECOND}], "0.0116"),
    ("12 half up", THURSDAY, 3, [{"rate": "0.025", **PER_SECOND}], "0.0013"),
    ("12 half even", THURSDAY, 3, [{"rate": "0.025", "rounding": "half_even", **PER_SECOND}], "0.0012"),
    ("14 a dear first increment", THURSDAY, 66, [DEAR_FIRST], "0.2080"),
    ("17 the night rate sleeps", "2026-10-15 12:00:00", 60, [GENERAL, {"band": "night"}], "0.3000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "seconds", "rates", "expected"), [row[1:] for row in EXAMPLES], ids=[r[0] for r in EXAMPLES]
)
def test_worked_example(at, seconds, rates, expected):
    assert amount(at, seconds, *rates) == expected


@pytest.mark.parametrize(("kind", "seconds"), [("free", 1000), ("disconnect", 480)])
def test_10_one_yuan_lasts_until_the_cap(kind, seconds):
    capped = tariff(CAP_1 | {"cap_kind": kind})

    assert seconds_for(Decimal("1.00"), call(THURSDAY, 0), capped, ask=1000) == seconds


def test_13_a_new_version_takes_over_at_midnight():
    old = deck({"rate": "0.06", **PER_SECOND}, number=1)
    new = deck({"rate": "0.12", **PER_SECOND}, number=2, starts="2026-12-01 00:00:00")

    price = price_call(call("2026-11-30 23:59:50", 20), single_deck_tariff([old, new], calendar=CALENDAR))

    assert str(price.amount) == "0.0300"
    assert price.versions == [("cn-retail", 1), ("cn-retail", 2)]


def test_15_the_second_band_goes_on_inside_its_first_minute():
    late = BandTerms(name="late", start=time(22), priority=Decimal(5))
    rates = {"rate": "0.30", **PER_SECOND}, {"rate": "0.60", "band": "late", "next_increment": 1}

    assert amount("2026-10-15 21:59:40", 100, *rates, bands=[late]) == "0.9000"


def test_16_two_legs_are_two_lines():
    legs = {"a": call(THURSDAY, 107), "b": call(THURSDAY, 95)}
    tariffs = {"a": tariff({"rate": "0.06"}), "b": tariff({"rate": "0.12", **SIXTY_SIX})}

    price = price_legs(legs, tariffs)

    assert [(leg, str(line.amount)) for leg, line in price.lines] == [("a", "0.1200"), ("b", "0.1920")]
    assert (str(price.amount), price.currency) == ("0.3120", "CNY")


def test_18_the_only_rate_ends_during_the_call():
    with pytest.raises(PricingError) as refused:
        price_call(call("2026-10-15 05:59:30", 60), tariff({"band": "night", **PER_SECOND}))

    assert (refused.value.code, refused.value.detail["after_seconds"]) == ("band_gap", 30)
    assert refused.value.at == instant("2026-10-15 06:00:00")
