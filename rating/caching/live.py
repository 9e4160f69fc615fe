"""What this process knows of the present: generation numbers, the calendar, compiled versions. Thread-safe.

Triggers raise a topic's number whenever prices may have changed, in the transaction that changes them; a process looks
at the numbers at most once a second and forgets what has moved. It looks in the database: three rows a second are no
load, nothing is written twice, and no outage of Valkey can hold back a price. A version is published at least five
seconds ahead, so every process knows it in time.
"""

import threading
import time
from functools import partial

from rating.caching.in_memory import CompiledVersions
from rating.calendar import read_calendar
from rating.models import Generation
from rating.timetable import Calendar

CHECK_SECONDS = 1.0


class Generations:
    """The numbers of all topics as last seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._seen_at = float("-inf")

    def number(self, topic: str) -> int:
        """The topic's number, at most a second old."""
        if time.monotonic() - self._seen_at >= CHECK_SECONDS:
            self._look()
        return self._numbers[topic]

    def forget(self) -> None:
        """Look again at the next question."""
        self._seen_at = float("-inf")

    def _look(self) -> None:
        if not self._lock.acquire(blocking=not self._numbers):
            return  # another thread is looking; what was seen a moment ago will do
        try:
            if time.monotonic() - self._seen_at >= CHECK_SECONDS:
                seen_at = time.monotonic()  # before the query: what moves meanwhile is found next time
                self._numbers = dict(Generation.objects.values_list("topic", "number"))
                self._seen_at = seen_at
        finally:
            self._lock.release()


class Calendars:
    """The calendar of the present revision."""

    def __init__(self) -> None:
        self._kept = (-1, Calendar())

    def current(self) -> Calendar:
        """The days as they are known now; the revision is the topic's generation number."""
        revision = generations.number("calendar")
        if self._kept[0] != revision:
            self._kept = revision, read_calendar(revision)
        return self._kept[1]


generations = Generations()
compiled_versions = CompiledVersions(calendar=partial(generations.number, "calendar"))
calendars = Calendars()
