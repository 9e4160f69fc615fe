"""Four registers under kill, pause and cut, REGISTER_SECONDS each: a bank, a set, unique ids, holds that end once."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from billing_platform.supervision import wait_until
from counter import client
from counter.errors import CounterUnavailable, Invalid, ReferenceClosed
from counter.uses import CallFacts, ServiceUse, UseRequest
from tests.faults.callers import check_holds
from tests.faults.cases.test_counter import asking, held
from tests.faults.registers import Reader, Trouble, side_by_side, teller_part
from tests.faults.stage import Stage
from tests.faults.supervisor import Part
from tests.faults.teller import CAUSE, planned, read_journal
from tests.faults.workload import Record, key_of

REGISTER_SECONDS = float(os.environ.get("REGISTER_SECONDS", "40"))
pytestmark = [pytest.mark.faults, pytest.mark.deadline(REGISTER_SECONDS + 240)]

WALLETS, MONEY = 6, Decimal(1000)
TELLERS = 3
ENDLESS = 10**9
IDS_GIVEN_ONCE = {
    "transfers": "SELECT count(*), count(DISTINCT id) FROM ledger_transfer",
    "service records": "SELECT count(*), count(DISTINCT id) FROM counter_servicerecord",
    "call records": "SELECT count(*), count(DISTINCT id) FROM call_records",
    "deliveries": "SELECT count(*), count(DISTINCT id) FROM call_deliveries",
    "keys of transfers": "SELECT count(*), count(DISTINCT transfer_id) FROM ledger_transferkey",
}


class Bank:
    """Wallets, tellers in processes of their own behind the database line, and their journals."""

    def __init__(self, stage: Stage, directory: Path, *, seed: int) -> None:
        self._stack, self._directory = stage.stack, directory
        tenants = [stage.stack.clerk.make_tenant(f"{stage.tenant.organization}-{n}") for n in range(WALLETS)]
        self.accnos = [tenant.accno for tenant in tenants]
        self.names = [f"{stage.tenant.organization}-{seed}-{number}" for number in range(TELLERS)]
        self.tellers = [self._teller(name, ENDLESS) for name in self.names]

    def _teller(self, name: str, transfers: int) -> Part:
        return teller_part(name, self._stack.web, str(transfers), *self.accnos, journal=self._journal(name))

    def _journal(self, name: str) -> Path:
        return self._directory / f"{name}.jsonl"

    def close(self) -> None:
        """The tellers go; what they did not know is said again until it is known."""
        for name, teller in zip(self.names, self.tellers, strict=True):
            teller.kill9()
            done, unknown = read_journal(self._journal(name))
            last = self._teller(name, max([*done, *unknown], default=-1) + 1)
            last.launch()
            last.await_dead(seconds=60)

    def moved(self) -> dict[str, list[int]]:
        """Each move that is done, and its transfers."""
        return {
            f"{name}-{number}": transfers
            for name in self.names
            for number, transfers in read_journal(self._journal(name))[0].items()
        }

    def balances_expected(self) -> dict[str, Decimal]:
        """Reckoned from the seeds alone."""
        found = dict.fromkeys(self.accnos, MONEY)
        for name in self.names:
            for number in read_journal(self._journal(name))[0]:
                move = planned(name, number, self.accnos)
                found[move.giver] -= move.amount
                found[move.taker] += move.amount
        return found


def test_bank_every_full_read_sums_to_the_constant(stage: Stage, seed: int, tmp_path: Path) -> None:
    books, bank = stage.stack.books, Bank(stage, tmp_path, seed=seed)
    reader = Reader(books, bank.accnos)
    for teller in bank.tellers:
        teller.launch()

    with side_by_side(reader.read):
        trouble = Trouble(bank.tellers, [stage.stack.database_line], random.Random(f"bank:{seed}"))
        made = trouble.make(seconds=REGISTER_SECONDS)
    stage.stack.heal()
    bank.close()

    moved = bank.moved()
    balances = books.rows("SELECT accno, balance FROM ledger_billingaccount WHERE accno = ANY(%s)", bank.accnos)
    transfers = books.rows(
        "SELECT cause_id, array_agg(id ORDER BY cause_leg DESC) FROM ledger_transfer WHERE cause_type = %s GROUP BY 1",
        CAUSE,
    )
    tell(f"bank: {made}; {len(moved)} moves, {reader.sums.total()} full reads, each {dict(reader.sums)}")
    assert set(reader.sums) == {WALLETS * MONEY}
    assert dict(balances) == bank.balances_expected()
    assert dict(transfers) == moved
    assert len(moved) > TELLERS


def test_set_has_what_was_acknowledged_once_and_nothing_refused(stage: Stage, seed: int) -> None:
    trouble = Trouble(stage.stack.parts, stage.stack.lines, random.Random(f"set:{seed}"))

    with side_by_side(*(posting(stage, 1000 + lane, good_and_bad) for lane in range(4))):
        made = trouble.make(seconds=REGISTER_SECONDS)
    stage.stack.heal()
    stage.settle_unknown(stage.journal.entries())
    stage.settle()

    entries = stage.journal.entries()
    accepted = {key_of(entry.record) for entry in entries if entry.answers}
    refused = {key_of(entry.record) for entry in entries if entry.refused}
    stored = stage.stack.books.rows(
        "SELECT provider_call_id, count(*) FROM call_records WHERE organization = %s GROUP BY 1",
        stage.tenant.organization,
    )  # fmt: skip
    tell(f"set: {made}; {len(accepted)} acknowledged, {len(refused)} refused")
    assert dict(stored) == dict.fromkeys(accepted, 1)
    assert not accepted & refused
    assert accepted
    assert refused


def test_ids_are_given_once(stage: Stage, seed: int, tmp_path: Path) -> None:
    """Transfers of tellers and of calls, and receipts; PostgreSQL itself dies as well."""
    dice, bank, postgres = random.Random(f"ids:{seed}"), Bank(stage, tmp_path, seed=seed), stage.stack.servers.postgres
    for teller in bank.tellers:
        teller.launch()
    trouble = Trouble([*stage.stack.parts, *bank.tellers], stage.stack.lines, dice)

    with side_by_side(*(posting(stage, 1000 + lane, only_good) for lane in range(4))):
        made = trouble.make(seconds=REGISTER_SECONDS / 2)
        postgres.kill9()
        postgres.start()
        made += trouble.make(seconds=REGISTER_SECONDS / 2)
    stage.stack.heal()
    bank.close()
    stage.settle_unknown(stage.journal.entries())
    stage.settle()

    moved, entries = bank.moved(), stage.journal.entries()
    transfer_ids = Counter(transfer for transfers in moved.values() for transfer in transfers)
    receipts = {(said["cdr_id"], key_of(entry.record)) for entry in entries for said in entry.answers if said["cdr_id"]}
    tell(f"ids: {made}; {len(transfer_ids)} transfers of tellers, {len(receipts)} receipts")
    assert len(moved) > TELLERS
    assert set(transfer_ids.values()) == {1}
    assert len({cdr_id for cdr_id, _ in receipts}) == len({key for _, key in receipts}) == len(receipts)
    for name, query in IDS_GIVEN_ONCE.items():
        ((number, distinct),) = stage.stack.books.rows(query)
        assert number == distinct > 0, name


def test_hold_ends_once_captured_released_or_expired(stage: Stage, seed: int) -> None:
    stack, books, ends = stage.stack, stage.stack.books, dict[str, str]()
    lines = [stack.database_line, stack.counter_lines[0]]
    trouble = Trouble([stack.counter, stack.worker], lines, random.Random(f"hold:{seed}"))

    with asking(stage, port=stack.counter_lines[0].port):
        with side_by_side(*(holding(stage, lane, ends) for lane in range(4))):
            made = trouble.make(seconds=REGISTER_SECONDS)
        stack.heal()

    def expired() -> bool:
        stack.ring("counter.tasks.expire_uses_task")
        return not books.value("SELECT count(*) FROM ledger_hold WHERE state = 'open' AND expires_at < now() + '1 min'")

    assert wait_until(expired, seconds=60), "holds stay open beyond their expiry"
    states = books.rows(
        "SELECT s.providerno, h.state FROM ledger_hold h JOIN counter_servicerecord s ON s.hold_id = h.id"
        " WHERE s.organization = %s", stage.tenant.organization,
    )  # fmt: skip
    found = check_holds(books, [stage.tenant])
    tell(f"hold: {made}; {dict(found)}")
    assert {reference: end for reference, end in states if end != ends[reference]} == {}
    assert {end for _, end in states} == {"captured", "released", "expired"}
    assert held(stage) == 0


def posting(stage: Stage, first: int, body: Callable[[Stage, int], list[Record]]) -> Callable[[threading.Event], None]:
    """A sender who posts bodies, each again until it is answered; the last one may stay unknown."""

    def post(stop: threading.Event) -> None:
        sender, number = stage.sender(), first
        while not stop.is_set():
            records = body(stage, number)
            if sender.post_batch(records).is_unknown:
                stop.wait(0.05)
            else:
                number += 100 * len(records)
        sender.close()

    return post


def only_good(stage: Stage, number: int) -> list[Record]:
    return [stage.calls.record(number + 10 * place) for place in range(3)]


def good_and_bad(stage: Stage, number: int) -> list[Record]:
    """Every third one names a kind of call that there is not."""
    good = only_good(stage, number)
    return [*good[:2], good[2] | {"call_type": "smoke_signal"}]


def holding(stage: Stage, lane: int, ends: dict[str, str]) -> Callable[[threading.Event], None]:
    """Somebody who starts uses and ends, cancels or forgets them; `ends` takes what each hold must come to."""
    dice = random.Random(f"{stage.calls.seed}:{lane}")

    def hold(stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            reference = f"hold-{lane}-{number}"
            ends[reference] = dice.choice(("captured", "released", "expired"))
            start_and_end(stage, reference, ends[reference])
            number += 1

    return hold


def start_and_end(stage: Stage, reference: str, end: str) -> None:
    """Each question again until the counter has answered: it comes back when the trouble is over."""
    accno, organization, start = stage.tenant.accno, stage.tenant.organization, stage.calls.ended
    call = CallFacts("13800000001", "13912340001", "callback")
    lives = timedelta(seconds=3 if end == "expired" else 600)
    request = UseRequest(
        accno, "callback", reference, start, organization=organization, max_seconds=60, call=call,
        expire=stage.stack.books.value("SELECT clock_timestamp()") + lives,
    )  # fmt: skip
    try:
        answered(lambda: client.start_service(request))
    except (Invalid, ReferenceClosed):
        assert end == "expired"  # it was unknown for longer than it was to live
        return
    if end == "captured":
        finish = start + timedelta(seconds=30)
        use = ServiceUse(accno, "callback", reference, start, finish, organization=organization, call=call)
        answered(lambda: client.end_service(use))
    elif end == "released":
        answered(lambda: client.cancel_service(accno, "callback", providerno=reference))


def answered(ask: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            ask()
        except CounterUnavailable:
            assert time.monotonic() < until, "the counter stays silent"
            time.sleep(0.1)
        else:
            return


def tell(text: str) -> None:
    """What the check has seen; shown by `-s` and with a failure."""
    print(text)  # noqa: T201
