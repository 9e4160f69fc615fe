"""Group commit: concurrent requests of one process are gathered into one batch, committed together, answered alone.

The threads that ask wait; a few committer threads with connections of their own take whatever is queued - a request
that finds an idle committer is a batch of one and waits for nobody.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import close_old_connections

from billing_platform.errors import Unavailable

SPARE_FROM = 0.25  # share of a full batch from which a second committer is worth its overhead

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Waiting(Generic[Item, Outcome]):
    __slots__ = ("done", "item", "outcome", "weight")

    def __init__(self, item: Item, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.done = threading.Lock()  # a bare lock wakes faster than an Event
        self.done.acquire()
        self.outcome: Outcome | BaseException | None = None


class Gatherer(Generic[Item, Outcome]):
    """Feeds `commit(items) -> outcomes` (same length, same order) with batches of at most `weight_max`.

    `commit` answers each item; when it raises, every item of that batch gets the exception. One committer takes what
    there is; the others join only when a good part of a batch is waiting, so that small requests gather into one
    commit while a flood overlaps in several.
    """

    def __init__(
        self, name: str, commit: Callable[[Sequence[Item]], Sequence[Outcome]], *, weight_max: int, threads: int
    ) -> None:
        self._name, self._commit, self._weight_max, self._threads = name, commit, weight_max, threads
        self._queue: deque[_Waiting[Item, Outcome]] = deque()
        self._state = threading.Condition()
        self._running: list[threading.Thread] = []
        self._stopping = False
        self._busy = 0

    def submit(self, item: Item, *, weight: int = 1, timeout: float = 30.0) -> Outcome:
        """The item's own outcome. Raises Unavailable while stopping, or when no answer came in `timeout` seconds."""
        waiting: _Waiting[Item, Outcome] = _Waiting(item, weight)
        with self._state:
            if self._stopping:
                raise Unavailable("stopping")
            self._start_threads()
            self._queue.append(waiting)
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

    def _is_worth_taking(self) -> bool:
        """Something waits, and nobody is committing or enough waits for one more."""
        if not self._queue:
            return False
        return self._busy == 0 or sum(waiting.weight for waiting in self._queue) >= self._weight_max * SPARE_FROM

    def _take(self) -> list[_Waiting[Item, Outcome]]:
        with self._state:
            while not self._stopping and not self._is_worth_taking():
                self._state.wait()
            batch: list[_Waiting[Item, Outcome]] = []
            weight = 0
            while self._queue and (not batch or weight + self._queue[0].weight <= self._weight_max):
                batch.append(self._queue.popleft())
                weight += batch[-1].weight
            self._busy += bool(batch)
            return batch

    def _run(self) -> None:
        while batch := self._take():
            close_old_connections()
            try:
                outcomes: Sequence[Outcome | BaseException] = self._commit([waiting.item for waiting in batch])
                assert len(outcomes) == len(batch), f"{self._name}: an outcome for each item"
            except BaseException as error:  # noqa: BLE001  outermost loop of this thread: each waiting request gets it
                outcomes = [error] * len(batch)
            with self._state:
                self._busy -= 1
                self._state.notify()  # what came meanwhile may not wait for the next request
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.outcome = outcome
                waiting.done.release()
