"""The engine against a second-by-second oracle, and what must hold for every deck."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from billing_platform.money import amount_text
from rating.compiled import compile_version
from rating.engine import (
    Activation,
    Calendar,
    Call,
    PricingError,
    Subject,
    Tariff,
    dearest,
    price_call,
    seconds_for,
)
from rating.terms import BandTerms, RateTerms, TierTerms, VersionTerms
from tests.rating import oracle

KEY = "862160001234"
CLASSES = {date(2026, 10, 10): "makeup_workday", **{date(2026, 10, n): "holiday" for n in range(1, 8)}}
CALENDAR = Calendar(revision=1, days=CLASSES)
BANDS = (
    BandTerms(name="peak", classes=("workday", "makeup_workday"), start=time(9), end=time(18), priority=Decimal(20)),
    BandTerms(name="night", start=time(22, 0, 30), end=time(6)),
    BandTerms(name="friday night", weekdays=(5,), start=time(18), end=time(3)),
    BandTerms(name="rest", classes=("weekend", "holiday")),
    BandTerms(name="golden", dates=((date(2026, 10, 1), date(2026, 10, 7)),), end=time(12)),
    BandTerms(name="month's end", month_days=(31,), months=(10,), years=(2026,)),
)
# Primes: with these first increments two of them never cost the same, so that content never has to decide.
PRICES = [61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109]
SECOND = 10**9
modest = settings(max_examples=50, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])

lengths = st.sampled_from([1, 6, 30, 60])
moments = st.one_of(
    st.integers(0, 40 * 86_400).map(lambda seconds: datetime(2026, 9, 25, tzinfo=UTC) + timedelta(seconds=seconds)),
    st.tuples(st.integers(0, 40 * 24), st.integers(-70, 70)).map(
        lambda pair: datetime(2026, 9, 25, tzinfo=UTC) + timedelta(hours=pair[0], seconds=pair[1])
    ),
)
cents = st.integers(0, 40).map(lambda number: Decimal(number) / 100)


@st.composite
def rows(draw, number, price):
    first, following = draw(lengths), draw(lengths)
    free_kind = draw(st.sampled_from(["", "", "free_first_n", "free_if_shorter_than"]))
    free = draw(st.integers(1, 90)) if free_kind else 0
    base = first + (free if free_kind == "free_first_n" else 0)
    starts = draw(st.lists(st.integers(base, base + 300), max_size=2, unique=True))
    tiers = tuple(TierTerms(start, draw(cents), draw(st.none() | lengths)) for start in starts)
    cap_kind = draw(st.sampled_from(["", "", "free", "disconnect"]))
    since = draw(st.none() | moments)
    return RateTerms(
        rate_id=number,
        prefix=draw(st.sampled_from(["", "8", "86", "8621", "8621", "862160", "862160001234", "8610"])),
        rate=Decimal(price) / 1000,
        enabled=draw(st.integers(0, 9)) > 0,
        carrier=draw(st.sampled_from(["", "", "", "CMCC", "CTCC"])),
        reach=draw(st.sampled_from(["", "", "", "local", "international"])),
        band=draw(st.sampled_from(["", "", *(band.name for band in BANDS)])),
        priority=draw(st.sampled_from([None, None, Decimal(0), Decimal(20)])),
        first_rate=draw(st.none() | st.just(Decimal(price) / 500)),
        first_increment=first,
        next_increment=following,
        tiers=tiers,
        connect_fee=draw(cents),
        free_kind=free_kind,
        free_seconds=free,
        min_charge=draw(cents),
        cap=draw(cents) + Decimal("0.40") if cap_kind else None,
        cap_kind=cap_kind,
        rounding=draw(st.sampled_from(["", "up", "half_up", "half_even", "down"])),
        decimals=draw(st.none() | st.integers(0, 8)),
        blocked=draw(st.integers(0, 19)) == 0,
        effective_from=since,
        effective_to=since + timedelta(hours=draw(st.integers(1, 400))) if since else None,
    )


@st.composite
def decks(draw, name, *, number=1, starts=None):
    prices = draw(st.lists(st.sampled_from(PRICES), min_size=1, max_size=6, unique=True))
    head = VersionTerms(
        deck=name,
        version=number,
        zone=draw(st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu"])),
        effective_from=starts,
    )
    made = [draw(rows(number * 100 + place, price)) for place, price in enumerate(prices)]
    if draw(st.integers(0, 9)) < 7:  # most decks have an answer for every hour
        plain = {"band": "", "carrier": "", "reach": "", "effective_from": None, "effective_to": None}
        made[0] = replace(made[0], enabled=True, blocked=False, prefix="86", **plain)
    return oracle.Deck(head, tuple(made), BANDS)


@st.composite
def questions(draw):
    at = draw(moments)
    own = [draw(decks("own"))]
    if draw(st.booleans()):
        own.append(draw(decks("own", number=2, starts=at + timedelta(seconds=draw(st.integers(-300, 300))))))
    chain = (tuple(own), (draw(decks("general")),)) if draw(st.booleans()) else (tuple(own),)
    return oracle.Asked(
        key=KEY,
        at=at,
        seconds=draw(st.integers(0, 400)),
        chain=chain,
        classes=CLASSES,
        carrier=draw(st.sampled_from(["", "CMCC", "CUCC"])),
        reach=draw(st.sampled_from(["", "local"])),
        elapsed=draw(st.sampled_from([0, 0, 60, 137])),
    )


def tariff_of(asked, arrange=list):
    subjects = tuple(
        Subject(
            str(place),
            (
                Activation(
                    {
                        "": tuple(
                            compile_version(deck.head, rows=arrange(deck.rows), bands=deck.bands) for deck in versions
                        )
                    }
                ),
            ),
        )
        for place, versions in enumerate(asked.chain)
    )
    return Tariff(subjects, CALENDAR)


def call_of(asked):
    return Call(
        asked.key,
        asked.at,
        asked.seconds * SECOND,
        carrier=asked.carrier,
        reach=asked.reach,
        elapsed=asked.elapsed * SECOND,
    )


def answer(asked, tariff=None):
    """The amount as text, or the error and how far into the call it shows."""
    try:
        return amount_text(price_call(call_of(asked), tariff or tariff_of(asked)).amount)
    except PricingError as refused:
        return refused.code, refused.detail["after_seconds"]


def expected(asked):
    try:
        return amount_text(oracle.amount_of(asked))
    except oracle.NoPrice as refused:
        return refused.code, refused.after_seconds
    except oracle.Undecided:
        assume(condition=False)
        raise


def priced(asked):
    """Only questions that have a price."""
    result = answer(asked)
    assume(isinstance(result, str))
    return result


@settings(modest, max_examples=250)
@given(questions())
def test_equals_the_oracle(asked):
    assert answer(asked) == expected(asked)


@modest
@given(questions(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(asked, random):
    def shuffled(given_rows):
        return random.sample(given_rows, len(given_rows))

    assert answer(asked, tariff_of(asked, arrange=shuffled)) == answer(asked)


@modest
@given(questions(), st.integers(0, 120))
def test_a_longer_call_never_costs_less(asked, more):
    longer = replace(asked, seconds=asked.seconds + more)

    assert Decimal(priced(asked)) <= Decimal(priced(longer))


@modest
@given(questions())
def test_the_lines_add_up_to_the_last(asked):
    priced(asked)
    price = price_call(call_of(asked), tariff_of(asked))

    *lines, last = price.explanation()["steps"]

    assert sum(Fraction(line["exact"]) for line in lines) == Fraction(last["exact"]) == price.exact
    assert last["amount"] == amount_text(price.amount)
    assert all(line["count"] >= 1 for line in lines if line["what"] == "increments")


@modest
@given(questions())
def test_the_rounding_stays_within_one_unit(asked):
    priced(asked)
    price = price_call(call_of(asked), tariff_of(asked))

    unit = Fraction(1, 10 ** price.steps[-1]["decimals"])

    assert abs(Fraction(price.amount) - price.exact) < unit


@modest
@given(questions(), st.integers(1, 5))
def test_slices_at_increment_ends_add_up(asked, slice_count):
    asked = replace(asked, elapsed=0)
    priced(asked)
    tariff = tariff_of(asked)
    whole = price_call(call_of(asked), tariff)
    assume(not any(found.ladder.free_below for found, *_ in whole.climbs))  # a slice cannot know how long the call gets

    total, call = Fraction(0), whole.call
    for found, tier, pos, count in whole.climbs:
        end = pos + min(count, slice_count) * tier.increment
        for first, last in ((pos, end), (end, pos + count * tier.increment)):
            if last > first:
                at = asked.at + timedelta(microseconds=first // 1000)
                part = price_call(
                    replace(call, at=at, quantity=last - first, elapsed=first, continued=first > 0), tariff
                )
                total += before_limits(part)
        assert found.link.version.head.deck in {"own", "general"}

    assert total == before_limits(whole)
    try:
        assert total == oracle.sum_of(asked)
    except oracle.Undecided:
        assume(condition=False)


def before_limits(price):
    return sum(Fraction(step["exact"]) for step in price.steps if step["what"] in ("connect_fee", "increments"))


@modest
@given(questions(), st.integers(0, 200).map(lambda cents: Decimal(cents) / 100), st.integers(0, 80))
def test_money_lasts_as_long_as_the_definition_says(asked, money, ask):
    asked = replace(asked, seconds=0)
    priced(asked)
    tariff = tariff_of(asked)

    def is_covered(seconds):
        try:
            price = price_call(call_of(replace(asked, seconds=seconds)), tariff)
        except PricingError:
            return False
        cutoff = price.ladder.cutoff
        return price.amount <= money and (cutoff is None or price.exact <= cutoff)

    affordable = [seconds for seconds in range(ask + 1) if is_covered(seconds)]

    assert seconds_for(money, call_of(asked), tariff, ask=ask) == max(affordable, default=0)


@modest
@given(questions(), st.integers(1, 7), st.integers(0, 59))
def test_cutting_a_band_in_two_changes_nothing(asked, hours, minutes):
    """`peak` (9:00 to 18:00) becomes two bands of the same priority, with its rows in both."""
    middle = time(9 + hours, minutes)
    peak = BANDS[0]
    halves = replace(peak, name="morning", end=middle), replace(peak, name="afternoon", start=middle)

    def cut(deck):
        doubled = [
            replace(row, rate_id=row.rate_id + extra, band=name)
            for row in deck.rows
            for extra, name in (((0, "morning"), (50, "afternoon")) if row.band == "peak" else ((0, row.band),))
        ]
        return replace(deck, rows=tuple(doubled), bands=(*BANDS[1:], *halves))

    def ranked(deck):  # what began last must not decide: only the peak rows have its priority
        return replace(
            deck, rows=tuple(replace(row, priority=Decimal(21) if row.band == "peak" else None) for row in deck.rows)
        )

    asked = replace(asked, chain=tuple(tuple(ranked(deck) for deck in versions) for versions in asked.chain))

    halved = replace(asked, chain=tuple(tuple(cut(deck) for deck in versions) for versions in asked.chain))

    assert answer(halved) == answer(asked)


@modest
@given(questions())
def test_the_dearest_price_covers_a_call_at_one_rate(asked):
    priced(asked)
    tariff = tariff_of(asked)
    price = price_call(call_of(asked), tariff)
    assume(len({id(found.term) for found, *_ in price.climbs}) <= 1)

    assert dearest(call_of(asked), tariff).amount >= price.amount
