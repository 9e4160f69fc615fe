"""Group commit: concurrent requests of one process are gathered into one batch, committed together, answered alone.

The threads that ask wait; a few committer threads with connections of their own take what is queued. A batch costs
as much as many of its items: a committer waits a moment for those who were there lately; one alone waits for nobody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import close_old_connections

from billing_platform.errors import Unavailable

SPARE_FROM = 0.25  # share of a full batch that is taken at once
WAIT_SECONDS = 0.002  # for the others, while nobody commits
WAIT_BESIDE_SECONDS = 0.05  # the same while a neighbour commits: it will be there first, unless it is stuck
CROWD = 8  # fewer have one committer, which waits for none of them: what comes meanwhile goes together
FORGOTTEN = 0.1  # share of those who were there lately that each batch forgets

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Waiting(Generic[Item, Outcome]):
    __slots__ = ("done", "item", "outcome", "since", "weight")

    def __init__(self, item: Item, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.since = time.monotonic()
        self.done = threading.Lock()  # a bare lock wakes faster than an Event
        self.done.acquire()
        self.outcome: Outcome | BaseException | None = None


class Gatherer(Generic[Item, Outcome]):
    """Feeds `commit(items) -> outcomes` (same length, same order) with batches of at most `weight_max`.

    `commit` answers each item; when it raises, every item of that batch gets the exception. Whoever was answered
    together asks again together, one by one: each of `threads` committers waits until its share of them is queued, so
    that batches are large and overlap, one in the database while another is gathered.
    """

    def __init__(
        self, name: str, commit: Callable[[Sequence[Item]], Sequence[Outcome]], *, weight_max: int, threads: int
    ) -> None:
        self._name, self._commit, self._weight_max, self._threads = name, commit, weight_max, threads
        self._queue: deque[_Waiting[Item, Outcome]] = deque()
        self._state = threading.Condition()
        self._running: list[threading.Thread] = []
        self._stopping = False
        self._weight = 0  # of what is queued
        self._in_flight = 0  # items that are being committed
        self._around = 0.0  # items queued and in flight at once, lately

    def submit(self, item: Item, *, weight: int = 1, timeout: float = 30.0) -> Outcome:
        """The item's own outcome. Raises Unavailable while stopping, or when no answer came in `timeout` seconds."""
        waiting: _Waiting[Item, Outcome] = _Waiting(item, weight)
        with self._state:
            if self._stopping:
                raise Unavailable("stopping")
            self._start_threads()
            self._queue.append(waiting)
            self._weight += weight
            if len(self._queue) == 1 or self._is_enough():
                self._state.notify()
        if not waiting.done.acquire(timeout=timeout):
            raise Unavailable("no outcome in time; repeat the same content")
        if isinstance(waiting.outcome, BaseException):
            raise waiting.outcome
        return waiting.outcome  # type: ignore[return-value]  # set before the lock is released

    def stop(self, *, timeout: float) -> bool:
        """Take nothing new, finish what is queued; True when all of it ended within `timeout` seconds."""
        with self._state:
            self._stopping = True
            self._state.notify_all()
        for thread in self._running:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._running)

    def _start_threads(self) -> None:
        if not self._running:  # in the process that serves, never before its fork
            self._running = [
                threading.Thread(target=self._run, name=f"{self._name}-{n}", daemon=True) for n in range(self._threads)
            ]
            for thread in self._running:
                thread.start()

    def _is_enough(self) -> bool:
        """Is as much queued as a committer should take: its share of the crowd, or of a full batch?"""
        if self._weight >= self._weight_max * SPARE_FROM:
            return True
        if self._around < CROWD:
            return not self._in_flight
        return len(self._queue) * self._threads >= self._around

    def _pause(self) -> float | None:
        """Seconds until what is queued is to be taken; None while nothing is."""
        if not self._queue or self._is_enough():
            return 0.0 if self._queue else None
        patience = WAIT_BESIDE_SECONDS if self._in_flight else WAIT_SECONDS
        return self._queue[0].since + patience - time.monotonic()

    def _take(self) -> list[_Waiting[Item, Outcome]]:
        with self._state:
            while not self._stopping and ((pause := self._pause()) is None or pause > 0):
                self._state.wait(pause)
            self._around = max(len(self._queue) + self._in_flight, self._around * (1 - FORGOTTEN))
            batch: list[_Waiting[Item, Outcome]] = []
            weight = 0
            while self._queue and (not batch or weight + self._queue[0].weight <= self._weight_max):
                batch.append(self._queue.popleft())
                weight += batch[-1].weight
            self._weight -= weight
            self._in_flight += len(batch)
            if self._queue:
                self._state.notify()
            return batch

    def _run(self) -> None:
        while self._commit_next():  # a call of its own: a large batch is not kept while waiting for the next one
            pass

    def _commit_next(self) -> bool:
        """Take a batch, commit it, answer each; False when there is no more to come."""
        batch = self._take()
        if not batch:
            return False
        close_old_connections()
        try:
            outcomes: Sequence[Outcome | BaseException] = self._commit([waiting.item for waiting in batch])
            assert len(outcomes) == len(batch), f"{self._name}: an outcome for each item"
        except BaseException as error:  # noqa: BLE001  outermost loop of this thread: each waiting request gets it
            outcomes = [error] * len(batch)
        with self._state:
            self._in_flight -= len(batch)
            self._state.notify()  # what came meanwhile has less patience now
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.outcome = outcome
            waiting.done.release()
        return True
