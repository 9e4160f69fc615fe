"""What a process has in memory: large decks answer before they are compiled, to the digit, and give room again."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from billing_platform import clock
from rating import tariffs
from rating.caching import in_memory, on_demand
from rating.caching.live import compiled_versions
from rating.caching.stored import compiled
from rating.call import Call, PricingError
from rating.candidates import candidates_at
from rating.compiled import compile_version
from rating.decks import open_draft
from rating.engine import Tariff, dearest, price_call, single_deck_tariff
from rating.models import Deck, DeckVersion, Rate
from rating.terms import RateTerms
from rating.versions import CONTENT, bands_of, head_of, read_tiers
from tests.processes import wait_until
from tests.rating.deck_files import ADMIN, assign, make_deck
from tests.rating.pricing import CALENDAR, SHANGHAI
from tests.rating.test_engine_properties import call_of, questions, tariff_of

NUMBER = "8613800138000"
BANDS = (
    "#!band peak days=workday from=09:00 to=18:00 priority=20",
    "#!band night from=22:00 to=06:00",
    "#!band unused days=holiday",
)
MIXED = (
    "prefix,destination,enabled,carrier,reach,kind,band,priority,rate,first_rate,first_increment,next_increment,tiers,"
    "connect_fee,free_kind,free_seconds,min_charge,cap,cap_kind,rounding,decimals,blocked,effective_from,effective_to"
)
VARIED = {
    "destination": ["上海", "Beijing, north", "back\\slash", ""],
    "enabled": ["true", "true", "true", "false"],
    "carrier": ["", "", "CMCC", "CUCC"],
    "reach": ["", "", "local"],
    "kind": ["", "", "voice", "unit"],
    "band": ["", "peak", "night"],
    "priority": ["", "", "5"],
    "rate": ["0.06", "0.1", "0.12345678", "0"],
    "first_rate": ["", "", "0.5"],
    "first_increment": ["60", "1"],
    "next_increment": ["6", "60"],
    "tiers": ["", "", "180:0.05;600:0.03/6"],
    "connect_fee": ["0", "0.05"],
    "free_kind,free_seconds": [",", ",", "free_first_n,10", "free_if_shorter_than,8"],
    "min_charge": ["0", "0.15"],
    "cap,cap_kind": [",", ",", "1,free", "2.5,disconnect"],
    "rounding,decimals": [",", "up,2", ",6"],
    "blocked": ["false", "false", "false", "true"],
    "effective_from,effective_to": [",", ",", ",", "2026-10-05 12:00,", "2026-10-01,2026-10-20"],
}


@pytest.fixture
def large(monkeypatch):
    """Every deck counts as large."""
    monkeypatch.setattr(in_memory, "SMALL_ROWS", 0)


def mixed_lines(dice, *, rows):
    """Rows of every kind on prefixes of a few families, so that the numbers below meet many of them."""
    lines = {}
    while len(lines) < rows:
        prefix = dice.choice(["86138001380", "8613900", "8621600", "44207"])[: dice.randint(0, 11)]
        prefix += "".join(dice.choice("01") for _ in range(dice.choice([0, 0, 1, 2])))
        cells = {name: dice.choice(values) for name, values in VARIED.items()}
        identity = (prefix, *(cells[name] for name in ("carrier", "reach", "kind", "band", "priority")))
        quoted = [f'"{cell}"' if name == "destination" else cell for name, cell in cells.items()]
        lines[identity] = ",".join([prefix, *quoted])
    return list(lines.values())


def mixed_calls(dice, *, how_many):
    for _ in range(how_many):
        head = dice.choice(["86138001380", "8613900", "8621600", "44207", "86.110", "86", "7", ""])
        yield Call(
            head + "".join(dice.choice("01") for _ in range(dice.randint(0, 3))),
            datetime(2026, 10, 1, tzinfo=SHANGHAI) + timedelta(seconds=dice.randrange(30 * 86_400)),
            dice.randrange(1_500) * 10**9,
            kind=dice.choice(["voice", "voice", "voice", "unit"]),
            carrier=dice.choice(["", "CMCC", "CUCC"]),
            reach=dice.choice(["", "local"]),
        )


def answer(call: Call, tariff: Tariff):
    """All there is to say: the price with its sum, the most it could cost, and who lost why."""
    losers = candidates_at(call, tariff, call.at)
    try:
        return price_call(call, tariff).explanation_text(), dearest(call, tariff).amount, losers
    except PricingError as refused:
        return refused.code, refused.at, refused.detail, losers


def row_by_row(version: DeckVersion):
    """The version compiled the plain way, from objects."""
    rows = [
        RateTerms(
            rate_id=rate.pk, prefix=rate.key, tiers=read_tiers(rate.tiers),
            **{name: getattr(rate, name) for name in CONTENT if name not in ("prefix", "key", "tiers")},
        )
        for rate in Rate.objects.filter(deck=version.deck_id)
    ]  # fmt: skip
    return compile_version(head_of(version), rows=rows, bands=bands_of(version))


def alone(version) -> Tariff:
    return single_deck_tariff([version], calendar=CALENDAR)


@pytest.mark.django_db
def test_on_demand_and_in_bulk_a_deck_answers_as_row_by_row():
    dice = random.Random(20261122)
    make_deck("mixed", *BANDS, *mixed_lines(dice, rows=600), columns=MIXED, numbering="e164")
    version = DeckVersion.objects.select_related("deck__carrier").get(deck__code="mixed")
    plain, bulk, demanded = alone(row_by_row(version)), alone(compiled(version)), alone(on_demand.on_demand(version))

    answers = []
    for call in mixed_calls(dice, how_many=400):
        expected = answer(call, plain)
        assert answer(call, bulk) == expected
        assert answer(call, demanded) == expected
        answers.append(expected[0])

    assert len(set(answers)) > 100


@hypothesis_settings(max_examples=60)
@given(questions())
def test_rows_on_other_prefixes_decide_nothing(asked):
    def own_rows(rows):
        return [row for row in rows if asked.key.startswith(row.prefix)]

    def told(tariff):
        try:
            return price_call(call_of(asked), tariff).explanation()
        except PricingError as refused:
            return refused.code, refused.detail

    assert told(tariff_of(asked, own_rows)) == told(tariff_of(asked))


@pytest.mark.django_db
def test_an_on_demand_version_lists_what_it_has():
    make_deck("common", ",0.60,60,60", "8613800,0.10,60,60", "8613900,0.20,60,60", numbering="e164")
    version = DeckVersion.objects.select_related("deck__carrier").get(deck__code="common")
    demanded = on_demand.on_demand(version)

    assert sorted(demanded.candidates) == sorted(compiled(version).candidates) == ["", "8613800", "8613900"]
    assert (len(demanded.rows), len(demanded.disabled)) == (3, 0)
    assert "861390" not in demanded.candidates


@pytest.mark.django_db
def test_a_crowded_head_is_read_number_by_number(monkeypatch, large):
    monkeypatch.setattr(on_demand, "HEAD_ROWS_MAX", 3)
    make_deck("crowd", *(f"861380013800{n},0.{n}0,60,60" for n in range(1, 10)), ",0.01,60,60", numbering="e164")
    assign("crowd")

    prices = [price(f"861380013800{n}") for n in range(10)]

    assert prices == [Decimal("0.0100"), *(Decimal(f"0.{n}000") for n in range(1, 10))]


@pytest.mark.django_db
def test_raw_texts_are_looked_up_as_given(large):
    make_deck("raw", "+49,0.49,60,60", "0256,0.25,60,60", "word,0.77,60,60", numbering="raw")
    assign("raw")

    texts = ["+4930", "02561", "wordy", "+4", ""]
    found = [next(iter(version_in_force().prefixes_of(text)), ("none", None))[0] for text in texts]

    assert found == ["+49", "0256", "word", "none", "none"]


@pytest.mark.django_db
def test_what_is_known_is_bounded(monkeypatch, large):
    monkeypatch.setattr(on_demand, "ROWS_MAX", 2)
    make_deck("common", *(f"861380{n},0.{n}0,60,60" for n in range(1, 10)), numbering="e164")
    assign("common")

    for _ in range(2):
        assert [price(f"861380{n}1234") for n in range(1, 10)] == [Decimal(f"0.{n}000") for n in range(1, 10)]


@pytest.mark.django_db
def test_a_cold_look_up_asks_for_one_head_once(django_assert_num_queries, large):
    make_deck("common", ",0.60,60,60", "8613800,0.10,60,60", "8613900,0.20,60,60", numbering="e164")
    assign("common")
    tariff = tariff_now()

    with django_assert_num_queries(1):
        assert price(NUMBER, tariff) == Decimal("0.1000")
        assert price("8613800999999", tariff) == Decimal("0.1000")
    with django_assert_num_queries(1):
        assert price("8613900999999", tariff) == Decimal("0.2000")


def test_calls_are_priced_while_a_thread_compiles_and_then_without_the_database(
    fresh_database, django_assert_num_queries, large
):
    make_deck("common", ",0.60,60,60", "8613800,0.10,60,60", numbering="e164")
    assign("common")
    tariff = tariff_now()
    before = price_call(a_call(NUMBER), tariff)

    wait_until(lambda: tariff.versions().isdisjoint(compiled_versions.cold()), what="compiled")

    with django_assert_num_queries(0):
        after = price_call(replace_time(before.call), tariff)
        assert after.explanation_text() == before.explanation_text()
        assert price("8699", tariff) == Decimal("0.6000")


@pytest.mark.django_db
def test_room_is_made_by_the_version_that_was_asked_for_longest_ago(settings):
    make_deck("first", ",0.60,60,60")
    make_deck("second", ",0.30,60,60")
    first = tariffs.deck_tariff("first", at=clock.now())
    kept = price_call(a_call(NUMBER), first)
    settings.RATING_COMPILED_CACHE_MB = 0

    second = tariffs.deck_tariff("second", at=clock.now())

    cold = compiled_versions.cold()
    assert not first.versions().isdisjoint(cold)
    assert second.versions().isdisjoint(cold)
    assert kept.explanation()["winner"]["prefix"] == ""
    assert price_call(a_call(NUMBER), first).amount == Decimal("0.6000")


@pytest.mark.django_db
def test_a_draft_is_read_as_it_is_now():
    make_deck("common", ",0.60,60,60", numbering="e164")
    draft = open_draft(Deck.objects.get(code="common"), caller=ADMIN)
    assert draft_price(draft) == Decimal("0.6000")

    Rate.objects.create(deck=draft.deck, valid_from_version=draft.number, prefix="86138", key="86138", rate="0.1")

    assert draft_price(draft) == Decimal("0.1000")


@pytest.mark.django_db
def test_texts_come_through_the_bulk_reader_unharmed():
    make_deck("common", ",0.60,60,60", numbering="raw")
    draft = open_draft(Deck.objects.get(code="common"), caller=ADMIN)
    name = "tab\t line\n back\\slash \\N 城市"
    Rate.objects.create(
        deck=draft.deck, valid_from_version=draft.number, prefix="a\\b", key="a\\b", rate="0.1", destination=name
    )

    for one in (compiled(draft), on_demand.on_demand(draft)):
        assert one.rows["a\\b"].destinations == (name,)


def a_call(key):
    return Call(key, clock.now(), 60 * 10**9, dialled=key)


def replace_time(call):
    return Call(call.key, call.at, call.quantity, dialled=call.dialled)


def tariff_now():
    return tariffs.tariff_for(tenant="demo", category="callback", subject="*any", at=clock.now())


def version_in_force():
    (version,) = tariff_now().versions()
    return version


def price(key, tariff=None):
    return price_call(a_call(key), tariff or tariff_now()).amount


def draft_price(draft):
    tariff = tariffs.deck_tariff("common", at=clock.now(), version=draft.number)
    return price_call(a_call(NUMBER), tariff).amount
