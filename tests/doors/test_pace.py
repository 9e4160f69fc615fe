"""B60: who asks too often is told when to come back, and nobody else notices."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from billing_platform import limits
from billing_platform.models import Scope
from tests.cast import make_account, make_key

MANY = (1000, 60)
DECKS, RECORDS, USERS = "/api/v1/decks", "/api/v1/cdrs", "/onlyuser/users/none/"


@pytest.fixture(autouse=True, params=["Valkey", "Valkey away"])
def _empty_buckets(
    request: pytest.FixtureRequest, servers: object, db: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    away = float("inf") if request.param == "Valkey away" else 0.0
    cache.clear()
    monkeypatch.setattr(limits._outage, "silent_until", away)
    monkeypatch.setattr(limits, "SOCKET_SECONDS", 30.0)  # a busy machine's Valkey is not away
    monkeypatch.setattr(limits, "_buckets", {})
    monkeypatch.setattr(limits, "_shares", {})
    limits._server.cache_clear()
    make_account("acme")
    make_account("echo")
    yield
    limits._server.cache_clear()


def program(organization: str, address: str) -> Client:
    key = make_key(organization, *Scope.values)
    return Client(headers={"apikey": key}, REMOTE_ADDR=address)


def statuses(client: Client, path: str, times: int) -> list[int]:
    return [client.get(path).status_code for _ in range(times)]


def test_a_caller_beyond_its_pace_waits_and_another_does_not(settings: Any) -> None:
    settings.API_RATES = [(3, 3600), MANY, MANY]
    hasty, calm = program("acme", "203.0.113.1"), program("acme", "203.0.113.2")

    assert statuses(hasty, DECKS, 4) == [200, 200, 200, 429]

    refusal: HttpResponse = hasty.get(DECKS)
    assert (refusal.json()["code"], refusal.json()["retryable"]) == ("rate_limited", True)
    assert 1000 < int(refusal.headers["Retry-After"]) <= 1200  # a third of the hour, less what has passed
    assert statuses(calm, DECKS, 3) == [200, 200, 200]


def test_an_organisation_does_not_starve_another(settings: Any) -> None:
    settings.API_RATES = [MANY, (4, 3600), MANY]
    first, second = program("acme", "203.0.113.3"), program("acme", "203.0.113.4")

    assert statuses(first, DECKS, 2) + statuses(second, DECKS, 3) == [200, 200, 200, 200, 429]
    assert statuses(program("echo", "203.0.113.5"), DECKS, 1) == [200]


def test_many_keys_from_one_address_share_its_pace(settings: Any) -> None:
    settings.API_RATES = [MANY, MANY, (3, 3600)]
    address = "203.0.113.6"

    assert [program("acme", address).get(DECKS).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert Client(REMOTE_ADDR=address).get("/login/").status_code == 429
    assert Client(REMOTE_ADDR=address).get("/healthz").status_code == 200


def test_intake_has_buckets_of_its_own(settings: Any) -> None:
    settings.API_RATES, settings.INTAKE_RATES = [(1, 3600), MANY, MANY], [(2, 3600), MANY, MANY]
    platform = program("acme", "203.0.113.7")

    assert statuses(platform, DECKS, 2) == [200, 429]
    assert statuses(platform, RECORDS, 3) == [200, 200, 429]


def test_the_counters_contract_says_it_as_trouble_that_passes(settings: Any) -> None:
    settings.INTAKE_RATES = [(1, 3600), MANY, MANY]
    platform = program("acme", "203.0.113.9")

    assert statuses(platform, USERS, 1) == [404]
    refusal = platform.get(USERS)
    assert (refusal.status_code, refusal.json()["code"], "Retry-After" in refusal.headers) == (441, 700, True)
