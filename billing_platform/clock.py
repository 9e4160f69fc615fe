"""The only clock: database time, read through a monotonic counter, so that a wrong wall clock changes nothing.

A process asks the database once every 10 s and adds what its monotonic clock says since; while the database is away
the last answer goes on. In TEST_MODE the instant may be set.

Two processes' clocks stand apart by what their questions were on the way, milliseconds on a machine that keeps up.
Within a process time does not go back by so little: what ends here did not end before it began.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

RESYNC_SECONDS = 10.0
QUESTIONS_MAX = 3  # of one look
QUICK_SECONDS = 0.005  # so quick an answer is exact enough; after a slower one the question is asked again
BACK_MAX = timedelta(seconds=1)  # by more than that only the server's own clock goes back: it is followed


class _Look(NamedTuple):
    """A database instant and the monotonic reading beside it; nothing before `told` is told.

    Replaced and read as one: the instant of one look with the reading of the next would be ten seconds behind.
    """

    instant: datetime
    reading: float
    told: datetime

    def now(self) -> datetime:
        return max(self.instant + timedelta(seconds=monotonic() - self.reading), self.told)


class _Sync:
    """What this process knows of the time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.look: _Look | None = None
        self.set_to: datetime | None = None


_sync = _Sync()


def _database_instant() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (instant,) = cursor.fetchone()
    return instant  # type: ignore[no-any-return]  # psycopg2 has no types for rows


def _quickest_answer() -> tuple[float, datetime, float]:
    """Of at most three: the seconds that it took, what it says, and the reading in the middle."""
    answers = []
    connection.ensure_connection()  # its time is not the query's
    for _ in range(QUESTIONS_MAX):
        started = monotonic()
        instant = _database_instant()
        took = monotonic() - started
        answers.append((took, instant.astimezone(UTC), started + took / 2))
        if took <= QUICK_SECONDS:
            break
    return min(answers)


def _resync() -> None:
    try:
        took, instant, reading = _quickest_answer()
    except (DatabaseError, InterfaceError):
        if _sync.look is None:  # never synchronised: the wall clock is all there is
            instant = datetime.fromtimestamp(time.time(), UTC)
            _sync.look = _Look(instant, monotonic(), instant)
        return
    _sync.look = _going_on(_Look(instant, reading, instant), error=timedelta(seconds=took) / 2)


def _going_on(look: _Look, *, error: timedelta) -> _Look:
    """The database's answer, moved towards what was told until now as far as the way there and back allows.

    So a slow answer is no step, and a small one back is none either: what happened before, here, stays before.
    """
    earlier = _sync.look
    if earlier is None:
        return look
    told = earlier.instant + timedelta(seconds=look.reading - earlier.reading)
    moved = look._replace(instant=min(max(told, look.instant - error), look.instant + error))
    return moved._replace(told=earlier.now() if earlier.now() - moved.now() < BACK_MAX else moved.instant)


def now() -> datetime:
    """The present instant, aware, UTC; accurate to the round trip of one query."""
    if (set_to := _sync.set_to) is not None:
        return set_to
    look = _sync.look
    if look is None or monotonic() - look.reading > RESYNC_SECONDS:
        with _sync.lock:
            if _sync.look is None or monotonic() - _sync.look.reading > RESYNC_SECONDS:
                _resync()
            look = _sync.look
    assert look is not None
    return look.now()


def set_test_instant(at: datetime | None) -> None:
    """Stop this process's clock at an instant, or let it run again. Raises RuntimeError outside TEST_MODE."""
    if not settings.TEST_MODE:
        raise RuntimeError("the test clock exists in TEST_MODE only")
    assert at is None or at.tzinfo is not None
    _sync.set_to = at
