"""Hot rules: Valkey spares other processes a query, and never decides about a price."""

import socket
from contextlib import closing
from datetime import date
from decimal import Decimal

import msgspec
import pytest
import redis
from django.conf import settings as project
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing_platform import clock
from rating import tariffs
from rating.caching import hot, in_memory
from rating.caching.live import calendars, generations
from rating.call import Call
from rating.engine import price_call, single_deck_tariff
from rating.models import CalendarDay, DeckVersion
from tests.rating.deck_files import make_deck

NUMBER = "8613800138000"


@pytest.fixture
def valkey(servers, fresh_database, monkeypatch):
    """Valkey of this test's own, asked again whatever failed before, and waited for on a busy machine too."""
    server = redis.Redis.from_url(project.REDIS_URL)
    server.flushdb()
    monkeypatch.setattr(hot._outage, "silent_until", 0.0)
    monkeypatch.setattr(hot, "ANSWER_SECONDS", 30.0)
    hot._server.cache_clear()
    yield server
    hot._server.cache_clear()
    server.flushdb()


@pytest.fixture
def version(valkey, monkeypatch):
    """A large deck that no process has compiled, and that none will: each look-up is a cold one."""
    monkeypatch.setattr(in_memory, "SMALL_ROWS", 0)
    monkeypatch.setattr(in_memory.CompiledVersions, "_want", lambda *_: None)
    make_deck(
        "common", "#!band peak days=workday from=09:00 to=18:00", ",0.60,60,60,,", "8613800,0.10,60,60,,180:0.05",
        "8613800,0.20,60,60,peak,", "8613800138,0.30,60,6,,", "8613900,0.90,60,60,,", numbering="e164",
        columns="prefix,rate,first_increment,next_increment,band,tiers",
    )  # fmt: skip
    return DeckVersion.objects.get(deck__code="common")


class Till:
    """A process that knows nothing yet."""

    def __init__(self):
        self._versions = in_memory.CompiledVersions(calendar=lambda: generations.number("calendar"))

    def price(self, version, key=NUMBER):
        tariff = single_deck_tariff([self._versions.at_hand(version.pk)], calendar=calendars.current())
        return price_call(Call(key, clock.now(), 600 * 10**9), tariff)


def rate_queries(look_up):
    with CaptureQueriesContext(connection) as captured:
        look_up()
    return sum('FROM "rating_rate"' in query["sql"] for query in captured)


def keys_in(valkey):
    return sorted(key.decode() for key in valkey.keys("rate:*"))


def test_what_one_process_read_serves_the_next(valkey, version):
    first = Till().price(version)

    till = Till()
    assert rate_queries(lambda: till.price(version)) == 0
    second = till.price(version)

    assert first.amount == second.amount == Decimal("3.0000")
    assert second.winner == first.winner


def test_a_head_is_kept_for_an_hour_under_version_and_calendar(valkey, version):
    Till().price(version)

    (key,) = keys_in(valkey)
    assert key.startswith(f"rate:{version.pk}-")
    assert key.endswith(f":{calendars.current().revision}:8613800")
    assert 3590 <= valkey.ttl(key) <= 3600
    assert b"0.30000000" in valkey.get(key)

    CalendarDay.objects.create(date=date(2031, 1, 2), day_class="holiday")
    tariffs.refresh()
    Till().price(version)

    assert len(keys_in(valkey)) == 2


def test_numbers_without_a_rate_of_their_own_are_remembered_too(valkey, version):
    assert Till().price(version, "442079460123").amount == Decimal("6.0000")

    assert rate_queries(lambda: Till().price(version, "442079469999")) == 0


def test_deleting_everything_changes_no_price(valkey, version):
    till = Till()
    before = till.price(version).amount

    valkey.flushdb()

    assert till.price(version).amount == before
    assert rate_queries(lambda: Till().price(version)) == 1
    assert Till().price(version).amount == before


@pytest.mark.parametrize(
    "kept",
    [
        b"", b"{", b"[]", b'[["rate"],["1"],[[1,"8613800","",0]]]', b'[[],[],[[1,"8613800","",7]]]', b"\xff\xfe",
        b'[["rate"],[0.1],[]]',
    ],
)  # fmt: skip
def test_what_nobody_of_us_wrote_is_not_believed(valkey, version, kept):
    expected = Till().price(version).amount
    (key,) = keys_in(valkey)
    valkey.set(key, kept)

    assert Till().price(version).amount == expected


def test_rows_in_other_columns_or_without_terms_are_read_again(valkey, version):
    expected = Till().price(version).amount
    (key,) = keys_in(valkey)
    hot_rows = hot._decoder.decode(valkey.get(key))
    hot_rows.rows[0] = (*hot_rows.rows[0][:3], 99)
    valkey.set(key, msgspec.json.encode(hot_rows))

    assert Till().price(version).amount == expected


def test_a_silent_valkey_is_asked_once_and_waited_for_shortly(version, settings, monkeypatch):
    monkeypatch.setattr(hot, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(hot, "SILENT_SECONDS", 3600.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:  # the kernel connects; nobody ever answers
        settings.REDIS_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        amounts = [Till().price(version, f"861380013800{n}").amount for n in range(5)]
        asked = connections_to(listener)

    assert amounts == [Decimal("3.0000")] * 5
    assert asked == 1


def connections_to(listener):
    """How many the kernel has taken for it."""
    listener.settimeout(0)
    for number in range(100):
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return number
    raise AssertionError("more than 100 connections")


def test_inside_a_transaction_only_the_database_is_asked(valkey, version):
    with transaction.atomic():
        assert Till().price(version).amount == Decimal("3.0000")

    assert keys_in(valkey) == []
