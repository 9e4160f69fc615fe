"""The engine alone, one core: how many calls a second, and does the size of the deck matter?

    echo '{"seconds": 5}' | python -m benchmarks.engine_speed

Six time bands; every prefix has a row for always and one in a band. Each deck contains the smaller ones. The same calls
over 2,000 numbers that the smallest deck covers are priced by all decks, in turns; what the larger decks have more lies
on no beginning of these numbers, so that only the size differs.
"""

import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

from rating.compiled import CompiledVersion, Gathered, Shared, version_of
from rating.engine import Calendar, Call, Tariff, price_call, single_deck_tariff
from rating.terms import BandTerms, RateTerms, VersionTerms

SIZES = (1_000, 10_000, 100_000, 1_000_000)
USUAL = "at_100000"
NUMBERS, PRICES, ROUNDS = 2_000, 300, 7
ZONE = ZoneInfo("Asia/Shanghai")
MONTH = datetime(2026, 10, 1, tzinfo=ZONE)
BANDS = [
    BandTerms(
        name=f"band {place}",
        classes=("workday",) if place % 2 else (),
        start=clock_time(place * 4),
        end=clock_time(place * 4 + 4) if place < 5 else None,
        priority=Decimal(20),
    )
    for place in range(6)
]


def prefixes() -> Iterator[str]:
    """Prefixes of seven to nine characters, each once."""
    dice, seen = random.Random(7), set()
    while True:
        digits = dice.choice([5, 6, 7])
        prefix = f"86{dice.randrange(10**digits):0{digits}d}"
        if prefix not in seen:
            seen.add(prefix)
            yield prefix


def decks() -> tuple[list[str], list[str]]:
    """A million prefixes, of which the first thousand are the smallest deck, and the numbers that all decks cover."""
    source, dice = prefixes(), random.Random(13)
    chosen = ["86", *islice(source, SIZES[0] - 1)]
    numbers = [f"{dice.choice(chosen[1:])}0123456789"[:13] for _ in range(NUMBERS)]
    beginnings = {number[:size] for number in numbers for size in range(len(number) + 1)}
    chosen += islice((prefix for prefix in source if prefix not in beginnings), SIZES[-1] - len(chosen))
    return chosen, numbers


def compiled_deck(chosen: Sequence[str]) -> CompiledVersion:
    """A price of its own for three hundred classes of prefixes, at all hours and in one band."""
    shared = Shared(VersionTerms(deck="speed", version=1), BANDS)
    gathered = Gathered(shared)
    terms = {
        (price, band): shared.term(
            RateTerms(rate_id=0, prefix="", rate=Decimal(price + 1) / 100, next_increment=6, band=band)
        )
        for price in range(PRICES * 2)
        for band in ("", *(band.name for band in BANDS))
    }
    for place, prefix in enumerate(chosen):
        price = place % PRICES
        gathered.add(prefix, terms[price, ""], 2 * place, "")
        gathered.add(prefix, terms[price * 2, BANDS[place % 6].name], 2 * place + 1, "")
    return version_of(shared, gathered.content())


def calls_to(keys: Sequence[str]) -> list[Call]:
    """One call a number, in October, up to ten minutes."""
    dice = random.Random(11)
    return [
        Call(key, MONTH + timedelta(seconds=dice.randrange(30 * 86_400)), dice.randrange(1, 600) * 10**9)
        for key in keys
    ]


def measure(seconds: float) -> dict[str, float]:
    """The rate at 100,000 prefixes, the others beside it, and by how many percent the worst of them differs."""
    chosen, numbers = decks()
    tariffs = {
        size: single_deck_tariff([compiled_deck(chosen[:size])], calendar=Calendar(revision=1)) for size in SIZES
    }
    gc.freeze()  # as where decks are compiled
    dice, covered = random.Random(17), calls_to(numbers)
    anywhere = calls_to([f"86{dice.randrange(10**11):011d}" for _ in range(NUMBERS)])
    turns = {f"at_{size}": (covered, tariff) for size, tariff in tariffs.items()}
    turns["random_at_1000000"] = anywhere, tariffs[SIZES[-1]]
    rates: dict[str, list[float]] = {name: [] for name in turns}
    until = time.monotonic() + seconds
    while len(rates[USUAL]) < ROUNDS or time.monotonic() < until:
        for name, (calls, tariff) in turns.items():
            rates[name].append(per_second(calls, tariff))
    medians = {name: statistics.median(found[1:]) for name, found in rates.items()}  # the first works days out
    worst = max(abs(rate / medians[USUAL] - 1) for name, rate in medians.items() if name.startswith("at_"))
    figures = {name: float(round(rate)) for name, rate in medians.items()}
    return {"value": figures[USUAL], **figures, "worst_percent": round(worst * 100, 1)}


def per_second(calls: Sequence[Call], tariff: Tariff) -> float:
    """Calls of `price_call` per second of processor time."""
    began = time.process_time()
    for call in calls:
        price_call(call, tariff)
    return len(calls) / (time.process_time() - began)


if __name__ == "__main__":
    json.dump(measure(**json.load(sys.stdin)), sys.stdout)
