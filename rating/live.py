"""What this process knows of the present: generation numbers, the calendar, compiled versions. Thread-safe.

Triggers raise a topic's number whenever prices may have changed; a process looks at the numbers at most once a second
and forgets what has moved. Compiled versions are immutable and stay, least recently used out first.
"""

import threading
import time
from collections import OrderedDict

from django.conf import settings

from rating.compiled import CompiledVersion
from rating.errors import DeckUnknown
from rating.models import CalendarDay, DeckVersion, Generation
from rating.timetable import Calendar
from rating.versions import compiled

CHECK_SECONDS = 1.0
ROW_BYTES = 450  # a compiled row with its share of the dicts, measured on decks of 100,000 rows
COUNTRY = "CN"


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


class CompiledVersions:
    """Compiled versions by id, within RATING_COMPILED_CACHE_MB; the one asked for is always kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, CompiledVersion] = OrderedDict()
        self._bytes: dict[int, int] = {}

    def load(self, version_id: int) -> CompiledVersion:
        """The version, compiled now when it is not kept. Raises DeckUnknown."""
        found = self._kept.get(version_id)
        if found is not None:
            return found
        with self._lock:  # one thread compiles; the others would only do the same
            found = self._kept.get(version_id) or self._compile(version_id)
            self._kept[version_id] = found
            self._make_room()
        return found

    def _compile(self, version_id: int) -> CompiledVersion:
        version = DeckVersion.objects.select_related("deck__carrier").filter(pk=version_id).first()
        if version is None:
            raise DeckUnknown(version_id=version_id)
        self._bytes[version_id] = 20_000 + version.row_count * ROW_BYTES
        return compiled(version)

    def _make_room(self) -> None:
        limit = settings.RATING_COMPILED_CACHE_MB * 2**20
        while len(self._kept) > 1 and sum(self._bytes[version_id] for version_id in self._kept) > limit:
            oldest, _ = self._kept.popitem(last=False)
            del self._bytes[oldest]


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


def read_calendar(revision: int) -> Calendar:
    """The calendar as stored."""
    rows = list(CalendarDay.objects.filter(country=COUNTRY).values_list("date", "day_class", "provisional"))
    return Calendar(
        revision=revision,
        days={day: str(day_class) for day, day_class, _ in rows},
        provisional=frozenset(day for day, _, provisional in rows if provisional),
    )


generations = Generations()
compiled_versions = CompiledVersions()
calendars = Calendars()
