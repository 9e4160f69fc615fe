"""Token buckets in Valkey, and in the process while Valkey is away."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from billing_platform import limits
from billing_platform.embedded import Servers
from billing_platform.errors import RateLimited
from billing_platform.limits import Rate, check_address, take


@pytest.fixture(params=["shared", "local"])
def place(request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the tokens are counted."""
    monkeypatch.setattr(limits._outage, "silent_until", time.monotonic() + 60 if request.param == "local" else 0.0)
    monkeypatch.setattr(limits, "_buckets", {})
    return f"{request.param}-{time.monotonic_ns()}"


def test_bucket_gives_its_tokens_and_says_when_there_is_one_again(place: str) -> None:
    for _ in range(3):
        take(place, Rate(3, 60))

    with pytest.raises(RateLimited) as refused:
        take(place, Rate(3, 60))

    assert refused.value.fields["retry_after"] == 20
    take(f"{place}-other", Rate(3, 60))


def test_bucket_fills_up_again(place: str) -> None:
    take(place, Rate(1, 1))
    with pytest.raises(RateLimited):
        take(place, Rate(1, 1))

    until = time.monotonic() + 3
    while True:
        try:
            take(place, Rate(1, 1))
            break
        except RateLimited:
            assert time.monotonic() < until


def test_lost_valkey_counts_in_the_process(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(limits._outage, "silent_until", 0.0)
    monkeypatch.setattr(limits, "_buckets", {})
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    take("lost", Rate(1, 60))
    with pytest.raises(RateLimited):
        take("lost", Rate(1, 60))


@pytest.fixture
def address(place: str, monkeypatch: pytest.MonkeyPatch, settings: Any) -> str:
    """An address that nobody has called from; it has a hundred requests, in shares of two."""
    monkeypatch.setattr(limits, "_shares", {})
    settings.API_RATES = [(100, 1_000_000)] * 3
    return place


def test_tokens_that_are_not_used_at_once_are_not_lost(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    monkeypatch.setattr(limits._outage, "silent_until", limits._outage.silent_until * 2)
    for second in range(100):
        monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda at=begun + second: at))
        check_address("/api/v1/decks", address)

    with pytest.raises(RateLimited):
        check_address("/api/v1/decks", address)


def test_threads_that_ask_together_get_every_token(address: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        for _ in pool.map(lambda _n: check_address("/api/v1/decks", address), range(100)):
            pass


def test_a_slow_caller_costs_no_question(servers: Servers, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(limits._outage, "silent_until", 0.0)
    monkeypatch.setattr(limits, "_shares", {})
    settings.INTAKE_RATES = [(1000, 1), (1000, 1), (1000, 1)]  # twenty a second pass unasked
    valkey, address = redis.Redis.from_url(settings.REDIS_URL), f"slow-{time.monotonic_ns()}"

    for _ in range(20):
        check_address("/api/v1/cdrs", address)
    assert not valkey.exists(f"limit:intake:address:{address}")

    check_address("/api/v1/cdrs", address)
    assert valkey.exists(f"limit:intake:address:{address}")
