"""The only clock: database time, read through a monotonic counter, so that a wrong wall clock changes nothing.

A process asks the database once every 10 s and adds what its monotonic clock says since; while the database is away
the last answer goes on. In TEST_MODE the instant may be set.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

RESYNC_SECONDS = 10.0


class _Sync:
    """The last database instant and the monotonic reading beside it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.instant: datetime | None = None
        self.reading = 0.0
        self.set_to: datetime | None = None


_sync = _Sync()


def _database_instant() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (instant,) = cursor.fetchone()
    return instant  # type: ignore[no-any-return]  # psycopg2 has no types for rows


def _resync() -> None:
    try:
        connection.ensure_connection()  # its time is not the query's
        started = monotonic()
        instant = _database_instant()
    except (DatabaseError, InterfaceError):
        if _sync.instant is None:  # never synchronised: the wall clock is all there is
            _sync.instant, _sync.reading = datetime.fromtimestamp(time.time(), UTC), monotonic()
        return
    _sync.instant, _sync.reading = instant.astimezone(UTC), (started + monotonic()) / 2


def now() -> datetime:
    """The present instant, aware, UTC; accurate to the round trip of one query."""
    if _sync.set_to is not None:
        return _sync.set_to
    if _sync.instant is None or monotonic() - _sync.reading > RESYNC_SECONDS:
        with _sync.lock:
            if _sync.instant is None or monotonic() - _sync.reading > RESYNC_SECONDS:
                _resync()
    assert _sync.instant is not None
    return _sync.instant + timedelta(seconds=monotonic() - _sync.reading)


def set_test_instant(at: datetime | None) -> None:
    """Stop this process's clock at an instant, or let it run again. Raises RuntimeError outside TEST_MODE."""
    if not settings.TEST_MODE:
        raise RuntimeError("the test clock exists in TEST_MODE only")
    assert at is None or at.tzinfo is not None
    _sync.set_to = at
