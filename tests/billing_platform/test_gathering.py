"""Group commit: what is queued together is committed together, and each is answered alone."""

import threading
from collections.abc import Sequence

import pytest

from billing_platform import gathering
from billing_platform.errors import Unavailable
from billing_platform.gathering import Gatherer


class Counter:
    """A commit that doubles numbers, remembers its batches, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()

    def commit(self, items: Sequence[int]) -> Sequence[int]:
        self.entered.release()
        assert self.open.wait(60)
        self.batches.append(list(items))
        if 13 in items:
            raise ValueError("thirteen")
        return [item * 2 for item in items]


@pytest.fixture
def counter() -> Counter:
    return Counter()


def ask_all(gatherer: "Gatherer[int, int]", items: Sequence[int], *, weight: int = 1) -> dict[int, object]:
    """Submit each in a thread of its own; the outcome or the exception of each."""
    outcomes: dict[int, object] = {}

    def ask(item: int) -> None:
        try:
            outcomes[item] = gatherer.submit(item, weight=weight, timeout=60)
        except (ValueError, Unavailable) as error:
            outcomes[item] = error

    threads = [threading.Thread(target=ask, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    outcomes[-1] = threads
    return outcomes


def join(outcomes: dict[int, object]) -> None:
    for thread in outcomes.pop(-1):  # type: ignore[attr-defined]
        thread.join(60)


def wait_for_queue(gatherer: "Gatherer[int, int]", length: int) -> None:
    settled = threading.Event()
    for _ in range(12_000):
        if len(gatherer._queue) == length:
            return
        settled.wait(0.005)
    raise AssertionError(f"queue has {len(gatherer._queue)}, not {length}")


def test_one_request_is_a_batch_of_one(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=10, threads=1)

    assert gatherer.submit(21) == 42
    assert counter.batches == [[21]]


def test_what_waits_while_one_commits_goes_together_and_each_gets_its_own(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=100, threads=1)
    counter.open.clear()
    first = ask_all(gatherer, [0])
    assert counter.entered.acquire(timeout=60)
    others = ask_all(gatherer, range(100, 140))
    wait_for_queue(gatherer, 40)

    counter.open.set()
    join(first)
    join(others)

    assert [len(batch) for batch in counter.batches] == [1, 40]
    assert others == {item: item * 2 for item in range(100, 140)}


def test_those_who_came_together_are_waited_for(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WAIT_SECONDS", 60.0)
    gatherer = Gatherer("test", counter.commit, weight_max=100, threads=1)
    counter.open.clear()
    first = ask_all(gatherer, [0])
    assert counter.entered.acquire(timeout=60)
    others = ask_all(gatherer, range(1, 9))
    wait_for_queue(gatherer, 8)
    counter.open.set()
    join(first)
    join(others)

    some = ask_all(gatherer, range(20, 23))
    wait_for_queue(gatherer, 3)
    rest = ask_all(gatherer, range(30, 35))
    join(some)
    join(rest)

    assert [len(batch) for batch in counter.batches] == [1, 8, 8]


def test_nobody_is_waited_for_longer_than_a_moment(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=100, threads=1)
    counter.open.clear()
    first = ask_all(gatherer, [0])
    assert counter.entered.acquire(timeout=60)
    others = ask_all(gatherer, range(1, 9))
    wait_for_queue(gatherer, 8)
    counter.open.set()
    join(first)
    join(others)

    assert gatherer.submit(21) == 42
    assert counter.batches[-1] == [21]


def test_a_batch_is_bounded_by_weight_and_a_heavy_one_goes_alone(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=10, threads=1)
    counter.open.clear()
    first = ask_all(gatherer, [0])
    assert counter.entered.acquire(timeout=60)
    others = ask_all(gatherer, range(1, 6), weight=4)
    wait_for_queue(gatherer, 5)
    heavy = ask_all(gatherer, [9], weight=1000)
    wait_for_queue(gatherer, 6)

    counter.open.set()
    for outcomes in (first, others, heavy):
        join(outcomes)

    assert [len(batch) for batch in counter.batches] == [1, 2, 2, 1, 1]
    assert heavy == {9: 18}


def test_a_commit_that_fails_fails_for_its_batch_and_for_nobody_else(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=10, threads=1)

    with pytest.raises(ValueError, match="thirteen"):
        gatherer.submit(13)

    assert gatherer.submit(14) == 28


def test_several_threads_commit_side_by_side(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=1, threads=3)
    counter.open.clear()
    outcomes = ask_all(gatherer, range(3))
    entered = [counter.entered.acquire(timeout=60) for _ in range(3)]

    counter.open.set()
    join(outcomes)

    assert entered == [True, True, True]
    assert outcomes == {0: 0, 1: 2, 2: 4}


def test_no_answer_in_time_is_unavailable(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=1, threads=1)
    counter.open.clear()

    with pytest.raises(Unavailable):
        gatherer.submit(1, timeout=0.05)

    counter.open.set()


def test_stopping_finishes_what_is_queued_and_takes_nothing_new(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=2, threads=1)
    counter.open.clear()
    first = ask_all(gatherer, [0])
    assert counter.entered.acquire(timeout=60)
    outcomes = ask_all(gatherer, range(1, 5))
    wait_for_queue(gatherer, 4)

    threading.Timer(0.05, counter.open.set).start()
    stopped = gatherer.stop(timeout=60)
    join(first)
    join(outcomes)

    assert stopped
    assert outcomes == {1: 2, 2: 4, 3: 6, 4: 8}
    with pytest.raises(Unavailable):
        gatherer.submit(6)


def test_stop_says_when_work_would_not_end(counter: Counter) -> None:
    gatherer = Gatherer("test", counter.commit, weight_max=1, threads=1)
    counter.open.clear()
    outcomes = ask_all(gatherer, [1])
    assert counter.entered.acquire(timeout=60)

    stopped = gatherer.stop(timeout=0.05)

    assert not stopped
    counter.open.set()
    join(outcomes)
