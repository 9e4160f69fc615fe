import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.conf import settings

from billing_platform import clock
from billing_platform.demo import Demo
from rating import demo, tariffs
from rating.caching import in_memory, live
from rating.call import Call, PricingError
from rating.engine import price_call
from rating.errors import DeckUnknown
from rating.models import CalendarDay, Carrier, DeckVersion, NumberSegment, TariffProfile
from rating.numbers.carriers import carrier_of
from rating.question import CallFacts, read_call
from tests.rating.deck_files import LONG_AGO, assign, csv_of, make_deck, publish

pytestmark = pytest.mark.django_db
KEY = ("main", "demo", "callback", "C1")


def tariff(subject="C1", at=None, category="callback"):
    return tariffs.tariff_for(tenant="demo", category=category, subject=subject, at=at or clock.now())


def price(number, at=None, **which):
    at = at or clock.now()
    asked = read_call(CallFacts(number, at=at, duration=60))
    return price_call(asked.call, tariff(at=at, **which)).amount


def refusal(number, **which):
    with pytest.raises(PricingError) as refused:
        price(number, **which)
    return refused.value.code


def test_an_own_deck_goes_before_the_common_one_and_falls_back_to_it():
    make_deck("common", ",0.60,60,60")
    make_deck("own", "010,0.10,60,60")
    assign("common")
    assign("own", subject="C1", fallback=("ghost", "*any"))

    assert price("01060001234") == Decimal("0.1000")
    assert price("02160001234") == Decimal("0.6000")
    assert price("01060001234", subject="C2") == Decimal("0.6000")
    assert [subject.name for subject in tariff().subjects] == ["C1", "*any"]
    assert tariff().skipped == ("ghost",)


def test_accounts_without_rates_of_their_own_share_one_tariff():
    make_deck("common", ",0.60,60,60")
    assign("common")

    assert tariff("C1") is tariff("C2")


def test_without_an_assignment_there_is_no_tariff():
    assert refusal("01060001234") == "no_tariff"


def test_an_assignment_without_a_deck_in_force_has_no_rate():
    assign("planned")

    assert refusal("01060001234") == "no_rate"


@pytest.mark.parametrize(("depth", "found"), [(3, "no_rate"), (4, "0.6000")])
def test_fallback_ends_at_the_configured_depth_and_meets_nobody_twice(settings, depth, found):
    settings.RATING_FALLBACK_DEPTH = depth
    make_deck("last", ",0.60,60,60")
    for subject, fallback in (("C1", "C2"), ("C2", "C3"), ("C3", "C4"), ("C4", "C1")):
        assign("last" if subject == "C4" else "none", subject=subject, fallback=(fallback,))

    assert len(tariff().subjects) == depth
    assert (refusal("01060001234") if depth == 3 else str(price("01060001234"))) == found


def test_a_leg_category_falls_back_to_its_label():
    make_deck("common", ",0.60,60,60")
    make_deck("legs", ",0.20,60,60")
    assign("common")
    assign("legs", category="callback.a")

    assert price("01060001234", category="callback.a") == Decimal("0.2000")
    assert price("01060001234", category="callback.b") == Decimal("0.6000")


def test_a_later_assignment_takes_over_at_its_instant():
    make_deck("old", ",0.60,60,60")
    make_deck("new", ",0.30,60,60")
    begins = clock.now() + timedelta(days=1)
    assign("old")
    assign("new", active_from=begins)

    assert price("01060001234", at=begins - timedelta(seconds=60)) == Decimal("0.6000")
    assert price("01060001234", at=begins) == Decimal("0.3000")


def test_a_carriers_own_deck_prices_its_numbers_only():
    carrier = Carrier.objects.get(code="CMCC")
    make_deck("general", ",0.60,60,60", family="cn")
    make_deck("mobile", ",0.10,60,60", family="cn", carrier=carrier)
    assign("cn")

    assert price("13800138000") == Decimal("0.1000")
    assert price("13000138000") == Decimal("0.6000")


def test_warm_answers_ask_the_database_nothing(django_assert_num_queries):
    make_deck("default", ",0.60,60,60")
    assign("default")
    tariffs.warm([KEY], at=clock.now())
    at = clock.now()

    with django_assert_num_queries(0):
        tariff(at=at)
        tariffs.default_tariff("CNY", at=at)
        tariffs.deck_tariff("default", at=at)


def test_a_publish_of_another_process_is_noticed_within_two_seconds(fresh_database, tmp_path):
    make_deck("common", ",0.60,60,60")
    assign("common")
    begins = clock.now() + timedelta(hours=1)
    assert price("01060001234", at=begins) == Decimal("0.6000")
    file = tmp_path / "common.csv"
    file.write_bytes(csv_of(",0.66,60,60"))

    command = ["manage.py", "deck_import", str(file), "--deck", "common", "--effective", begins.isoformat(), "--apply"]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=settings.BASE_DIR)

    deadline, asked_at = time.monotonic() + 2, time.monotonic()
    while price("01060001234", at=begins) != Decimal("0.6600"):
        assert asked_at < deadline, "asked after two seconds the answer was an old one"
        asked_at = time.monotonic()


def test_within_a_second_the_known_answer_is_given(monkeypatch):
    monkeypatch.setattr(live, "CHECK_SECONDS", 3600.0)  # a second that lasts as long as the machine needs
    make_deck("common", ",0.60,60,60")
    assign("common")
    known = tariff()

    TariffProfile.objects.all().delete()

    assert tariff() is known
    tariffs.refresh()
    assert tariff().subjects == ()


def test_the_default_deck_is_one_per_currency():
    assert tariffs.default_tariff("CNY", at=clock.now()) is None

    make_deck("default", ",0.60,60,60")
    make_deck("default-usd", ",0.10,60,60", currency="USD")

    assert tariffs.default_tariff("CNY", at=clock.now()).currency == "CNY"
    assert tariffs.default_tariff("USD", at=clock.now()).currency == "USD"
    assert tariffs.default_tariff("EUR", at=clock.now()) is None


def test_one_deck_can_be_asked_by_version():
    make_deck("common", ",0.60,60,60")
    publish("common", ",0.66,60,60")
    asked = read_call(CallFacts("01060001234", at=LONG_AGO - timedelta(days=400), duration=60))

    amounts = [
        price_call(asked.call, tariffs.deck_tariff("common", at=asked.call.at, version=number)).amount
        for number in (1, 2)
    ]

    assert amounts == [Decimal("0.6000"), Decimal("0.6600")]
    with pytest.raises(DeckUnknown):
        tariffs.deck_tariff("nowhere", at=clock.now())


def test_the_calendar_decides_which_band_counts():
    lines = ("#!band feast days=holiday", ",0.60,60,60,", ",1.20,60,60,feast")
    make_deck("common", *lines, columns="prefix,rate,first_increment,next_increment,band")
    assign("common")
    at = datetime(2026, 9, 9, 4, tzinfo=UTC)  # noon of a Wednesday in Shanghai
    assert price("01060001234", at=at) == Decimal("0.6000")

    CalendarDay.objects.create(date=at.date(), day_class="holiday")
    tariffs.refresh()

    assert price("01060001234", at=at) == Decimal("1.2000")


def test_carriers_are_found_by_the_longest_valid_segment():
    at = clock.now()
    assert carrier_of("8613800138000", at=at)[:2] == ("CMCC", "segment")
    assert carrier_of("8613491380000", at=at)[:2] == ("CTCC", "segment")
    assert carrier_of("862160001234", at=at)[:2] == ("", "unknown")

    unicom = Carrier.objects.get(code="CUCC")
    NumberSegment.objects.create(
        prefix="8613800138000", carrier=unicom, source="ported", valid_from=at, valid_to=at + timedelta(days=1)
    )
    tariffs.refresh()

    assert carrier_of("8613800138000", at=at)[:2] == ("CUCC", "ported")
    assert carrier_of("8613800138000", at=at + timedelta(days=1))[:2] == ("CMCC", "segment")


def test_the_demo_prices_its_callbacks_and_seeding_again_changes_nothing():
    demo.seed(Demo(1, "small"))
    before = DeckVersion.objects.count()
    demo.seed(Demo(1, "small"))

    assert (DeckVersion.objects.count(), before) == (2, 2)
    at = datetime(2026, 11, 2, 13, 0, tzinfo=UTC)  # a Monday evening, 21:00 in Shanghai
    assert price("13800138000", at=at, subject="C00000017") == Decimal("0.1500")
    assert price("18800138000", at=at, subject="C00000017") == Decimal("0.0900")
    assert refusal("12590123", subject="C00000017") == "bad_number"
    assert refusal("12590", subject="C00000017") == "blocked"


def test_many_subjects_are_read_with_a_query_per_level(django_assert_max_num_queries):
    make_deck("common", ",0.60,60,60")
    make_deck("own", "010,0.10,60,60")
    assign("common")
    for number in range(30):
        assign("own", subject=f"C{number}", fallback=(f"F{number}", "*any"))
        assign("own", subject=f"F{number}")
    tariffs.refresh()
    at = clock.now()
    tariff(at=at)

    with django_assert_max_num_queries(4):
        tariffs.warm([("main", "demo", "callback", f"C{number}") for number in range(30)], at=at)

    assert [subject.name for subject in tariff("C7", at=at).subjects] == ["C7", "F7", "*any"]
    assert price("02160001234", subject="C7") == Decimal("0.6000")


def test_numbers_are_fetched_before_a_transaction_that_must_not_wait(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(in_memory, "SMALL_ROWS", 0)
    make_deck("common", ",0.60,60,60", "0138,0.10,60,60")
    assign("common")
    at = clock.now()
    tariffs.warm([KEY], at=at, numbers=["8613800138000"])

    with django_assert_num_queries(0):
        call = Call("8613800138000", at, 60 * 10**9)
        assert price_call(call, tariff(at=at)).amount == Decimal("0.1000")
