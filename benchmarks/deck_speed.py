"""Decks and numbers against a real database, each measurement in a process of its own.

    echo '{"what": "import"}' | python -m benchmarks.deck_speed

import   170,000 rows: parse, validate, diff, publish; the same file again
compile  300,000 prefixes for one process: seconds, memory, and what cold look-ups wait meanwhile
numbers  reading a number and finding its carrier
explain  `rate_explain --input`, with the losers
"""

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import django

django.setup()

from billing_platform import clock  # noqa: E402  the models exist only after setup
from billing_platform.auth import Caller  # noqa: E402
from billing_platform.runs import GuardRail  # noqa: E402
from rating.caching.live import calendars, compiled_versions  # noqa: E402
from rating.call import Call  # noqa: E402
from rating.engine import price_call, single_deck_tariff  # noqa: E402
from rating.importing.imports import ImportOrder, ImportReceipt, apply_import  # noqa: E402
from rating.models import Deck, DeckVersion  # noqa: E402
from rating.numbers.carriers import carrier_of  # noqa: E402
from rating.proposals import approve_version  # noqa: E402
from rating.segments import NumberContext, read_number  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RATE_ADMIN = Caller("person", "1", name="rate admin", roles=frozenset({"rate_admin"}))
SECOND_PERSON = Caller("person", "2", name="second person", roles=frozenset({"finance"}))
ROWS, PREFIXES = 170_000, 300_000
COMPILED = "bench-compiled"
QUESTIONS = 4_000


def file_of(rows: int) -> bytes:
    """A native file: 26 destinations, 500 prices, prefixes of nine characters."""
    lines = ["#!deck numbering=e164", "prefix,destination,rate,first_increment,next_increment"]
    lines += [f"86{1300000 + place * 27},地区 {place % 26},0.{1 + place % 500:04d},60,6" for place in range(rows)]
    return "\n".join([*lines, ""]).encode()


def publish(order: ImportOrder) -> ImportReceipt:
    """Import and publish; rails are confirmed, and a second person agrees."""
    try:
        receipt = apply_import(order, caller=RATE_ADMIN)
    except GuardRail as rail:
        receipt = apply_import(order, caller=RATE_ADMIN, confirm=str(rail.fields["token"]))
    if receipt.version is not None and receipt.version.approvers:
        approve_version(receipt.version.version_id, caller=SECOND_PERSON)
    return receipt


def import_deck() -> dict[str, float]:
    code = f"bench-{uuid.uuid4().hex[:8]}"
    Deck.objects.create(code=code, numbering="e164")
    order = ImportOrder(code, file_of(ROWS))
    began = time.monotonic()
    first = publish(order)
    seconds = time.monotonic() - began
    second = publish(order)
    changes = sum(second.counts[name] for name in ("created", "changed", "removed"))
    assert first.counts["created"] == ROWS
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"value": round(seconds, 2), "peak_mb": round(peak_mb, 1), "changes_of_second": changes}


def compile_deck() -> dict[str, float]:
    """The time until the thread has compiled it, with a process that prices by cold look-ups all the while."""
    version = DeckVersion.objects.filter(deck__code=COMPILED, state="published").first()
    if version is None:  # in a process of its own: what is measured here is not an import's memory
        _measured_apart("seed")
        version = DeckVersion.objects.get(deck__code=COMPILED, state="published")
    calendar, dice, before_mb = calendars.current(), random.Random(5), _resident_mb()
    waits, began = [], time.monotonic()
    tariff = single_deck_tariff([compiled_versions.at_hand(version.pk)], calendar=calendar)
    while compiled_versions.cold():
        call = Call(f"86{1300000 + dice.randrange(PREFIXES) * 27}0001", clock.now(), 60 * 10**9)
        asked = time.monotonic()
        price_call(call, tariff)
        waits.append((time.monotonic() - asked) * 1000)
    seconds = time.monotonic() - began
    waits.sort()
    return {
        "value": round(seconds, 2), "mb": round(_resident_mb() - before_mb, 1), "cold_look_ups": len(waits),
        "cold_p50_ms": round(statistics.median(waits), 2), "cold_p99_ms": round(waits[int(len(waits) * 0.99)], 2),
        "cold_max_ms": round(waits[-1], 2),
    }  # fmt: skip


def seed_compiled() -> dict[str, float]:
    Deck.objects.create(code=COMPILED, numbering="e164")
    publish(ImportOrder(COMPILED, file_of(PREFIXES)))
    return {"value": PREFIXES}


def read_numbers() -> dict[str, float]:
    dice, at, context = random.Random(3), clock.now(), NumberContext("21")
    texts = [
        dice.choice(["13{:09d}", "+86 15{:09d}", "021-6{:07d}", "01085{:06d}", "008529{:07d}", "400820{:04d}"]).format(
            dice.randrange(10**4)
        )
        for _ in range(5_000)
    ]

    def read_all() -> None:
        for text in texts:
            carrier_of(read_number(text, context).key, at=at)

    read_all()  # the tables are read
    return {"value": round(len(texts) / statistics.median(_processor_seconds(read_all) for _ in range(9)))}


def explain_lines() -> dict[str, float]:
    """Lines per second beyond the start of the command."""
    dice = random.Random(2)
    numbers = [f"13{dice.randrange(10**9):09d}" for _ in range(QUESTIONS)]
    lines = [
        json.dumps({"tenant": "bench-0", "category": "callback", "destination": number, "duration": "125"})
        for number in numbers
    ]
    with tempfile.TemporaryDirectory() as directory:
        few, many = Path(directory, "few"), Path(directory, "many")
        few.write_text("\n".join(lines[:100]) + "\n")
        many.write_text("\n".join(lines) + "\n")
        seconds = _command_seconds(many) - _command_seconds(few)
    return {"value": round((QUESTIONS - 100) / seconds)}


def _command_seconds(file: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "manage.py", "rate_explain", "--input", str(file)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _processor_seconds(act: Callable[[], None]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _measured_apart(what: str) -> None:
    plan = json.dumps({"what": what})
    subprocess.run([sys.executable, "-m", "benchmarks.deck_speed"], cwd=ROOT, input=plan, text=True, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


MEASUREMENTS = {
    "import": import_deck, "compile": compile_deck, "seed": seed_compiled, "numbers": read_numbers,
    "explain": explain_lines,
}  # fmt: skip

if __name__ == "__main__":
    json.dump(MEASUREMENTS[json.load(sys.stdin)["what"]](), sys.stdout)
