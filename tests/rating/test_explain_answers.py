"""What an answer tells beyond the price: why each rate lost, what changes next, what was known earlier."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from billing_platform import clock
from rating import tariffs
from rating.errors import DeckUnknown, QuestionUnreadable
from rating.explain import explain
from rating.models import Carrier
from tests.rating.deck_files import assign, make_deck, publish

pytestmark = pytest.mark.django_db

SHANGHAI = ZoneInfo("Asia/Shanghai")
COLUMNS = "prefix,rate,first_increment,next_increment,band,carrier,reach,kind,priority,effective_from,effective_to"
BANDS = (
    "#!band peak days=workday from=09:00 to=18:00 priority=20", "#!band night from=00:00 to=06:00",
    "#!band day from=08:00 to=20:00 priority=3", "#!band early from=07:00 to=20:00 priority=3",
)  # fmt: skip
THURSDAY = "2026-10-15T10:00:00+08:00"
ASKED = {"tenant": "demo", "category": "callback", "subject": "C1", "answer_time": THURSDAY, "duration": "60"}


def ask(number="021-60001234", **more):
    return explain({**ASKED, "destination": number, **more})


def lost(answer):
    return {(one["prefix"], one["band"], one["lost_because"]) for one in answer["candidates"]}


def reasons(answer):
    return [one["lost_because"] for one in answer["candidates"]]


def instant(text):
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def test_each_loser_says_why():
    for code in ("CMCC", "CTCC"):
        Carrier.objects.get_or_create(code=code, defaults={"name_zh": code})
    make_deck(
        "own",
        *BANDS,
        "0216,0.10,60,60,day,,,,,,",
        "0216,0.11,60,60,early,,,,,,",
        "0216,0.12,60,60,,,,,3,,",
        "0216,0.13,60,60,,,,,1,,",
        "0216,0.14,60,60,night,,,,,,",
        "0216,0.15,60,60,,CMCC,,,,,",
        "0216,0.16,60,60,,,international,,,,",
        "0216,0.17,60,60,,,,sms,,,",
        "0216,0.18,60,60,,,,,,2026-11-01,",
        "0216,0.19,60,60,,,,,,,2026-10-01",
        "021,0.20,60,60,,,,,,,",
        columns=COLUMNS,
    )
    make_deck("house", "021,0.30,60,60")
    assign("house")
    assign("own", subject="C1", fallback=("*any",))

    answer = ask()

    assert (answer["winner"]["band"], answer["amount"]) == ("day", "0.1000")
    assert lost(answer) == {
        ("86216", "early", "began_earlier"), ("86216", None, "began_earlier"), ("86216", None, "lower_priority"),
        ("86216", "night", "other_band"), ("86216", None, "other_carrier"), ("86216", None, "other_reach"),
        ("86216", None, "other_kind"), ("86216", None, "not_yet_effective"), ("86216", None, "expired"),
        ("8621", None, "shorter_prefix"), ("8621", None, "later_in_chain"),
    }  # fmt: skip
    assert [len(one["prefix"]) for one in answer["candidates"]] == sorted(
        (len(one["prefix"]) for one in answer["candidates"]), reverse=True
    )
    later = next(one for one in answer["candidates"] if one["lost_because"] == "not_yet_effective")
    assert later["from"] == "2026-11-01T00:00:00+08:00"
    assert answer["chain"] == [
        {"subject": "C1", "deck": "own", "version": 1}, {"subject": "*any", "deck": "house", "version": 1},
    ]  # fmt: skip
    assert answer["candidates_total"] == len(answer["candidates"]) == 11


def test_a_named_carrier_beats_a_general_row_and_equals_are_cheap_first():
    Carrier.objects.get_or_create(code="CTCC", defaults={"name_zh": "中国电信"})
    make_deck("own", "021,0.10,60,60,,CTCC,,,,,", "021,0.05,60,60,,,,,,,", columns=COLUMNS)
    assign("own")

    assert reasons(ask(carrier="CTCC")) == ["less_specific"]
    assert reasons(ask()) == ["other_carrier"]


@pytest.fixture
def autumn():
    """Of 2026, when next spring is still to come."""
    clock.set_test_instant(instant("2026-11-20T12:00:00"))
    yield
    clock.set_test_instant(None)


def test_versions_before_and_after_are_named_with_their_instants(autumn):
    make_deck("own", "021,0.10,60,60", effective_from=instant("2026-01-01T00:00:00"))
    publish("own", "021,0.20,60,60", effective_from=instant("2026-09-01T00:00:00"), correction=True)
    publish("own", "021,0.30,60,60", effective_from=instant("2027-03-01T00:00:00"))
    assign("own")

    answer = ask()

    assert answer["winner"]["version"] == 2
    found = [(one["version"], one["lost_because"], one.get("from")) for one in answer["candidates"]]
    assert found == [(1, "superseded", None), (3, "not_yet_effective", "2027-03-01T00:00:00+08:00")]
    change = answer["next_change"]
    assert change["at"] == "2027-03-01T00:00:00+08:00"
    assert (change["winner"]["version"], change["winner"]["price"], change["winner"]["per"]) == (3, "0.3", "60")
    assert ask(answer_time="2027-03-01T00:00:00+08:00")["amount"] == "0.3000"
    assert ask(answer_time="2027-02-28T23:59:59+08:00", duration="1")["amount"] == "0.2000"


def test_a_version_that_leaves_the_row_alone_changes_nothing():
    make_deck("own", "021,0.10,60,60", "010,0.10,60,60")
    publish("own", "010,0.30,60,60", effective_from=clock.now() + timedelta(days=60))
    assign("own")

    assert ask()["next_change"] is None
    assert ask("010-60001234")["next_change"]["winner"]["version"] == 2


def test_a_later_assignment_is_not_yet_effective_and_the_next_change():
    make_deck("own", "021,0.10,60,60")
    make_deck("spring", "021,0.08,60,60")
    assign("own")
    assign("spring", active_from=instant("2027-03-01T00:00:00"))

    answer = ask()

    assert [(one["deck"], one["lost_because"], one["from"]) for one in answer["candidates"]] == [
        ("spring", "not_yet_effective", "2027-03-01T00:00:00+08:00")
    ]
    assert answer["next_change"]["winner"]["deck"] == "spring"


def test_at_most_fifty_candidates_the_nearest_first():
    rows = [f"021600012,{number}.00,60,60,,,,,{number},," for number in range(1, 60)]
    make_deck("own", "0216000123,0.10,60,60,,,,,,,", *rows, columns=COLUMNS)
    assign("own")

    answer = ask()

    assert (len(answer["candidates"]), answer["candidates_total"]) == (50, 59)


def test_a_number_without_a_rate_gets_the_nearest_prefixes():
    make_deck("own", "0571,0.10,60,60", "0576,0.10,60,60", "010,0.10,60,60", "00852,1,60,60")
    assign("own")

    answer = ask("0572-8801234")

    assert answer["error"]["code"] == "no_rate"
    assert [near["prefix"] for near in answer["nearest"]] == ["86571", "86576", "8610", "852"]
    assert answer["candidates"] == []


@pytest.fixture
def june():
    """Since the middle of June the deck `own` is assigned, with a peak of working days."""
    clock.set_test_instant(instant("2026-06-15T00:00:00"))
    make_deck("own", BANDS[0], "021,0.10,60,60,,,,,,,", "021,0.50,60,60,peak,,,,,,", columns=COLUMNS)
    assign("own")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE rating_tariffprofile SET created_at = '2026-06-15'")
    tariffs.refresh()
    yield
    clock.set_test_instant(None)


def test_what_was_not_known_yet_is_hidden(june):
    clock.set_test_instant(instant("2026-11-01T00:00:00"))
    publish("own", "021,0.70,60,60,peak,,,,,,", columns=COLUMNS, effective_from=instant("2026-10-01T00:00:00"),
            correction=True)  # fmt: skip
    known_at = "2026-10-20T00:00:00+08:00"

    now, then = ask(), ask(known_at=known_at)

    assert (now["amount"], then["amount"]) == ("0.7000", "0.5000")
    assert (now["versions"]["decks"], then["versions"]["decks"]) == ({"own": 2}, {"own": 1})
    assert ("superseded" in reasons(now), "superseded" in reasons(then)) == (True, False)
    assert then["input"]["known_at"] == known_at
    assert ask(known_at="2026-06-01T00:00:00+08:00")["error"]["code"] == "no_tariff"
    with pytest.raises(DeckUnknown):
        explain({"deck": "own", "version": 2, "destination": "021-60001234", "known_at": known_at})


def test_days_that_were_announced_later_are_hidden(june):
    with connection.cursor() as cursor:
        for day_class, made in (("workday", "2026-06-01"), ("holiday", "2026-09-01")):
            cursor.execute(
                "INSERT INTO rating_calendarday"
                " (country, date, day_class, name_zh, name_en, source, provisional, created_at)"
                " VALUES ('CN', '2026-10-15', %s, '', '', '', false, %s)",
                [day_class, made],
            )
    tariffs.refresh()

    now, then = ask(), ask(known_at="2026-07-01T00:00:00+08:00")

    assert (now["day_classes"], now["amount"]) == ({"2026-10-15": "holiday"}, "0.1000")
    assert (then["day_classes"], then["amount"]) == ({"2026-10-15": "workday"}, "0.5000")


def test_the_depth_of_the_fallback_chain_can_be_asked():
    for number, code in enumerate(("one", "two", "three")):
        make_deck(code, f"0{21 + number},0.{number + 1}0,60,60")
    assign("one", subject="C1", fallback=("ghost", "C2"))
    assign("two", subject="C2", fallback=("C3",))
    assign("three", subject="C3")

    deep, shallow = ask("023-60001234"), ask("023-60001234", fallback_depth=2)

    assert (deep["amount"], deep["winner"]["subject"], deep["skipped_subjects"]) == ("0.3000", "C3", ["ghost"])
    assert (shallow["error"]["code"], [link["deck"] for link in shallow["chain"]]) == ("no_rate", ["one", "two"])
    with pytest.raises(QuestionUnreadable) as refused:
        ask(fallback_depth=0)
    assert list(refused.value.fields["errors"]) == ["fallback_depth"]


def test_both_legs_by_the_default_deck_when_one_has_no_rate():
    make_deck("own", "021,0.10,60,60")
    make_deck("default", ",0.60,60,60")
    assign("own")
    legs = [
        {"leg": "a", "destination": "021-60001234", "answer_time": THURSDAY, "duration": "60"},
        {"leg": "b", "destination": "0571-88881234", "answer_time": THURSDAY, "duration": "61"},
    ]

    answer = explain({"tenant": "demo", "category": "callback", "legs": legs})

    assert (answer["amount"], answer["error"]["code"]) == (None, "no_rate")
    assert answer["policy"] == {"action": "default_rate", "deck": "default", "amount": "1.8000"}
    with pytest.raises(QuestionUnreadable):
        explain({"tenant": "demo", "category": "callback", "legs": [legs[0], legs[0]]})


def test_slices_and_counted_units():
    make_deck("own", "021,0.60,60,60,,,,,,,", ",2,1,1,,,,sms,,,", columns=COLUMNS)
    assign("own")

    assert ask(elapsed="60", duration="30")["amount"] == "0.6000"
    assert ask(elapsed="60")["input"]["elapsed"] == "60"
    counted = ask("13800138000", kind="sms", units=3)
    assert (counted["billed"], counted["error"]) == ("3", None)
    assert counted["sentence_en"].startswith("3 units, priced as 3. Deck own version 1, prefix *. ")


def test_a_use_without_a_number_is_said_and_priced_by_the_empty_prefix():
    make_deck("own", ",0.10,60,60")
    assign("own")

    answer = explain(ASKED)

    assert (answer["amount"], answer["flags"]) == ("0.1000", ["no_number"])


def test_the_sentence_in_both_languages():
    make_deck("own", "021,0.10,1,1")
    assign("own")

    answer = ask(duration="7")

    assert answer["sentence_en"] == (
        "10:00:00 → 10:00:07 = 7 s, priced as 7 s. Deck own version 1, prefix 8621. "
        "7 × ¥0.10 × 1/60 ≈ ¥0.011666666667, rounded half up to ¥0.0117"
    )
    assert answer["sentence_zh"] == (
        "10:00:00 → 10:00:07 = 7 秒，按 7 秒计费。费率表 own 第 1 版，前缀 8621。"
        "7 × ¥0.10 × 1/60 ≈ ¥0.011666666667, 四舍五入为 ¥0.0117"
    )
