"""The worked examples through the command and through REST: the same answers, to the byte."""

import io
import json
from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import connection

from billing_platform.auth import issue_key
from tests.rating.deck_files import assign, make_deck, publish

pytestmark = pytest.mark.django_db

COLUMNS = (
    "prefix,rate,first_increment,next_increment,band,connect_fee,tiers,first_rate,free_kind,free_seconds,min_charge,"
    "cap,cap_kind,rounding"
)
PEAK = "#!band peak days=workday from=09:00 to=18:00 priority=20"
NIGHT = "#!band night from=00:00 to=06:00"
LATE = "#!band late from=22:00 priority=5"
P, Q = "021,0.12,60,6,peak,0.05,,,,,,,,", "021,0.06,60,6,,0.05,,,,,,,,"
THURSDAY = "2026-10-15T10:00:00"
DECKS = {
    "pq": (PEAK, P, Q),
    "tier180": ("021,0.10,60,60,,,180:0.05,,,,,,,",),
    "tier90": ("021,0.10,60,60,,,90:0.05,,,,,,,",),
    "free10": ("021,0.10,60,60,,,,,free_first_n,10,,,,",),
    "short8": ("021,0.10,60,60,,0.05,,,free_if_shorter_than,8,,,,",),
    "least": ("021,0.05,1,1,,,,,,,0.15,,,",),
    "capped": ("021,0.12,60,60,,,,,,,,1.00,free,",),
    "cut": ("021,0.12,60,60,,,,,,,,1.00,disconnect,",),
    "up": ("021,0.10,1,1,,,,,,,,,,up",),
    "down": ("021,0.10,1,1,,,,,,,,,,down",),
    "half": ("021,0.025,1,1,,,,,,,,,,half_up",),
    "even": ("021,0.025,1,1,,,,,,,,,,half_even",),
    "moved": ("021,0.06,1,1,,,,,,,,,,",),
    "first": ("021,0.08,60,6,,,,0.20,,,,,,",),
    "late": (LATE, "021,0.30,1,1,,,,,,,,,,", "021,0.60,60,1,late,,,,,,,,,"),
    "leg-a": ("021,0.06,60,60,,,,,,,,,,",),
    "leg-b": ("021,0.12,60,6,,,,,,,,,,",),
    "general": (NIGHT, "010,0.30,60,60,night,,,,,,,,,", ",0.30,60,60,,,,,,,,,,", "021,0.10,60,60,night,,,,,,,,,"),
    "asleep": (NIGHT, "021,0.10,1,1,night,,,,,,,,,"),
}
EXAMPLES = [  # number, deck, answered, seconds, amount
    ("1", "pq", "2026-10-10T17:58:30", "125", "0.2660"),
    ("2", "pq", "2026-10-07T10:00:00", "125", "0.1760"),
    ("3", "pq", "2026-10-15T17:59:57", "61", "0.1760"),
    ("4a", "pq", THURSDAY, "0", "0.0000"),
    ("4b", "pq", THURSDAY, "1", "0.1700"),
    ("5", "tier180", THURSDAY, "200", "0.3500"),
    ("6", "tier90", THURSDAY, "200", "0.3000"),
    ("7a", "free10", THURSDAY, "10", "0.0000"),
    ("7b", "free10", THURSDAY, "11", "0.1000"),
    ("7c", "free10", THURSDAY, "70", "0.1000"),
    ("7d", "free10", THURSDAY, "71", "0.2000"),
    ("8a", "short8", THURSDAY, "7", "0.0000"),
    ("8b", "short8", THURSDAY, "8", "0.1500"),
    ("9", "least", THURSDAY, "1", "0.1500"),
    ("10a", "capped", THURSDAY, "1000", "1.0000"),
    ("10b", "cut", THURSDAY, "1000", "2.0400"),
    ("11a", "up", THURSDAY, "7", "0.0117"),
    ("11b", "down", THURSDAY, "7", "0.0116"),
    ("12a", "half", THURSDAY, "3", "0.0013"),
    ("12b", "even", THURSDAY, "3", "0.0012"),
    ("13", "moved", "2026-11-30T23:59:50", "20", "0.0300"),
    ("14", "first", THURSDAY, "66", "0.2080"),
    ("15", "late", "2026-10-15T21:59:40", "100", "0.9000"),
    ("17", "general", "2026-10-15T12:00:00", "60", "0.3000"),
    ("18", "asleep", "2026-10-15T05:59:30", "60", None),
]


@pytest.fixture
def decks():
    with connection.cursor() as cursor:  # 2026 as it is: holidays from 1 to 7 October, the 10th worked for
        cursor.execute(
            "INSERT INTO rating_calendarday (country, date, day_class, name_zh, name_en, source, provisional)"
            " SELECT 'CN', day, CASE day WHEN '2026-10-10' THEN 'makeup_workday' ELSE 'holiday' END, '', '', '', false"
            " FROM unnest('{2026-01-01,2026-10-01,2026-10-02,2026-10-03,2026-10-04,2026-10-05,2026-10-06,2026-10-07,"
            "2026-10-10}'::date[]) day"
        )
    for code, lines in DECKS.items():
        make_deck(code, *lines, columns=COLUMNS)
        assign(code, category=code)
    publish("moved", "021,0.12,1,1,,,,,,,,,,", columns=COLUMNS,
            effective_from=datetime.fromisoformat("2026-12-01T00:00:00+08:00"), correction=True)  # fmt: skip
    for leg in ("a", "b"):
        assign(f"leg-{leg}", category=f"two.{leg}")


def questions():
    shared = {"tenant": "demo", "subject": "C1"}
    asked = [
        {**shared, "ref": ref, "category": code, "destination": "021-60001234", "answer_time": f"{at}+08:00",
         "duration": seconds}
        for ref, code, at, seconds, _amount in EXAMPLES
    ]  # fmt: skip
    legs = [
        {"leg": leg, "destination": "021-60001234", "answer_time": f"{THURSDAY}+08:00", "duration": seconds}
        for leg, seconds in (("a", "107"), ("b", "95"))
    ]
    return [*asked, {**shared, "ref": "16", "category": "two", "legs": legs}]


def test_command_and_rest_answer_all_worked_examples_to_the_byte(decks, client, monkeypatch):
    asked = questions()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, asked))))
    out = io.StringIO()

    call_command("rate_explain", "--input", "-", stdout=out)
    key = issue_key(name="reader", organization="demo", scopes=["rate:read"])
    bodies = [
        client.post(
            "/api/v1/rates/explain", json.dumps(question), content_type="application/json", headers={"apikey": key}
        ).content.decode()
        for question in asked
    ]

    told = out.getvalue().splitlines()
    assert told == bodies
    answers = {answer["ref"]: answer for answer in map(json.loads, told)}
    assert [answers[ref]["amount"] for ref, *_rest in EXAMPLES] == [row[-1] for row in EXAMPLES]
    assert [line["amount"] for line in answers["16"]["lines"]] == ["0.1200", "0.1920"]
    assert answers["16"]["amount"] == "0.3120"
    error = answers["18"]["error"]
    assert (error["code"], error["detail"]["after_seconds"]) == ("band_gap", 30)
    lost = [(one["prefix"], one["lost_because"]) for one in answers["17"]["candidates"]]
    assert lost == [("8621", "other_band")]
    assert [step["amount"] for step in answers["1"]["steps"]] == ["0.05", "0.12", "0.06", "0.036", "0.2660"]
