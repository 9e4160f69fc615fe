"""A new price list comes into force while four processes price calls: at its instant, everywhere, and not before."""

import json
import time
from datetime import datetime, timedelta

import redis
from django.conf import settings

from billing_platform import clock
from tests.processes import start, wait_until
from tests.rating.deck_files import assign, make_deck, publish

PREFIXES = [f"138{number:04d}" for number in range(2_400)]  # too many to be compiled while a call waits


def test_every_process_changes_the_price_at_the_same_instant(fresh_database, tmp_path):
    valkey = redis.Redis.from_url(settings.REDIS_URL)
    began = time.monotonic()
    make_deck("common", *(f"{prefix},0.60,60,60" for prefix in PREFIXES))
    took = timedelta(seconds=time.monotonic() - began)
    assign("common")
    tills = start(["-m", "tests.flows.pricer", "4"], log=tmp_path / "tills.log")

    effective = clock.now() + 5 * took + timedelta(seconds=3)  # published in time by this machine, too, under its load
    publish("common", *(f"{prefix},0.90,60,60" for prefix in PREFIXES), effective_from=effective, correction=True)
    assert clock.now() < effective - timedelta(seconds=1.5), "published too late for this test"
    wait_until(lambda: valkey.flushdb() and clock.now() > effective + timedelta(seconds=0.5), what="the new price")

    assert tills.terminate() == 0, tills.log.read_text()
    told = [json.loads(line) for line in tills.output]
    assert len(told) == 4
    for one in told:
        seen = {amount: [datetime.fromisoformat(at) for at in ends] for amount, ends in one["seen"].items()}
        assert sorted(seen) == ["0.6000", "0.9000"]
        assert seen["0.6000"][1] < effective <= seen["0.9000"][0]
        assert one["calls"] > 100
