"""The ledger under real threads and processes: limits hold, causes post once, nothing is lost."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import TypeVar

import pytest
from django.db import OperationalError, connection, transaction

from billing_platform.transactions import repeated, sqlstate
from ledger.accounts import Account, read_account
from ledger.errors import InsufficientBalance
from ledger.funding import Funding, top_up
from ledger.holds import HeldMoney, capture_holds, place_hold
from ledger.models import Hold, Transfer
from ledger.posting import NewTransfer, Posted, post_payment, post_transfers
from tests.ledger_facts import (
    LATER,
    LEDGER_CHECKS,
    NOON,
    assert_books_clean,
    broken_invariants,
    funded_account,
    ledger_fingerprint,
)
from tests.processes import Errand, send, wait_until

pytestmark = pytest.mark.usefixtures("fresh_database")
THREADS = 16
Result = TypeVar("Result")


def at_once(work: Callable[[int], Result], *, times: int, threads: int = THREADS) -> list[Result]:
    """Every thread starts at the same moment, on a connection of its own."""
    start = threading.Barrier(threads)

    def run(numbers: range) -> list[Result]:
        start.wait(10)
        try:
            return [work(number) for number in numbers]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(run, range(first, times, threads)) for first in range(threads)]
        return [result for future in futures for result in future.result(60)]


def charge(account: Account, amount: str, cause: str) -> NewTransfer:
    return NewTransfer(account.id, -Decimal(amount), "revenue:voice", "use", cause, NOON)


@transaction.atomic
def post(*transfers: NewTransfer) -> list[Posted]:
    return post_transfers(transfers)


@transaction.atomic
def hold(account: Account, amount: str, reference: str) -> HeldMoney | None:
    try:
        return place_hold(account.id, amount=Decimal(amount), reference=reference, expires_at=LATER)
    except InsufficientBalance:
        return None


@transaction.atomic
def pay(account: Account, amount: str, cause: str) -> Posted | None:
    try:
        return post_payment(charge(account, amount, cause))
    except InsufficientBalance:
        return None


@transaction.atomic
def settle(account: Account, held: HeldMoney, cost: str) -> None:
    capture_holds([held.hold_id], cause="end", with_wallets=[account.id])
    post_transfers([charge(account, cost, f"end of {held.hold_id}")])


def test_holds_of_sixteen_threads_never_pass_the_limit() -> None:
    account = funded_account("7", credit_limit="3")

    held = at_once(lambda number: hold(account, "0.7", f"call-{number}"), times=64)

    assert sum(one is not None for one in held) == 14  # 14 × 0.7 = 9.8 of 10
    assert read_account(account.id).held == Decimal("9.8")
    assert_books_clean(LEDGER_CHECKS)


def test_payments_of_sixteen_threads_never_pass_the_limit() -> None:
    account = funded_account("7", credit_limit="3")

    paid = at_once(lambda number: pay(account, "0.7", f"order-{number}"), times=64)

    assert sum(one is not None for one in paid) == 14
    assert read_account(account.id).balance == Decimal("-2.8")
    assert_books_clean(LEDGER_CHECKS)


def test_calls_of_sixteen_threads_hold_settle_and_balance() -> None:
    account = funded_account("10")

    def call(number: int) -> Decimal:
        held = hold(account, "1", f"call-{number}")
        if held is None:
            return Decimal(0)
        settle(account, held, "0.25")
        return Decimal("0.25")

    charged = sum(at_once(call, times=64), Decimal(0))

    after = read_account(account.id)
    assert (after.balance, after.held, after.state) == (10 - charged, 0, "active")
    assert Decimal("2.5") <= charged <= 10
    assert_books_clean(LEDGER_CHECKS)


def test_one_cause_a_hundred_times_at_once_posts_once() -> None:
    account = funded_account("10")

    posted = at_once(lambda _: post(charge(account, "2", "call-1"))[0], times=100)

    assert len({receipt.transfer_id for receipt in posted}) == 1
    assert sum(not receipt.repeated for receipt in posted) == 1
    assert read_account(account.id).balance == 8
    assert_books_clean(LEDGER_CHECKS)


def test_one_reference_a_hundred_times_at_once_holds_once() -> None:
    account = funded_account("1000")

    held = at_once(lambda _: hold(account, "2", "call-1"), times=100)

    assert len({one.hold_id for one in held if one is not None}) == 1
    assert sum(one is not None and not one.repeated for one in held) == 1
    assert read_account(account.id).held == 2
    assert Hold.objects.filter(account_id=account.id).count() == 1


def test_batches_in_reverse_order_do_not_deadlock() -> None:
    accounts = [funded_account("100") for _ in range(4)]

    def batch(number: int) -> None:
        ordered = accounts if number % 2 else accounts[::-1]
        post(*(charge(account, "0.1", f"{number}-{account.id}") for account in ordered))

    at_once(batch, times=160)  # a deadlock would surface as an OperationalError: nothing here repeats

    assert [read_account(account.id).balance for account in accounts] == [84] * 4
    assert_books_clean(LEDGER_CHECKS)


def test_money_is_conserved_in_every_snapshot_while_it_moves() -> None:
    accounts = [funded_account("100") for _ in range(3)]
    watched = threading.Event()

    def move_until_watched(writer: int) -> int:
        calls = 0
        while not watched.is_set():
            post(charge(accounts[(writer + calls) % 3], "0.3", f"call-{writer}-{calls}"))
            calls += 1
        return calls

    def watch(_: int) -> list[dict[int, tuple[str, ...]]]:
        try:
            return [broken_invariants(LEDGER_CHECKS) for _ in range(10)]
        finally:
            watched.set()

    with ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(at_once, watch, times=1, threads=1)
        calls = sum(at_once(move_until_watched, times=8, threads=8))

    assert watcher.result() == [[{}] * 10]
    assert calls > 10
    assert sum(read_account(account.id).balance for account in accounts) == 300 - calls * Decimal("0.3")


def test_a_transaction_chosen_as_deadlock_victim_is_repeated_as_a_whole() -> None:
    low, high = funded_account("10"), funded_account("10")
    locked, low_is_locked, attempts, pids = threading.Event(), threading.Event(), [], []

    def lock_in_reverse() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '60s'")  # so that the other side is the victim
                cursor.execute("SELECT pg_backend_pid()")
                pids.extend(cursor.fetchone())
                cursor.execute("SELECT FROM ledger_billingaccount WHERE id = %s FOR UPDATE", [high.id])
                locked.set()
                low_is_locked.wait(10)
                cursor.execute("SELECT FROM ledger_billingaccount WHERE id = %s FOR UPDATE", [low.id])
        finally:
            connection.close()

    def other_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", pids)
            return bool(cursor.fetchone()[0])

    @transaction.atomic(durable=True)
    def charge_both() -> list[Posted]:
        attempts.append(1)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '20ms'")  # one look, so the other must wait before we do
            cursor.execute("SELECT FROM ledger_billingaccount WHERE id = %s FOR NO KEY UPDATE", [low.id])
        low_is_locked.set()
        if len(attempts) == 1:
            wait_until(other_waits, what="the other to wait for the lower wallet")
        return post_transfers([charge(low, "1", "a"), charge(high, "1", "b")])

    other = threading.Thread(target=lock_in_reverse)
    other.start()
    assert locked.wait(10)

    posted = repeated(charge_both, seconds=30)
    other.join()

    assert len(attempts) == 2
    assert [receipt.balance for receipt in posted] == [9, 9]
    assert_books_clean(LEDGER_CHECKS)


def test_a_locked_wallet_is_given_up_after_two_seconds_and_nothing_moved() -> None:
    account = funded_account("10")
    locked, finish = threading.Event(), threading.Event()

    def lock() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT FROM ledger_billingaccount WHERE id = %s FOR UPDATE", [account.id])
                locked.set()
                finish.wait(10)
        finally:
            connection.close()

    other = threading.Thread(target=lock)
    other.start()
    assert locked.wait(10)
    before = ledger_fingerprint()

    with pytest.raises(OperationalError) as refusal:
        top_up(Funding(account.accno, Decimal(5), "bank 1", NOON))
    finish.set()
    other.join()

    assert sqlstate(refusal.value) == "55P03"
    assert ledger_fingerprint() == before


def contender(account: Account, name: str, times: int, **env: str) -> Errand:
    return send(["-m", "tests.ledger.contender", str(account.id), name, str(times)], env=env)


def test_processes_together_pay_exactly_what_there_is() -> None:
    account = funded_account("150")

    contenders = [contender(account, f"process {number}", 60) for number in range(4)]
    passed = [int(process.end()[1]) for process in contenders]

    assert sum(passed) == 150
    assert (read_account(account.id).balance, Transfer.objects.filter(cause_type="order").count()) == (0, 150)
    assert_books_clean(LEDGER_CHECKS)


def test_a_process_killed_after_the_balance_moved_leaves_nothing_of_its_transaction() -> None:
    account = funded_account("150")

    killed = contender(account, "fragile", 5, FAILPOINTS="ledger.posting.after_balance:kill9@3")
    ended, _ = killed.end()
    left = read_account(account.id).balance
    assert_books_clean(LEDGER_CHECKS)
    again = contender(account, "fragile", 5)

    assert ended == -9
    assert left == 148
    assert again.end()[1].strip() == "5"
    assert read_account(account.id).balance == 145
    assert_books_clean(LEDGER_CHECKS)


def test_one_top_up_from_many_doors_at_once_is_one() -> None:
    account = funded_account()
    paid = Funding(account.accno, Decimal(5), "bank 1", NOON)

    at_once(lambda _: repeated(partial(top_up, paid), seconds=20), times=48)

    assert read_account(account.id).balance == 5
