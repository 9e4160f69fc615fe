"""The explanation's text: what a charge keeps, put together from parts that many calls share."""

import json
from dataclasses import replace
from datetime import time

import pytest

from rating.engine import price_call
from rating.terms import BandTerms
from tests.rating.pricing import THURSDAY, call, tariff

QUOTED = BandTerms(name='day "1"', start=time(9), end=time(18))


def test_text_is_the_explanation_as_compact_json():
    priced = price_call(call(THURSDAY, 90), tariff({"destination": "上海"}, bands=[]))

    assert priced.explanation_text() == (
        '{"amount":"0.2000","currency":"CNY","winner":{"deck":"cn-retail","version":1,"rate_id":1,"prefix":"8621",'
        '"destination":"上海","band":null,"priority":"0","carrier":null,"subject":"*any"},"steps":[{"what":"increments",'
        '"rate_id":1,"band":null,"at":"2026-10-15T10:00:00+08:00","from":"0","to":"120","count":2,"increment":"60",'
        '"price":"0.1","per":"60","exact":"1/5","amount":"0.2"},{"what":"round","method":"half_up","decimals":4,'
        '"exact":"1/5","amount":"0.2000"}],"billed":"120","day_classes":{},"calendar_provisional":false,'
        '"versions":{"decks":{"cn-retail":1},"calendar":12}}'
    )
    assert json.loads(priced.explanation_text()) == priced.explanation()


def test_names_are_escaped_wherever_they_stand():
    rates = {"destination": 'a "b"\\', "band": QUOTED.name, "carrier": 'c"'}
    priced = price_call(call(THURSDAY, 1, carrier='c"'), tariff(rates, bands=[QUOTED], name='deck "x"'))

    explained = json.loads(priced.explanation_text())

    winner = {name: explained["winner"][name] for name in ("deck", "destination", "band", "carrier")}
    assert winner == {"deck": 'deck "x"', "destination": 'a "b"\\', "band": 'day "1"', "carrier": 'c"'}
    assert explained["steps"][0]["band"] == 'day "1"'
    assert explained["versions"]["decks"] == {'deck "x"': 1}


@pytest.mark.parametrize(
    ("microsecond", "told"),
    [(0, "10:00:00+08:00"), (1, "10:00:00.000001+08:00"), (123456, "10:00:00.123456+08:00")],
)
def test_the_instant_of_a_step_has_a_fraction_where_the_call_has_one(microsecond, told):
    asked = call(THURSDAY, 1)
    asked = replace(asked, at=asked.at.replace(microsecond=microsecond))

    assert price_call(asked, tariff({})).steps[0]["at"] == f"2026-10-15T{told}"


def test_two_calls_that_share_parts_keep_their_own_facts():
    rates = {"first_increment": 60, "next_increment": 6}
    one, other = (price_call(call(at, 90), tariff(rates)).explanation() for at in (THURSDAY, "2026-10-15 10:00:01"))

    assert [step["at"][11:19] for step in one["steps"][:2]] == ["10:00:00", "10:01:00"]
    assert [step["at"][11:19] for step in other["steps"][:2]] == ["10:00:01", "10:01:01"]
    for step in (*one["steps"], *other["steps"]):
        step.pop("at", None)
    assert one == other
