"""Which rate counts, and when: prefixes, bands, priorities, versions, assignments, carriers."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from rating.compiled import compile_version
from rating.engine import Activation, Calendar, Call, PricingError, Subject, Tariff, price_call, single_deck_tariff
from rating.ladder import TermsRefused
from rating.terms import BandTerms, RateTerms, TierTerms, VersionTerms
from tests.rating.pricing import CALENDAR, PEAK, THURSDAY, amount, call, deck, instant, tariff

PER_SECOND = {"first_increment": 1, "next_increment": 1}
DEAR, CHEAP = {"rate": "0.60"}, {"rate": "0.06"}


def winner(at, *rates, **options):
    more = options.pop("call", {})
    return price_call(call(at, 1, **more), tariff(*rates, **options)).winner["rate_id"]


def refusal(at, seconds, *rates, **options):
    more = options.pop("call", {})
    with pytest.raises(PricingError) as refused:
        price_call(call(at, seconds, **more), tariff(*rates, **options))
    return refused.value.code


def test_the_longest_prefix_with_an_active_rate_wins():
    rates = {"prefix": ""}, {"prefix": "86"}, {"prefix": "862160"}, {"prefix": "8621600", "enabled": False}

    assert winner(THURSDAY, *rates) == 3


def test_a_prefix_may_be_the_whole_number_and_never_longer():
    assert winner(THURSDAY, {"prefix": "862160001234"}, {"prefix": "8621600012345"}, {"prefix": "8"}) == 1
    assert winner(THURSDAY, {"prefix": "862"}, {"prefix": "86"}, {"prefix": ""}, call={"key": "86"}) == 2


def test_a_blocked_winner_ends_the_search_even_at_zero_seconds():
    rates = {"prefix": "86"}, {"prefix": "8621", "blocked": True}

    assert refusal(THURSDAY, 60, *rates) == refusal(THURSDAY, 0, *rates) == "blocked"


def test_a_blocked_band_stops_the_call_where_it_begins():
    rates = {**PER_SECOND}, {"band": "peak", "blocked": True}

    with pytest.raises(PricingError) as refused:
        price_call(call("2026-10-15 08:59:59.5", 60), tariff(*rates))

    assert (refused.value.code, refused.value.detail["after_seconds"]) == ("blocked", 1)
    assert refused.value.detail["rate_id"] == 2


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"carrier": "CMCC", "reach": "local", "rate": "0.01"}, {"priority": Decimal("0.5")}),
        ({"reach": "local", "rate": "0.01"}, {"carrier": "CMCC"}),
        ({"rate": "0.01"}, {"reach": "local"}),
        ({"rate": "0.11"}, {"rate": "0.10"}),
        ({"rate": "0.01", "first_rate": Decimal("0.20")}, {"rate": "0.10"}),
    ],
    ids=["priority", "carrier", "reach", "cheaper", "cheaper first increment"],
)
def test_on_one_prefix_the_first_difference_decides(worse, better):
    chosen = {"carrier": "CMCC", "reach": "local"}

    assert winner(THURSDAY, worse, better, call=chosen) == 2
    assert winner(THURSDAY, better, worse, call=chosen) == 1


def test_at_equal_priority_the_band_that_began_last_wins_though_dearer():
    morning, day = BandTerms(name="morning", start=time(8)), BandTerms(name="day", start=time(6))

    assert winner(THURSDAY, DEAR | {"band": "morning"}, CHEAP | {"band": "day"}, CHEAP, bands=[morning, day]) == 1
    assert winner("2026-10-15 07:00:00", DEAR | {"band": "morning"}, CHEAP | {"band": "day"}, bands=[morning, day]) == 2


def test_a_rate_for_others_does_not_win_by_having_begun_last():
    morning, day = BandTerms(name="morning", start=time(8)), BandTerms(name="day", start=time(6))
    over = {"effective_to": instant("2026-10-15 09:00:00"), "band": "morning"}

    assert winner(THURSDAY, DEAR | over, CHEAP | {"band": "day"}, bands=[morning, day]) == 2
    assert winner("2026-10-15 08:30:00", DEAR | over, CHEAP | {"band": "day"}, bands=[morning, day]) == 1


def test_a_band_that_ends_when_it_starts_lasts_a_whole_day():
    friday = BandTerms(name="friday", weekdays=(5,), start=time(9), end=time(9))

    for at, rate_id in [("2026-10-16 08:59:59", 2), ("2026-10-16 09:00:00", 1), ("2026-10-17 08:59:59", 1)]:
        assert winner(at, {"band": "friday"}, {"prefix": "86"}, bands=[friday]) == rate_id


def test_a_band_of_yesterday_began_before_one_of_today():
    late, early = BandTerms(name="late", start=time(22), end=time(6)), BandTerms(name="early", start=time(1))

    assert winner("2026-10-15 02:00:00", CHEAP | {"band": "late"}, DEAR | {"band": "early"}, bands=[late, early]) == 2
    assert winner("2026-10-15 22:30:00", DEAR | {"band": "late"}, CHEAP | {"band": "early"}, bands=[late, early]) == 1


def test_equal_first_increments_are_decided_by_content_not_by_order():
    one, other = {"rate": "0.10"}, {"rate": "0.10", "next_increment": 6}

    first, second = amount(THURSDAY, 61, one, other), amount(THURSDAY, 61, other, one)

    assert first == second


@pytest.mark.parametrize(
    ("band", "priority"),
    [
        ({"dates": ((date(2026, 10, 7), date(2026, 10, 7)),)}, "30"),
        ({"classes": ("holiday",)}, "20"),
        ({"weekdays": (3,)}, "10"),
        ({"classes": ("weekend", "holiday")}, "10"),
        ({"start": time(9)}, "0"),
        ({"start": time(9), "priority": Decimal("7.50")}, "7.5"),
    ],
)
def test_a_row_without_priority_takes_its_bands(band, priority):
    price = price_call(call("2026-10-07 10:00:00", 1), tariff({"band": "some"}, bands=[BandTerms(name="some", **band)]))

    assert price.winner["priority"] == priority


@pytest.mark.parametrize(
    ("at", "active"),
    [
        ("2026-10-16 22:00:00", True),  # a Friday
        ("2026-10-17 05:59:59", True),
        ("2026-10-17 06:00:00", False),
        ("2026-10-17 22:00:00", False),
        ("2026-10-16 05:00:00", False),
    ],
)
def test_a_band_across_midnight_belongs_to_the_day_on_which_it_began(at, active):
    friday = BandTerms(name="friday night", weekdays=(5,), start=time(22), end=time(6))

    assert (winner(at, {"band": "friday night"}, {"prefix": "86"}, bands=[friday]) == 1) is active


@pytest.mark.parametrize("sunday", [0, 7])
def test_sunday_is_0_and_7(sunday):
    band = BandTerms(name="sunday", weekdays=(sunday,))

    assert winner("2026-10-18 12:00:00", {"band": "sunday"}, {"prefix": "86"}, bands=[band]) == 1
    assert winner("2026-10-17 12:00:00", {"band": "sunday"}, {"prefix": "86"}, bands=[band]) == 2


def test_the_tests_of_a_band_are_a_conjunction():
    band = BandTerms(name="some", years=(2026,), months=(10, 11), month_days=(15, 16), end=time(12))

    for at, rate_id in [("2026-10-15 11:59:59", 1), ("2026-10-15 12:00:00", 2), ("2026-12-15 10:00:00", 2)]:
        assert winner(at, {"band": "some"}, {"prefix": "86"}, bands=[band]) == rate_id
    assert winner("2027-10-15 10:00:00", {"band": "some"}, {"prefix": "86"}, bands=[band]) == 2
    assert winner("2026-11-16 10:00:00", {"band": "some"}, {"prefix": "86"}, bands=[band]) == 1


def test_a_call_that_ends_at_the_boundary_does_not_touch_the_next_band():
    evening = BandTerms(name="evening", start=time(18))
    rates = PER_SECOND | DEAR | {"band": "evening"}, PER_SECOND | CHEAP

    assert amount("2026-10-15 17:59:50", 10, *rates, bands=[evening]) == "0.0100"
    assert amount("2026-10-15 17:59:50", 11, *rates, bands=[evening]) == "0.0200"
    assert amount("2026-10-15 18:00:00", 1, *rates, bands=[evening]) == "0.0100"


def test_fractions_of_a_second_are_exact():
    evening = BandTerms(name="evening", start=time(18))
    rates = PER_SECOND | DEAR | {"band": "evening"}, PER_SECOND | CHEAP

    assert amount("2026-10-15 17:59:59.999999", "0.000001", *rates, bands=[evening]) == "0.0010"
    assert amount("2026-10-15 17:59:59.999999", "1.000000001", *rates, bands=[evening]) == "0.0110"


def test_the_clock_of_the_zone_may_be_put_back():
    """In Berlin 25 October 2026 has 02:30 twice, and the band holds both times."""
    band = BandTerms(name="half past two", start=time(2, 30), end=time(3))
    berlin = tariff(
        PER_SECOND | DEAR | {"band": "half past two", "prefix": "86"},
        PER_SECOND | CHEAP | {"prefix": ""},
        bands=[band],
        zone="Europe/Berlin",
    )
    hour = Call("8610", datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 2 * 3600 * 10**9)  # 02:00 twice round to 03:00

    price = price_call(hour, berlin)

    assert [(step["band"], step["count"]) for step in price.steps[:-1]] == [
        (None, 1800), ("half past two", 1800), (None, 1800), ("half past two", 1800),
    ]  # fmt: skip


def test_a_row_counts_within_its_own_period_only():
    from_noon = {"rate": "0.60", "effective_from": instant("2026-10-15 12:00:00")}
    until_one = {"effective_to": instant("2026-10-15 13:00:00")}
    rates = PER_SECOND | from_noon | until_one, PER_SECOND | CHEAP | {"prefix": "86"}

    assert amount("2026-10-15 11:59:50", 20, *rates) == "0.1100"
    assert amount("2026-10-15 12:59:50", 20, *rates) == "0.1100"


def test_at_one_instant_the_later_version_counts():
    first, second = (
        deck({"rate": price}, number=number, starts=THURSDAY) for number, price in ((3, "0.1"), (4, "0.2"))
    )

    for versions in ([first, second], [second, first]):
        price = price_call(call(THURSDAY, 60), single_deck_tariff(versions, calendar=CALENDAR))

        assert price.versions == [("cn-retail", 4)]


def test_a_version_that_is_not_in_force_yet_is_no_rate():
    later = single_deck_tariff([deck({}, starts="2026-10-15 10:00:01")], calendar=CALENDAR)

    with pytest.raises(PricingError) as refused:
        price_call(call(THURSDAY, 60), later)

    assert refused.value.code == "no_rate"


def subject(name, *decks, starts=None, **isolated):
    timelines = {"": tuple(decks)} | {carrier: tuple(versions) for carrier, versions in isolated.items()}
    return Subject(name, (Activation(timelines, instant(starts) if starts else None),))


def chain_winner(subjects, at=THURSDAY, **more):
    return price_call(call(at, 1, **more), Tariff(tuple(subjects), CALENDAR)).winner


def test_the_chain_is_walked_until_a_deck_has_an_active_rate():
    own = deck({"band": "night"}, {"prefix": "8610"}, name="own")
    general = deck({"prefix": "86"}, name="general")
    chain = [subject("C1", own), subject("*any", general)]

    assert [chain_winner(chain)[field] for field in ("deck", "subject", "prefix")] == ["general", "*any", "86"]
    assert chain_winner(chain, at="2026-10-15 03:00:00")["deck"] == "own"


def test_a_boundary_of_the_empty_handed_deck_gives_it_back_the_call():
    own = deck(PER_SECOND | DEAR | {"band": "peak"}, name="own")
    general = deck(PER_SECOND | CHEAP, name="general")
    chain = Tariff((subject("C1", own), subject("*any", general)), CALENDAR)

    price = price_call(call("2026-10-15 08:59:50", 20), chain)

    assert (str(price.amount), price.versions) == ("0.1100", [("general", 1), ("own", 1)])


def test_an_assignment_takes_over_during_the_call():
    old, new = deck(PER_SECOND | CHEAP, name="old"), deck(PER_SECOND | DEAR, name="new")
    both = Subject("C1", (Activation({"": (old,)}), Activation({"": (new,)}, instant("2026-10-15 10:00:10"))))

    assert str(price_call(call(THURSDAY, 20), Tariff((both,), CALENDAR)).amount) == "0.1100"


def test_before_its_first_activation_a_subject_is_an_empty_deck():
    later = subject("C1", deck({}, name="own"), starts="2026-10-15 10:00:01")

    assert chain_winner([later, subject("*any", deck({}, name="general"))])["deck"] == "general"
    with pytest.raises(PricingError) as refused:
        chain_winner([later])
    assert refused.value.code == "no_rate"


def test_without_subjects_there_is_no_tariff():
    with pytest.raises(PricingError) as refused:
        chain_winner([])

    assert refused.value.code == "no_tariff"


def test_an_isolated_deck_prices_its_carrier_only():
    general, mobile = deck({}, name="general"), deck({"prefix": "8610"}, name="mobile", carrier="CMCC")
    chain = [subject("C1", general, CMCC=[mobile])]

    assert chain_winner(chain)["deck"] == chain_winner(chain, carrier="CTCC")["deck"] == "general"
    with pytest.raises(PricingError) as refused:
        chain_winner(chain, carrier="CMCC")
    assert refused.value.code == "no_rate"
    assert chain_winner(chain, carrier="CMCC", key="861060001234")["carrier"] == "CMCC"


def test_until_an_isolated_deck_is_in_force_the_general_one_answers():
    general, mobile = deck({}, name="general"), deck({}, name="mobile", carrier="CMCC", starts="2026-10-15 10:00:01")
    chain = [subject("C1", general, CMCC=[mobile])]

    assert chain_winner(chain, carrier="CMCC")["deck"] == "general"
    assert chain_winner(chain, at="2026-10-15 10:00:01", carrier="CMCC")["deck"] == "mobile"


def test_selectors_that_do_not_fit_leave_no_rate():
    assert refusal(THURSDAY, 1, {"carrier": "CMCC"}) == "no_rate"
    assert refusal(THURSDAY, 1, {"reach": "local"}, call={"reach": "international"}) == "no_rate"
    assert refusal(THURSDAY, 1, {"kind": "sms"}) == "no_rate"
    assert refusal(THURSDAY, 1, {"enabled": False}) == "no_rate"


def test_rates_that_sleep_are_a_gap():
    assert refusal(THURSDAY, 0, {"band": "night"}, {"prefix": "8610"}) == "band_gap"
    assert refusal(THURSDAY, 0, {"effective_from": instant("2026-11-01 00:00:00")}) == "band_gap"


def test_an_unreadable_number_is_bad_unless_the_deck_takes_any_text():
    raw = {"prefix": "+49", "numbering": "raw"}

    assert refusal(THURSDAY, 1, {"prefix": ""}, call={"key": None}) == "bad_number"
    assert winner(THURSDAY, {"prefix": "+49"}, numbering="raw", call={"key": None, "dialled": "+49 abc"}) == 1
    assert (
        refusal(THURSDAY, 1, {"prefix": raw["prefix"]}, numbering="raw", call={"key": None, "dialled": "0"})
        == "no_rate"
    )
    assert winner(THURSDAY, {"prefix": ""}, numbering="raw", call={"key": None, "dialled": ""}) == 1


def test_a_use_without_a_number_meets_only_the_empty_prefix():
    assert winner(THURSDAY, {"prefix": "86"}, {"prefix": ""}, call={"key": ""}) == 2
    assert refusal(THURSDAY, 1, {"prefix": "86"}, call={"key": ""}) == "no_rate"


def test_a_deck_in_another_currency_is_refused():
    dollars = Tariff((subject("C1", deck({}, currency="USD")),), CALENDAR, currency="CNY")

    with pytest.raises(PricingError) as refused:
        price_call(call(THURSDAY, 1), dollars)

    assert (refused.value.code, refused.value.detail["currency"]) == ("currency_mismatch", "USD")


@pytest.mark.parametrize(
    ("day", "provisional"), [(date(2026, 10, 7), False), (date(2026, 10, 8), True), (date(2027, 1, 1), True)]
)
def test_a_price_from_a_provisional_day_says_so(day, provisional):
    calendar = Calendar(7, {date(2026, 10, 7): "holiday"}, provisional=frozenset({date(2026, 10, 8)}))
    one = single_deck_tariff([deck({"prefix": ""}, {"band": "peak"})], calendar=calendar)

    price = price_call(call(f"{day} 10:00:00", 1), one)

    assert price.calendar_provisional is provisional
    assert price.explanation()["versions"]["calendar"] == 7


def test_only_days_that_some_band_asked_for_are_named():
    night = BandTerms(name="work night", classes=("workday",), start=time(22), end=time(6))
    rates = {"band": "work night"}, {"prefix": ""}

    asked = price_call(call("2026-10-08 05:59:59", 1), tariff(*rates, bands=[night])).day_classes
    plain = price_call(call(THURSDAY, 1), tariff({}, bands=[])).day_classes

    assert asked == {date(2026, 10, 7): "holiday", date(2026, 10, 8): "workday"}
    assert plain == {}


class CountingDict(dict):
    probes = 0

    def get(self, key, default=None):
        CountingDict.probes += 1
        return super().get(key, default)


@pytest.mark.parametrize("key", ["862160001234", "86216", "86", "8", "", "999"])
def test_a_look_up_probes_at_most_once_per_character(key):
    version = deck(*({"prefix": "862160001234"[:size]} for size in range(13)), {"prefix": "99"}, {"prefix": "8629"})
    version.content.candidates = CountingDict(version.candidates)
    CountingDict.probes = 0

    price_call(Call(key, instant(THURSDAY), 10**9), single_deck_tariff([version]))

    assert 1 <= CountingDict.probes <= len(key) + 1


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"tiers": (TierTerms(59, Decimal("0.05")),)}, "E_TIER"),
        ({"tiers": (TierTerms(60, Decimal("0.05")),), "free_kind": "free_first_n", "free_seconds": 1}, "E_TIER"),
        ({"next_increment": 0}, "E_INCREMENT"),
        ({"rate_unit": 0}, "E_INCREMENT"),
        ({"kind": "sms", "next_increment": Decimal("0.5")}, "E_UNIT"),
        ({"band": "unknown"}, "E_BAND"),
    ],
)
def test_terms_that_cannot_be_priced_are_refused_by_name(terms, code):
    row = RateTerms(rate_id=1, prefix="86", rate=Decimal("0.1"), **terms)

    with pytest.raises(TermsRefused) as refused:
        compile_version(VersionTerms(deck="d", version=1), rows=[row], bands=[PEAK])

    assert refused.value.code == code
