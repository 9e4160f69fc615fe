"""Token buckets in Valkey, and in the process while Valkey is away."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import settings as project

from billing_platform import limits
from billing_platform.embedded import Servers
from billing_platform.errors import RateLimited
from billing_platform.limits import Rate, check_address, take


@pytest.fixture(autouse=True)
def _nothing_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Valkey is asked again whatever failed before, and given the time that a busy machine needs."""
    monkeypatch.setattr(limits, "CONNECT_SECONDS", 30.0)
    monkeypatch.setattr(limits, "SOCKET_SECONDS", 30.0)
    monkeypatch.setattr(limits._outage, "silent_until", 0.0)
    monkeypatch.setattr(limits, "_buckets", {})
    monkeypatch.setattr(limits, "_shares", {})
    limits._server.cache_clear()
    yield
    limits._server.cache_clear()


@pytest.fixture(params=["shared", "local"])
def place(request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the tokens are counted."""
    if request.param == "local":
        monkeypatch.setattr(limits._outage, "silent_until", float("inf"))
    return f"{request.param}-{time.monotonic_ns()}"


def let_pass(seconds: int, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if so much time had gone by since the bucket was last asked."""
    begun = time.monotonic()
    monkeypatch.setattr(limits, "monotonic", lambda: begun + seconds)
    if place.startswith("shared"):
        redis.Redis.from_url(project.REDIS_URL).hincrby(f"limit:{place}", "at", -seconds * 1000)


def test_bucket_gives_its_tokens_and_says_when_there_is_one_again(place: str) -> None:
    begun = time.monotonic()
    for _ in range(3):
        take(place, Rate(3, 60))

    with pytest.raises(RateLimited) as refused:
        take(place, Rate(3, 60))

    assert 20 - (time.monotonic() - begun) <= refused.value.fields["retry_after"] <= 20
    take(f"{place}-other", Rate(3, 60))


def test_bucket_fills_up_again(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take(place, Rate(1, 60))
    with pytest.raises(RateLimited):
        take(place, Rate(1, 60))

    let_pass(61, place, monkeypatch)

    take(place, Rate(1, 60))


def test_lost_valkey_counts_in_the_process(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    take("lost", Rate(1, 60))
    with pytest.raises(RateLimited):
        take("lost", Rate(1, 60))


@pytest.fixture
def address(place: str, settings: Any) -> str:
    """An address that nobody has called from; it has a hundred requests, in shares of two."""
    settings.API_RATES = [(100, 1_000_000)] * 3
    return place


def test_tokens_that_are_not_used_at_once_are_not_lost(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    for second in range(100):
        monkeypatch.setattr(limits, "monotonic", lambda at=begun + second: at)
        check_address("/api/v1/decks", address)

    with pytest.raises(RateLimited):
        check_address("/api/v1/decks", address)


def test_threads_that_ask_together_get_every_token(address: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        for _ in pool.map(lambda _n: check_address("/api/v1/decks", address), range(100)):
            pass


def test_a_slow_caller_costs_no_question(servers: Servers, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    at = time.monotonic()
    monkeypatch.setattr(limits, "monotonic", lambda: at)  # all within one second
    settings.INTAKE_RATES = [(60_000, 60)] * 3  # twenty a second pass unasked
    valkey, address = redis.Redis.from_url(settings.REDIS_URL), f"slow-{time.monotonic_ns()}"

    for _ in range(20):
        check_address("/api/v1/cdrs", address)
    assert not valkey.exists(f"limit:intake:address:{address}")

    check_address("/api/v1/cdrs", address)
    assert valkey.exists(f"limit:intake:address:{address}")
