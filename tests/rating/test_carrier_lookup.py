"""The look-up service is asked at the gate, remembered for everybody, and never needed."""

import json
import time

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_platform import clock
from counter import starting
from counter.models import ServiceRecord
from counter.uses import UseRequest
from rating import tariffs
from rating.explain import explain
from rating.models import Carrier, NumberSegment
from rating.numbers import carrier_lookup
from rating.numbers.carrier_lookup import answers, configured_lookup, learn, recall
from rating.numbers.carriers import carrier_of
from rating.question import CallFacts, read_call
from tests import cast
from tests.counter.told import call, end_one, use
from tests.rating.look_up_server import look_up_service

pytestmark = pytest.mark.django_db

MOBILE, KEY = "13800138000", "8613800138000"
PATIENT_MS = 60_000  # an answer of a busy machine is an answer


@pytest.fixture(autouse=True)
def _nothing_remembered():
    def forget():
        answers.forget()
        carrier_lookup.service_breaker.reset()
        carrier_lookup.valkey_breaker.reset()
        cache.clear()

    forget()
    yield
    forget()


@pytest.fixture
def service(settings):
    settings.RATING_CARRIER_LOOKUP_HEADER = "X-Token: abc"
    settings.RATING_CARRIER_LOOKUP_PATH = "data.carrier"
    settings.RATING_CARRIER_LOOKUP_MAP = {"中国联通": "CUCC", "China Telecom": "CTCC"}
    settings.RATING_CARRIER_LOOKUP_TIMEOUT_MS = PATIENT_MS
    settings.OUTSIDE_ALLOWED_PRIVATE_NETS = ["127.0.0.0/8"]
    with look_up_service() as running:
        running.carriers = {MOBILE: "中国联通", "13900139000": "China Telecom", "13900139001": "Nobody"}
        settings.RATING_CARRIER_LOOKUP_URL = running.url
        yield running


def found(key=KEY):
    return carrier_of(key, at=clock.now())[:2]


def test_the_service_knows_better_than_the_segments(service):
    assert found() == ("CMCC", "segment")

    learn([KEY, "442079460123", "86.10086", ""])

    assert found() == ("CUCC", "lookup")
    assert (service.asked, service.headers) == ([MOBILE], ["abc"])


def test_a_ported_number_and_a_given_carrier_go_before_what_the_service_says(service):
    learn([KEY])
    ctcc = Carrier.objects.get(code="CTCC")
    NumberSegment.objects.create(prefix=KEY, carrier=ctcc, source="ported")
    tariffs.refresh()

    assert found() == ("CTCC", "ported")
    asked = read_call(CallFacts(MOBILE, clock.now(), carrier="CBN"))
    assert (asked.carrier, asked.carrier_from) == ("CBN", "given")


def test_an_answer_is_asked_for_once_and_known_to_every_process(service):
    learn([KEY])
    learn([KEY])
    assert service.asked == [MOBILE]

    answers.forget()  # as another process
    assert found() == ("CMCC", "segment")
    recall([KEY, "8613900139000"])
    assert found() == ("CUCC", "lookup")
    learn([KEY])
    assert service.asked == [MOBILE]


def test_positive_answers_hold_a_day_and_negative_ones_an_hour(service):
    learn([KEY, "8613900139001"])

    assert found("8613900139001") == ("CMCC", "segment")
    left = {key: cache._cache.get_client(None).ttl(cache.make_key(f"carrier:{key}")) for key in (KEY, "8613900139001")}
    assert 86_390 < left[KEY] <= 86_400
    assert 3_590 < left["8613900139001"] <= 3_600
    learn(["8613900139001"])
    assert len(service.asked) == 2


@pytest.mark.parametrize("mood", ["failing", "garbage", "other"])
def test_a_service_that_talks_nonsense_changes_nothing(service, mood):
    service.mood = mood

    learn([KEY, "8613900139000"])  # the second is not even asked for

    assert len(service.asked) == 1
    assert found() == ("CMCC", "segment")
    service.mood = "well"
    learn([KEY])
    assert found() == ("CUCC", "lookup")


@pytest.mark.parametrize("mood", ["silent", "dripping"])
def test_a_service_that_never_ends_its_answer_changes_nothing_and_costs_little(service, settings, mood):
    service.mood = mood
    settings.RATING_CARRIER_LOOKUP_TIMEOUT_MS = 300
    began = time.monotonic()

    learn([KEY, "8613900139000"])  # the second is not even asked for

    assert time.monotonic() - began < 30  # it would never have ended
    assert len(service.asked) <= 1  # none, where the machine was too busy to send the question in time
    assert found() == ("CMCC", "segment")
    service.mood, settings.RATING_CARRIER_LOOKUP_TIMEOUT_MS = "well", PATIENT_MS
    learn([KEY])
    assert found() == ("CUCC", "lookup")


def test_after_three_failures_nobody_asks_for_a_while(service, monkeypatch):
    service.mood = "failing"
    for _ in range(5):
        learn([KEY])
    assert len(service.asked) == 3

    service.mood = "well"
    learn([KEY])
    assert (len(service.asked), found()) == (3, ("CMCC", "segment"))
    later = time.monotonic() + carrier_lookup.PAUSE_SECONDS + 1
    monkeypatch.setattr(carrier_lookup, "monotonic", lambda: later)
    learn([KEY])
    assert (len(service.asked), found()) == (4, ("CUCC", "lookup"))


def test_a_number_that_the_service_does_not_have_is_unknown(service):
    service.mood = "gone"
    learn([KEY])
    service.mood = "well"
    learn([KEY])

    assert (len(service.asked), found()) == (1, ("CMCC", "segment"))


def test_an_address_inside_is_refused_unless_the_operator_allows_it(service, settings):
    settings.OUTSIDE_ALLOWED_PRIVATE_NETS = []

    learn([KEY])

    assert (service.asked, found()) == ([], ("CMCC", "segment"))


def test_without_valkey_the_process_still_learns(service, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}

    learn([KEY])
    assert found() == ("CUCC", "lookup")
    began = time.monotonic()
    for number in range(100):
        recall([f"861380013{number:04}"])  # nobody waits a hundred times for who is away
    assert time.monotonic() - began < 15  # a hundred times 0.3 s


def test_without_a_service_nothing_is_asked_and_nothing_is_read(settings):
    assert (settings.RATING_CARRIER_LOOKUP_URL, configured_lookup()) == ("", None)
    keys = iter([KEY])

    recall(keys)
    learn(keys)

    assert list(keys) == [KEY]


def test_the_process_keeps_a_bounded_number_of_answers(monkeypatch):
    monkeypatch.setattr(carrier_lookup, "KEPT_MAX", 100)

    for number in range(1000):
        answers.keep({f"86138{number:08}": "CUCC"})

    assert len(answers._kept) <= 100
    assert answers.carrier("8613800000999") == "CUCC"


def test_a_call_is_looked_up_at_the_gate_and_charged_by_the_answer(service):
    acme = cast.acme("10.00")
    cast.make_item("voice", "by_deck", legs="b", opened_for=(acme,))
    header = "prefix,rate,first_increment,next_increment,carrier"
    cast.make_deck("net", "13,0.10,60,60,", "13,0.50,60,60,CUCC", columns=header)
    cast.price_by("net", label="voice", organization="acme")
    facts = call(MOBILE)

    quote = starting.quote_service(UseRequest(acme.accno, "voice", call=facts), organizations=None, at=clock.now())
    assert (quote.allowed, service.asked) == (True, [MOBILE])
    answers.forget()  # another process charges
    with CaptureQueriesContext(connection) as queries:
        end_one(use(acme, "voice", "c1", 60, call=facts))

    record = ServiceRecord.objects.get()
    number = json.loads(record.explanation)["lines"][0]["number"]
    assert (number["carrier"], number["carrier_from"], str(record.cost)) == ("CUCC", "lookup", "0.500000")
    assert service.asked == [MOBILE]
    assert len(queries) < 60


def test_an_explanation_goes_by_the_answer_too(service):
    learn([KEY])
    answers.forget()
    cast.make_deck("net", ",0.10,60,60")
    cast.price_by("net", label="callback", organization="demo")

    question = {"tenant": "demo", "category": "callback", "destination": MOBILE, "duration": "60"}
    answer = explain({**question, "answer_time": "2026-10-10T10:00:00+08:00"})

    assert (answer["number"]["carrier"], answer["number"]["carrier_from"]) == ("CUCC", "lookup")
    assert (answer["number"]["area"], answer["number"]["city"]) == ("10", "北京市")
