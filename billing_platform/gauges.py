"""What the database knows for `/metrics`: each room's readings, bounded in time, and kept for some seconds.

A room that cannot answer in time has no readings: no figure is better than an old one that looks new.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from django.db import DatabaseError, InterfaceError, transaction

from billing_platform import registry
from billing_platform.metrics import Reading
from billing_platform.transactions import is_cut, limit_waiting

BUDGET_SECONDS = 0.2  # for all rooms together: a scrape ends in 0.3 s
KEPT_SECONDS = 10.0
_log = logging.getLogger(__name__)


class _Kept:
    """The last readings of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readings: Sequence[Reading] = ()
        self.read_at = float("-inf")


_kept = _Kept()


def readings() -> Sequence[Reading]:
    """The readings of all rooms, at most 10 s old."""
    with _kept.lock:
        if time.monotonic() - _kept.read_at > KEPT_SECONDS:
            _kept.readings, _kept.read_at = _read_all(), time.monotonic()
        return _kept.readings


def forget() -> None:
    """Read anew at the next question."""
    _kept.read_at = float("-inf")


def _read_all() -> list[Reading]:
    until = time.monotonic() + BUDGET_SECONDS
    found: list[Reading] = []
    for name, read in zip(registry.GAUGES, registry.resolve(registry.GAUGES), strict=True):
        left = until - time.monotonic()
        if left <= 0:
            _log.warning("no time left to read %s", name)
            break
        try:
            found += _read(read, seconds=left)
        except (DatabaseError, InterfaceError) as error:
            _log.warning("no readings from %s: %s", name, type(error).__name__)
            if not isinstance(error, DatabaseError) or is_cut(error):
                break  # nobody answers: asking again for each room would only make the scrape late
    return found


def _read(read: Callable[[], Sequence[Reading]], *, seconds: float) -> Sequence[Reading]:
    with transaction.atomic():  # for the limit, which ends with it
        limit_waiting(lock_seconds=seconds, statement_seconds=seconds)
        answer = read()
        transaction.set_rollback(True)
    return answer
