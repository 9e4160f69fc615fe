import io
import json

import pytest
from django.core.management import call_command

from billing_platform.auth import issue_key
from rating import explain as explaining
from rating.errors import QuestionUnreadable
from rating.explain import explain
from rating.models import CalendarDay
from tests.rating.deck_files import assign, make_deck

pytestmark = pytest.mark.django_db

COLUMNS = "prefix,destination,rate,first_increment,next_increment,band,priority,connect_fee"
QUESTION = {
    "ref": "q1", "tenant": "demo", "category": "callback", "subject": "C00000017", "destination": "021-60001234",
    "answer_time": "2026-10-10T17:58:30+08:00", "duration": "125",
}  # fmt: skip


@pytest.fixture
def retail():
    """Peak on working days at 0.12, else 0.06: the make-up Saturday of 10 October 2026 is a working day."""
    CalendarDay.objects.create(date="2026-10-10", day_class="makeup_workday")
    make_deck(
        "cn-retail",
        "#!band peak days=workday from=09:00 to=18:00 priority=20",
        "021,上海,0.06,60,6,,,0.05",
        "021,上海,0.12,60,6,peak,,0.05",
        "12590,声讯,禁拨,60,60,,,",
        columns=COLUMNS,
    )
    assign("cn-retail")


def test_an_answer_can_be_redone_by_hand(retail):
    answer = explain(QUESTION)

    assert (answer["ref"], answer["amount"], answer["currency"], answer["billed"]) == ("q1", "0.2660", "CNY", "126")
    assert [(step["what"], step["exact"]) for step in answer["steps"]] == [
        ("connect_fee", "1/20"), ("increments", "3/25"), ("increments", "3/50"), ("increments", "9/250"),
        ("round", "133/500"),
    ]  # fmt: skip
    winner = answer["winner"]
    assert (winner["deck"], winner["version"], winner["prefix"], winner["band"]) == ("cn-retail", 1, "8621", "peak")
    assert answer["number"] == {
        "key": "862160001234", "kind": "fixed", "area": "21", "city": "上海市", "carrier": None,
        "carrier_from": "unknown", "reach": None, "caller_area": None, "reason": None,
    }  # fmt: skip
    assert answer["day_classes"] == {"2026-10-10": "makeup_workday"}
    assert [(loser["band"], loser["lost_because"]) for loser in answer["candidates"]] == [(None, "lower_priority")]
    assert answer["error"] is None


def test_a_pricing_error_is_an_answer_with_what_the_charge_would_do(retail):
    make_deck("default", ",0.60,60,60")

    answer = explain({**QUESTION, "destination": "12590"})

    assert (answer["amount"], answer["steps"], answer["winner"]) == (None, [], None)
    error = answer["error"]
    assert (error["code"], error["at"]) == ("blocked", "2026-10-10T17:58:30+08:00")
    assert error["message_en"] == "Calls to this number are blocked."
    assert error["message_zh"] == "该号码已设为禁拨。"
    assert answer["policy"] == {"action": "default_rate", "deck": "default", "amount": "1.8000"}


def test_without_a_default_deck_the_charge_stays_failed(retail):
    assert explain({**QUESTION, "destination": "abc"})["policy"] == {"action": "fail"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"answer_time": "2026-10-10T17:58:30"}, "answer_time"),
        ({"duration": "-1"}, "duration"),
        ({"duration": True}, "duration"),
        ({"kind": "fax"}, "kind"),
        ({"version": 1}, "version"),
        ({"destination": 13800138000}, "destination"),
    ],
)
def test_unreadable_questions_are_refused_by_field(retail, change, field):
    with pytest.raises(QuestionUnreadable) as refused:
        explain({**QUESTION, **change})

    assert list(refused.value.fields["errors"]) == [field]


def test_one_deck_and_version_can_be_asked_for_any_instant(retail):
    answer = explain({
        "deck": "cn-retail", "version": 1, "destination": "02160001234", "duration": "1m5s",
        "answer_time": "2019-10-10T12:00:00+08:00",
    })  # fmt: skip

    assert (answer["amount"], answer["input"]["duration"]) == ("0.1820", "65")


def test_two_legs_are_two_lines_and_their_sum(retail):
    shared = {name: QUESTION[name] for name in ("tenant", "category", "subject")}
    legs = [
        {"leg": "a", "destination": "021-60001234", "answer_time": "2026-10-11T10:00:00+08:00", "duration": "60"},
        {"leg": "b", "destination": "0571-88881234", "answer_time": "2026-10-11T10:00:05+08:00", "duration": "55"},
    ]

    answer = explain({**shared, "legs": legs})

    assert [(line["leg"], line["amount"]) for line in answer["lines"]] == [("a", "0.1100"), ("b", None)]
    assert (answer["amount"], answer["error"]["code"]) == (None, "no_rate")


def ask(*arguments):
    out = io.StringIO()
    code = 0
    try:
        call_command("rate_explain", *arguments, stdout=out)
    except SystemExit as stopped:
        code = stopped.code
    return code, out.getvalue()


def test_the_command_answers_each_line_in_order(retail, monkeypatch):
    lines = [json.dumps(QUESTION), "", "{broken", json.dumps({**QUESTION, "ref": "q2", "destination": "13800138000"})]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))

    code, output = ask("--input", "-")

    answers = [json.loads(line) for line in output.splitlines()]
    assert code == 3
    assert [answer.get("ref") for answer in answers] == ["q1", None, "q2"]
    assert (answers[1]["line"], answers[1]["code"]) == (3, "malformed")
    assert answers[2]["error"]["code"] == "no_rate"


def test_the_command_takes_numbers_and_wraps_them_as_json(retail):
    code, output = ask(
        "021-60001234",
        "--at",
        "2026-10-10T17:58:30+08:00",
        "--duration",
        "125",
        "--category",
        "callback",
        "--format",
        "json",
    )

    envelope = json.loads(output)
    assert (code, envelope["command"], envelope["items"][0]["amount"]) == (0, "rate_explain", "0.2660")
    code, output = ask("021-60001234", "--deck", "cn-retail", "--version", "1", "--at", "2026-10-11T12:00:00+08:00")
    assert (code, json.loads(output)["amount"]) == (0, "0.1100")


def test_the_api_gives_the_same_answer_for_the_keys_own_organisation(retail, client):
    key = issue_key(name="reader", organization="demo", scopes=["rate:read"])
    asked = {name: value for name, value in QUESTION.items() if name != "tenant"}

    response = client.post(
        "/api/v1/rates/explain", json.dumps(asked), content_type="application/json", headers={"apikey": key}
    )

    assert response.status_code == 200
    assert response.json() == json.loads(json.dumps(explaining.explain(QUESTION)))


def test_the_api_is_closed_to_others(retail, client):
    key = issue_key(name="writer", organization="demo", scopes=["cdr:write"])

    answers = [
        client.post("/api/v1/rates/explain", "{}", content_type="application/json", headers=headers).status_code
        for headers in ({}, {"apikey": key})
    ]

    assert answers == [401, 403]


@pytest.mark.parametrize(("scope", "status"), [("rate:read", 403), ("rate:write", 200)])
def test_what_suppliers_ask_is_not_shown_to_every_reader(retail, client, scope, status):
    make_deck("supplier", ",0.02,60,60", purpose="cost")
    key = issue_key(name="reader", organization="demo", scopes=[scope])

    response = client.post(
        "/api/v1/rates/explain",
        json.dumps({"deck": "supplier", "destination": "021-60001234", "answer_time": QUESTION["answer_time"]}),
        content_type="application/json",
        headers={"apikey": key},
    )

    assert response.status_code == status


def test_decks_are_listed_page_by_page_and_read_one_by_one(retail, client):
    make_deck("another", ",0.60,60,60")
    headers = {"apikey": issue_key(name="reader", organization="demo", scopes=["rate:read"])}

    first = client.get("/api/v1/decks?limit=1", headers=headers).json()
    second = client.get(f"/api/v1/decks?limit=1&cursor={first['next_cursor']}", headers=headers).json()

    assert [page["items"][0]["code"] for page in (first, second)] == ["another", "cn-retail"]
    assert second["next_cursor"] is None
    deck = client.get(f"/api/v1/decks/{second['items'][0]['id']}", headers=headers).json()
    assert (deck["latest_version"]["number"], deck["latest_version"]["rows"]) == (1, 3)
    assert client.get("/api/v1/decks/0", headers=headers).status_code == 404
