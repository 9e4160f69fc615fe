"""Token buckets in Valkey, and in the process while Valkey is away."""

import time
from typing import Any

import pytest

from billing_platform import limits
from billing_platform.embedded import Servers
from billing_platform.errors import RateLimited
from billing_platform.limits import Rate, take


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
