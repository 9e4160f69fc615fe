"""How far a call goes: judged from the areas of both numbers, a mobile number's by its segment."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils.translation import override

from rating import tariffs
from rating.explain import explain
from rating.explaining.shown import number_shown
from rating.models import Carrier, NumberSegment
from rating.numbers import dialling
from rating.question import CallFacts, read_call
from tests.rating.deck_files import assign, make_deck

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 10, 15, 4, tzinfo=UTC)
SHANGHAI, SHANGHAI_MOBILE = "021-60001234", "13800210000"
BEIJING, BEIJING_MOBILE = "010-60001234", "13800138000"
NO_SEGMENT = "19300000000"
COLUMNS = "prefix,rate,first_increment,next_increment,reach"
QUESTION = {
    "tenant": "demo", "category": "callback", "answer_time": "2026-10-15T12:00:00+08:00", "duration": "60",
}  # fmt: skip


def reach(called, caller, at=NOON):
    return read_call(CallFacts(called, at, caller=caller), context=dialling.at_home()).reach


def move(prefix, area, **more):
    """A row that the admin enters."""
    carrier = Carrier.objects.get(code="CMCC")
    NumberSegment.objects.create(prefix=prefix, carrier=carrier, area=area, source="by hand", **more)
    tariffs.refresh()


@pytest.fixture
def by_reach():
    make_deck(
        "near-and-far",
        "13,0.50,60,60,", "13,0.10,60,60,local", "13,0.20,60,60,long_distance",
        "010,0.50,60,60,", "010,0.20,60,60,long_distance",
        "193,0.50,60,60,", "193,0.10,60,60,local", "193,0.20,60,60,long_distance",
        "00852,0.90,60,60,", "00852,0.60,60,60,hmt",
        columns=COLUMNS,
    )  # fmt: skip
    assign("near-and-far")


def asked(called, caller):
    return explain({**QUESTION, "destination": called, "caller": caller})


@pytest.mark.parametrize(
    ("called", "caller", "judged"),
    [
        (SHANGHAI_MOBILE, SHANGHAI, ("local", "21", "21")),
        (BEIJING, SHANGHAI_MOBILE, ("long_distance", "10", "21")),
        (SHANGHAI, SHANGHAI_MOBILE, ("local", "21", "21")),
        (BEIJING_MOBILE, "13901234567", ("local", "10", "10")),
        ("+86 138 0013 8000", "021-10086", ("long_distance", "10", "21")),
        (BEIJING, SHANGHAI, ("long_distance", "10", "21")),
        (NO_SEGMENT, SHANGHAI, ("", "", "")),
        (BEIJING, NO_SEGMENT, ("", "10", "")),
        (BEIJING_MOBILE, "anonymous", ("", "10", "")),
        (BEIJING_MOBILE, "", ("", "10", "")),
        (BEIJING, "+442079460123", ("", "10", "")),
        ("400-820-1234", BEIJING_MOBILE, ("", "", "")),
        ("10086", BEIJING_MOBILE, ("", "", "")),
        ("abc", BEIJING_MOBILE, ("", "", "")),
        ("+852 2123 4567", BEIJING_MOBILE, ("hmt", "", "")),
        ("+852 2123 4567", "anonymous", ("hmt", "", "")),
        ("+442079460123", BEIJING_MOBILE, ("international", "", "")),
    ],
)
def test_reach_is_judged_from_both_places(called, caller, judged):
    assert reach(called, caller) == judged


def test_a_row_of_the_admin_moves_a_segment_while_it_is_valid():
    before = reach(SHANGHAI_MOBILE, SHANGHAI)
    move("861380021", "10", city_zh="北京市", valid_from=NOON, valid_to=NOON + timedelta(hours=1))
    move("8619300", "21")

    assert before == ("local", "21", "21")
    assert reach(SHANGHAI_MOBILE, SHANGHAI) == ("long_distance", "10", "21")
    assert reach(BEIJING, SHANGHAI_MOBILE) == ("local", "10", "10")
    assert reach(SHANGHAI_MOBILE, SHANGHAI, NOON - timedelta(seconds=1)) == before
    assert reach(SHANGHAI_MOBILE, SHANGHAI, NOON + timedelta(hours=1)) == before
    assert reach(BEIJING_MOBILE, SHANGHAI) == ("long_distance", "10", "21")
    assert reach(NO_SEGMENT, SHANGHAI) == ("local", "21", "21")


def test_a_row_for_very_many_numbers_counts_where_no_longer_one_does():
    move("861", "22")

    assert reach("14200000000", SHANGHAI) == ("long_distance", "22", "21")
    assert reach(SHANGHAI_MOBILE, SHANGHAI) == ("local", "21", "21")


def test_a_ported_number_stays_in_its_place():
    carrier = Carrier.objects.get(code="CUCC")
    NumberSegment.objects.create(prefix="86" + SHANGHAI_MOBILE, carrier=carrier, source="ported")
    tariffs.refresh()

    assert reach(SHANGHAI_MOBILE, SHANGHAI) == ("local", "21", "21")


@pytest.mark.parametrize(
    ("called", "caller", "amount"),
    [
        (SHANGHAI_MOBILE, SHANGHAI, "0.1000"),
        (SHANGHAI_MOBILE, BEIJING_MOBILE, "0.2000"),
        (BEIJING, SHANGHAI_MOBILE, "0.2000"),
        (BEIJING, BEIJING_MOBILE, "0.5000"),
        (NO_SEGMENT, SHANGHAI, "0.5000"),
        (SHANGHAI_MOBILE, NO_SEGMENT, "0.5000"),
        (SHANGHAI_MOBILE, "anonymous", "0.5000"),
        ("+85221234567", SHANGHAI_MOBILE, "0.6000"),
    ],
)
def test_a_rate_for_a_reach_wins_only_where_the_reach_is_known(by_reach, called, caller, amount):
    assert asked(called, caller)["amount"] == amount


def test_an_explanation_says_how_far_and_from_where(by_reach):
    far, unknown = asked(BEIJING, SHANGHAI_MOBILE), asked(NO_SEGMENT, SHANGHAI)

    told = [(one["number"]["reach"], one["number"]["area"], one["number"]["caller_area"]) for one in (far, unknown)]
    assert told == [("long_distance", "10", "21"), (None, "", None)]
    with override("en"):
        assert number_shown(far["number"]) == "fixed line · Beijing · long distance (021 → 010)"
        assert number_shown(unknown["number"]).endswith("(number segment)")
    assert {loser["lost_because"] for loser in unknown["candidates"]} == {"other_reach"}
