"""The five questions one can ask, what they refuse, and how an answer explains itself."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from rating.candidates import candidates_at, next_change
from rating.engine import (
    Call,
    Price,
    PricingError,
    Tariff,
    dearest,
    nanoseconds,
    price_call,
    price_calls,
    price_legs,
    seconds_for,
    single_deck_tariff,
)
from rating.terms import TierTerms
from tests.rating.pricing import CALENDAR, THURSDAY, amount, call, deck, instant, tariff

PER_SECOND = {"first_increment": 1, "next_increment": 1}
DEAR, CHEAP = {"rate": "0.60", **PER_SECOND}, {"rate": "0.06", **PER_SECOND}
FEE = {"connect_fee": Decimal("0.05")}
DAY = 86_400


def refused_by(ask):
    with pytest.raises(PricingError) as refused:
        ask()
    return refused.value.code, refused.value.detail


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"at": datetime(2026, 10, 15, 10)}, "bad_input"),  # noqa: DTZ001 - naive on purpose
        ({"at": "2026-10-15T10:00:00+08:00"}, "bad_input"),
        ({"quantity": 1.0}, "bad_input"),
        ({"quantity": True}, "bad_input"),
        ({"quantity": -1}, "bad_input"),
        ({"elapsed": -1}, "bad_input"),
        ({"kind": "fax"}, "bad_input"),
        ({"quantity": 31 * DAY * 10**9 + 1}, "too_long"),
        ({"quantity": 10**9, "elapsed": 31 * DAY * 10**9}, "too_long"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(change, code):
    asked = replace(call(THURSDAY, 60), **change)

    assert refused_by(lambda: price_call(asked, tariff({})))[0] == code


def test_thirty_one_days_are_priced():
    assert amount(THURSDAY, 31 * DAY, {"rate": "0.01"}) == "446.4000"


@pytest.mark.parametrize("seconds", ["-1", "0.0000000001"])
def test_a_duration_is_a_whole_number_of_nanoseconds(seconds):
    with pytest.raises(ValueError, match="no duration"):
        nanoseconds(Decimal(seconds))


def test_each_call_of_a_batch_is_answered_alone():
    one = tariff({}, {"prefix": "8610", "blocked": True})
    asked = [call(THURSDAY, 60), call(THURSDAY, 60, key="8610"), call(THURSDAY, 61), call(THURSDAY, 1, key="7")]

    answers = price_calls((each, one) for each in asked)

    shown = [str(found.amount) if isinstance(found, Price) else found.code for found in answers]
    assert shown == ["0.1000", "blocked", "0.2000", "no_rate"]


def test_a_leg_without_a_price_is_named():
    legs = {"a": call(THURSDAY, 60), "b": call(THURSDAY, 60, key="1")}

    code, detail = refused_by(lambda: price_legs(legs, {"a": tariff({}), "b": tariff({})}))

    assert (code, detail["leg"]) == ("no_rate", "b")


def test_legs_in_two_currencies_have_no_sum():
    legs = {"a": call(THURSDAY, 60), "b": call(THURSDAY, 60)}

    assert (
        refused_by(lambda: price_legs(legs, {"a": tariff({}), "b": tariff({}, currency="USD")}))[0]
        == "currency_mismatch"
    )
    assert refused_by(lambda: price_legs({}, {}))[0] == "bad_input"


def test_each_leg_is_rounded_by_its_own_rate_before_they_are_added():
    legs = {"a": call(THURSDAY, 1), "b": call(THURSDAY, 1)}
    up, fine = tariff(PER_SECOND | {"decimals": 2, "rounding": "up"}), tariff(PER_SECOND | {"decimals": 6})

    assert str(price_legs(legs, {"a": up, "b": fine}).amount) == "0.011667"  # 0.01 + 0.001667


def test_other_kinds_count_units_and_are_never_split_by_time():
    count = Call("862160001234", instant("2026-10-15 17:59:59"), 2 * 10**9, kind="unit")
    units = tariff(
        {"rate": "0.60", "rate_unit": 1, "band": "peak", "kind": "unit", **PER_SECOND},
        {"rate": "0.06", "kind": "unit", **PER_SECOND},
    )

    assert str(price_call(count, units).amount) == "1200000000.0000"
    assert price_call(count, units).explanation()["billed"] == "2000000000"


def test_a_row_for_every_kind_counts_seconds_or_units():
    both = tariff({"rate": "0.60"})

    assert str(price_call(call(THURSDAY, 61), both).amount) == "1.2000"
    assert str(price_call(replace(call(THURSDAY, 0), quantity=61, kind="data"), both).amount) == "1.2000"


def test_a_tariff_plan_counts_every_kind_in_base_units():
    plan = tariff({"rate_unit": Decimal("0.000001024"), "rate": "0.5", **PER_SECOND}, units_per_second=10**9)

    price = price_call(replace(call(THURSDAY, 0), quantity=10**9, kind="data"), plan)

    assert price.exact == Fraction(10**9, 2 * 1024)


def test_a_row_with_parts_of_a_second_prices_calls_only():
    half = tariff({"first_increment": Decimal("0.5"), "next_increment": Decimal("0.5"), "rate_unit": 1})

    assert str(price_call(call(THURSDAY, "1.2"), half).amount) == "0.1500"
    assert refused_by(lambda: price_call(replace(call(THURSDAY, 0), kind="data"), half))[0] == "no_rate"


def test_a_later_slice_pays_no_connect_fee_and_stands_higher_in_the_tiers():
    tiered = tariff({"tiers": (TierTerms(180, Decimal("0.05")),), **FEE})
    later = call(THURSDAY, 120, elapsed=120 * 10**9)

    assert str(price_call(later, tiered).amount) == "0.1500"
    assert str(price_call(replace(later, continued=False), tiered).amount) == "0.2000"
    assert str(price_call(replace(later, elapsed=0, continued=True), tiered).amount) == "0.2000"


def test_the_minimum_comes_before_the_cap_and_both_before_the_rounding():
    limits = {"min_charge": Decimal("0.155"), "cap": Decimal("0.255"), "cap_kind": "free", "decimals": 2}

    assert amount(THURSDAY, 1, limits) == "0.16"
    assert amount(THURSDAY, 120, limits) == "0.20"
    assert amount(THURSDAY, 240, limits) == "0.26"
    assert amount(THURSDAY, 1, limits | {"min_charge": Decimal(9)}) == "0.26"


def test_a_band_entered_later_brings_neither_fee_nor_minimum_nor_cap():
    later = (
        DEAR | FEE | {"band": "peak", "min_charge": Decimal(9), "cap": Decimal(0), "cap_kind": "free", "decimals": 1}
    )

    assert amount("2026-10-15 08:59:50", 20, CHEAP, later) == "0.1100"


def test_thirds_from_several_rates_add_up_exactly():
    late = {"rate": "0.10", "rate_unit": 7, "band": "peak", **PER_SECOND}
    price = price_call(call("2026-10-15 08:59:59", 4), tariff({"rate": "0.10", "rate_unit": 11, **PER_SECOND}, late))

    assert price.exact == Fraction(1, 110) + 3 * Fraction(1, 70)
    assert [step["exact"] for step in price.steps] == ["1/110", "3/70", "4/77"]
    assert [step["amount"] for step in price.steps] == ["0.009090909091", "0.042857142857", "0.0519"]


def test_the_first_rates_limits_hold_over_thirds_too():
    late = {"rate": "0.10", "rate_unit": 7, "band": "peak", **PER_SECOND}
    asked = call("2026-10-15 08:59:59", 4)

    at_least = tariff(CHEAP | {"min_charge": Decimal("0.30")}, late)
    at_most = tariff(CHEAP | {"cap": Decimal("0.03"), "cap_kind": "free"}, late)

    assert [str(price_call(asked, one).amount) for one in (at_least, at_most)] == ["0.3000", "0.0300"]


def test_a_call_may_cost_just_the_cap_at_which_it_ends():
    capped = tariff({"rate": "0.12", "cap": Decimal("0.96"), "cap_kind": "disconnect"})

    assert seconds_for(Decimal(9), call(THURSDAY, 0), capped, ask=1000) == 480


def test_money_ends_where_the_rate_is_lost():
    night_only = tariff({"band": "night", **PER_SECOND})
    asked = call("2026-10-15 05:59:30", 0)

    assert seconds_for(Decimal(100), asked, night_only, ask=3600) == 30
    assert refused_by(lambda: seconds_for(Decimal(100), call(THURSDAY, 0), night_only, ask=9))[0] == "band_gap"
    assert refused_by(lambda: seconds_for(Decimal(100), asked, night_only, ask=32 * DAY))[0] == "too_long"


@pytest.mark.parametrize(
    ("money", "seconds"), [("0.14", 0), ("0.15", 60), ("0.2499", 60), ("0.25", 120), ("99", 500), ("-1", 0)]
)
def test_money_buys_whole_increments(money, seconds):
    assert seconds_for(Decimal(money), call(THURSDAY, 0), tariff(FEE), ask=500) == seconds


def test_money_buys_units_too():
    units = tariff({"kind": "unit", "rate_unit": 1, "rate": "0.30", **PER_SECOND})

    assert seconds_for(Decimal(1), replace(call(THURSDAY, 0), kind="unit"), units, ask=10) == 3


def test_the_dearest_rate_counts_at_any_hour_and_for_any_carrier():
    rates = CHEAP, DEAR | {"band": "peak"}, CHEAP | {"rate": "0.90", "carrier": "CMCC"}

    at_night = dearest(call("2026-10-15 03:00:00", 60), tariff(*rates[:2]))
    unknown_carrier = dearest(call("2026-10-15 03:00:00", 60), tariff(*rates))

    assert (str(at_night.amount), at_night.winner["rate_id"]) == ("0.6000", 2)
    assert (str(unknown_carrier.amount), unknown_carrier.winner["rate_id"]) == ("0.9000", 3)


def test_the_dearest_is_the_one_that_gives_most_for_this_duration():
    rates = CHEAP | {"connect_fee": Decimal("0.50"), "band": "night"}, DEAR | {"band": "peak"}, CHEAP

    assert dearest(call(THURSDAY, 10), tariff(*rates)).winner["band"] == "night"
    assert dearest(call(THURSDAY, 600), tariff(*rates)).winner["band"] == "peak"


def test_what_is_never_reached_is_not_the_dearest():
    rates = (
        {"prefix": "8621", **CHEAP},
        {"prefix": "86", **DEAR},
        {"prefix": "862160", "blocked": True, "band": "night"},
    )

    assert str(dearest(call(THURSDAY, 60), tariff(*rates)).amount) == "0.0600"
    assert refused_by(lambda: dearest(call(THURSDAY, 60, key="9"), tariff(*rates)))[0] == "no_rate"
    assert refused_by(lambda: dearest(call(THURSDAY, 60), Tariff((), CALENDAR)))[0] == "no_tariff"


def test_the_dearest_may_come_from_the_next_version():
    versions = [deck(CHEAP), deck(DEAR, number=2, starts="2026-10-15 10:00:30")]

    assert str(dearest(call(THURSDAY, 60), single_deck_tariff(versions)).amount) == "0.6000"
    assert str(dearest(call(THURSDAY, 30), single_deck_tariff(versions)).amount) == "0.0300"


def test_an_explanation_can_be_redone_by_hand():
    rates = (
        {"rate": "0.12", "band": "peak", "next_increment": 6, "destination": "上海", **FEE},
        {"rate": Decimal("0.06000000"), "next_increment": 6, **FEE},
    )

    explained = price_call(call("2026-10-10 17:58:30", 125), tariff(*rates, number=7)).explanation()

    peak = {"what": "increments", "rate_id": 1, "band": "peak", "price": "0.12", "per": "60"}
    plain = {"what": "increments", "rate_id": 2, "band": None, "price": "0.06", "per": "60"}
    assert explained == {
        "amount": "0.2660",
        "currency": "CNY",
        "winner": {
            "deck": "cn-retail", "version": 7, "rate_id": 1, "prefix": "8621", "destination": "上海", "band": "peak",
            "priority": "20", "carrier": None, "subject": "*any",
        },
        "steps": [
            {"what": "connect_fee", "rate_id": 1, "exact": "1/20", "amount": "0.05"},
            {**peak, "at": "2026-10-10T17:58:30+08:00", "from": "0", "to": "60", "count": 1, "increment": "60",
             "exact": "3/25", "amount": "0.12"},
            {**peak, "at": "2026-10-10T17:59:30+08:00", "from": "60", "to": "90", "count": 5, "increment": "6",
             "exact": "3/50", "amount": "0.06"},
            {**plain, "at": "2026-10-10T18:00:00+08:00", "from": "90", "to": "126", "count": 6, "increment": "6",
             "exact": "9/250", "amount": "0.036"},
            {"what": "round", "method": "half_up", "decimals": 4, "exact": "133/500", "amount": "0.2660"},
        ],
        "billed": "126",
        "day_classes": {"2026-10-10": "makeup_workday"},
        "calendar_provisional": False,
        "versions": {"decks": {"cn-retail": 7}, "calendar": 12},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "step"),
    [
        ({"min_charge": Decimal("0.25")}, {"what": "min_charge", "exact": "3/20", "amount": "0.15"}),
        ({"cap": Decimal("0.04"), "cap_kind": "free"}, {"what": "cap", "exact": "-3/50", "amount": "-0.06"}),
    ],
)
def test_a_limit_is_a_line_with_the_difference_it_makes(terms, step):
    assert price_call(call(THURSDAY, 1), tariff(terms)).steps[1] == step


def test_a_boundary_that_changes_nothing_is_no_line():
    steps = price_call(
        call("2026-10-15 20:00:00", 20 * 3600), tariff({"rate": "0.01"}, {"band": "peak", "prefix": "9"})
    ).steps

    assert [(step["what"], step.get("count")) for step in steps] == [("increments", 1200), ("round", None)]


def test_each_loser_is_told_why():
    rates = (
        {"band": "peak"}, {}, {"prefix": "86"}, {"prefix": "862160", "band": "night"},
        {"enabled": False, "band": "night"},
        {"carrier": "CMCC"}, {"reach": "local"}, {"kind": "sms"}, {"band": "peak", "rate": "0.20"},
        {"effective_from": instant("2026-11-01 00:00:00")}, {"effective_to": instant(THURSDAY)}, {"prefix": "8610"},
        {"band": "peak", "reach": "hmt"},
    )  # fmt: skip
    versions = [
        deck({}),
        deck(*rates, number=2, starts="2026-10-01 00:00:00"),
        deck({}, number=3, starts="2026-12-01 00:00:00"),
    ]
    chain = single_deck_tariff(versions, calendar=CALENDAR)

    losers = candidates_at(call(THURSDAY, 60), chain, instant(THURSDAY))

    assert {(loser.version, loser.rate_id): loser.lost_because for loser in losers} == {
        (2, 2): "lower_priority", (2, 3): "shorter_prefix", (2, 4): "other_band", (2, 5): "disabled",
        (2, 6): "other_carrier", (2, 7): "other_reach", (2, 8): "other_kind", (2, 9): "dearer",
        (2, 10): "not_yet_effective", (2, 11): "expired", (2, 13): "other_reach",
        (1, 1): "superseded", (3, 1): "not_yet_effective",
    }  # fmt: skip
    assert [len(loser.prefix) for loser in losers] == sorted((len(loser.prefix) for loser in losers), reverse=True)
    assert {loser.starts for loser in losers if loser.version == 3} == {instant("2026-12-01 00:00:00")}


def test_losers_in_finer_points_and_further_down_the_chain():
    own, general = deck({"carrier": "CMCC"}, {}, name="own"), deck({"prefix": "862160"}, name="general")
    first, second = (
        single_deck_tariff([version], subject=name).subjects for version, name in ((own, "C1"), (general, "*any"))
    )

    losers = candidates_at(call(THURSDAY, 1, carrier="CMCC"), Tariff(first + second, CALENDAR), instant(THURSDAY))

    assert [(loser.deck, loser.lost_because) for loser in losers] == [
        ("general", "later_in_chain"),
        ("own", "less_specific"),
    ]


def test_the_next_change_of_the_winner_is_foretold():
    one = tariff({}, {"band": "peak"})

    assert next_change(call(THURSDAY, 1), one, instant(THURSDAY)).at == instant("2026-10-15 18:00:00")
    assert next_change(call(THURSDAY, 1), one, instant("2026-10-17 10:00:00")).at == instant("2026-10-19 09:00:00")
    assert next_change(call(THURSDAY, 1), tariff({}), instant(THURSDAY)) is None


def test_the_engine_needs_no_django():
    code = """if True:
        import sys
        sys.modules["django"] = None
        from datetime import UTC, datetime
        from decimal import Decimal
        from rating.compiled import compile_version
        from rating.engine import Call, price_call, single_deck_tariff
        from rating.terms import RateTerms, VersionTerms
        rows = [RateTerms(rate_id=1, prefix="", rate=Decimal(3))]
        deck = compile_version(VersionTerms(deck="d", version=1), rows=rows)
        print(price_call(Call("86", datetime(2026, 1, 1, tzinfo=UTC), 10**9), single_deck_tariff([deck])).amount)
        unwanted = "django", "rating.models", "billing_platform.clock"
        print(sorted(name for name in sys.modules if name.startswith(unwanted) and sys.modules[name] is not None))
    """

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )

    assert (ran.stdout.split("\n")[0], ran.stderr) == ("3.0000", "")
    assert ran.stdout.split("\n")[1] == "[]"


def test_two_zones_of_the_question_are_one_instant():
    asked = call("2026-10-15 17:59:57", 61)
    in_utc = replace(asked, at=asked.at.astimezone(UTC))
    one = tariff(DEAR | {"band": "peak"}, CHEAP)

    assert price_call(in_utc, one).explanation() == price_call(asked, one).explanation()
