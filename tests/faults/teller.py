"""A bank teller: a process that moves money between wallets, the same transfers for the same seed, each exactly once.

    python -m tests.faults.teller JOURNAL SEED TRANSFERS ACCNO...

One line a transfer is written before it is tried and one when it is done; a teller that died goes on where it stood,
with what it does not know first. It ends after TRANSFERS.
"""

import itertools
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")
django.setup()

from django.db import DatabaseError, InterfaceError, connection, transaction  # noqa: E402  Django first

from billing_platform import clock  # noqa: E402
from billing_platform.errors import Unavailable  # noqa: E402
from billing_platform.transactions import limit_waiting, repeated  # noqa: E402
from ledger.accounts import find_accounts  # noqa: E402
from ledger.posting import NewTransfer, post_transfers  # noqa: E402

CLEARING, CAUSE = "clearing", "bank"
MICRO_MAX = 50_000_000
PAUSE_SECONDS = 0.1
BEGUN, DONE = "begun", "done"


@dataclass(frozen=True)
class Move:
    """From one wallet to another, CNY."""

    cause: str
    giver: str
    taker: str
    amount: Decimal


def planned(seed: str, number: int, accnos: Sequence[str]) -> Move:
    dice = random.Random(f"{seed}:{number}")
    giver, taker = dice.sample(list(accnos), 2)
    return Move(f"{seed}-{number}", giver, taker, Decimal(dice.randint(1, MICRO_MAX)) / 1_000_000)


@transaction.atomic(durable=True)  # what leaves one wallet arrives in the other
def move_money(move: Move, ids: dict[str, int]) -> list[int]:
    """The two transfers, out and in."""
    limit_waiting()
    at = clock.now()
    sides = ((ids[move.giver], -move.amount, "out"), (ids[move.taker], move.amount, "in"))
    posted = post_transfers([
        NewTransfer(account_id, change, CLEARING, CAUSE, move.cause, at, leg) for account_id, change, leg in sides
    ])  # fmt: skip
    return [one.transfer_id for one in posted]


def read_journal(path: Path) -> tuple[dict[int, list[int]], list[int]]:
    """What is done, by number, with its transfers; and what was begun and is unknown."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    done = {line["number"]: line["transfers"] for line in lines if line["event"] == DONE}
    return done, sorted({line["number"] for line in lines if line["event"] == BEGUN} - done.keys())


def main(journal: str, seed: str, transfers: str, *accnos: str) -> None:
    path = Path(journal)
    done, unknown = read_journal(path)
    fresh = itertools.count(max([*done, *unknown], default=-1) + 1)
    with path.open("a", buffering=1) as file:
        file.write("\n")  # the line before may have been cut in the middle
        for number in itertools.chain(unknown, fresh):
            if number >= int(transfers):
                return
            file.write(json.dumps({"event": BEGUN, "number": number}) + "\n")
            moved = _until_done(planned(seed, number, accnos))
            file.write(json.dumps({"event": DONE, "number": number, "transfers": moved}) + "\n")


def _until_done(move: Move) -> list[int]:
    """Unknown is cured by the same content under the same key."""
    while True:
        try:
            ids = {accno: account.id for accno, account in find_accounts([move.giver, move.taker]).items()}
            return repeated(partial(move_money, move, ids), seconds=30, repeat_cut=True)
        except (DatabaseError, InterfaceError, Unavailable):
            connection.close()
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
