"""Processes that price hundreds of calls a second until SIGTERM, each at the database's present; a program of its own.

    python -m tests.flows.pricer 4

Prints one JSON line when every process has priced its first call, and one per process at the end: how many calls, and
per amount the first and the last instant.
"""

import json
import multiprocessing
import os
import random
import signal
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "billing_platform.settings"
django.setup()

from billing_platform import clock  # noqa: E402  the models exist only after setup
from rating import tariffs  # noqa: E402
from rating.engine import price_call  # noqa: E402
from rating.question import CallFacts, read_call  # noqa: E402

_fork = multiprocessing.get_context("fork")  # quickly many; no connection is open yet


def main(processes: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ready, stop, told = _fork.Barrier(processes + 1), _fork.Event(), _fork.SimpleQueue()
    for _ in range(processes):
        _fork.Process(target=price_calls, args=(ready, stop, told), daemon=True).start()
    ready.wait(60)
    tell({"processes": processes})
    signal.sigwait({signal.SIGTERM})
    stop.set()
    for _ in range(processes):
        tell(told.get())


def price_calls(ready, stop, told) -> None:
    dice = random.Random(os.getpid())
    seen = {}
    calls = 0
    while not stop.wait(0.001):  # many calls a second, and time left for those who publish
        at = clock.now()
        asked = read_call(CallFacts(f"138{dice.randrange(24 * 10**6):08d}", at=at, duration=60))
        tariff = tariffs.tariff_for(tenant="demo", category="callback", subject="*any", at=at)
        amount = str(price_call(asked.call, tariff).amount)
        seen[amount] = seen.get(amount, (at.isoformat(), ""))[0], at.isoformat()
        calls += 1
        if calls == 1:
            ready.wait(60)
    told.put({"calls": calls, "seen": seen})


def tell(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
