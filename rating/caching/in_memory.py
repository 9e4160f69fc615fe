"""The versions that this process has at hand, within RATING_COMPILED_CACHE_MB. Thread-safe.

A small version is compiled at once. A large one answers on demand - head by head - while a thread compiles it, and from
then on everybody who holds it has the whole of it; when room is needed, the one that nobody has asked for longest
answers on demand again. Who holds a version need not know.
"""

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connections

from billing_platform import metrics
from rating.caching.on_demand import OnDemand
from rating.caching.stored import StoredVersion
from rating.compiled import CompiledVersion
from rating.errors import DeckUnknown
from rating.models import DeckVersion
from rating.versions import LASTING

SMALL_ROWS = 2_000  # compiled in less than the time that a call may wait
ROW_BYTES, TERM_BYTES = 280, 1_700  # a row on a prefix of its own, and distinct terms: measured on 300,000 prefixes
VERSIONS_MAX = 256
TURN_SECONDS = 0.0005  # while a thread compiles, calls get their turn ten times as soon as usual
AGAIN_SECONDS = 600.0  # what had to make room is not compiled again at once: it would only drive out the next
RETRY_SECONDS = 10.0  # nor what could not be compiled
_log = logging.getLogger(__name__)


class CompiledVersions:
    """Published versions by id. `calendar` tells the calendar's revision."""

    def __init__(self, calendar: Callable[[], int]) -> None:
        self._calendar = calendar
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, _Kept] = OrderedDict()  # least recently asked for first
        self._wanted: list[_Kept] = []
        self._compiler: threading.Thread | None = None

    def at_hand(self, version_id: int) -> CompiledVersion:
        """The version, without waiting for a large one to be compiled. Raises DeckUnknown."""
        kept = self._find(version_id)
        metrics.rate_cache.labels("process", "hit" if kept.is_whole else "miss").inc()
        if not kept.is_whole:
            if kept.is_small:
                self._fill(kept)
            else:
                self._want(kept)
        return kept.compiled

    def load(self, version_id: int) -> CompiledVersion:
        """The version, compiled now when it is not; for those who will read most of it. Raises DeckUnknown."""
        kept = self._find(version_id)
        if not kept.is_whole:
            self._fill(kept)
        return kept.compiled

    def cold(self) -> list[CompiledVersion]:
        """Those that answer on demand."""
        with self._lock:
            return [kept.compiled for kept in self._kept.values() if not kept.is_whole]

    def _find(self, version_id: int) -> "_Kept":
        with self._lock:
            kept = self._kept.get(version_id)
            if kept is not None:
                self._kept.move_to_end(version_id)
                return kept
        found = _Kept(_read_version(version_id), calendar=self._calendar, want=self._want)
        with self._lock:
            kept = self._kept.setdefault(version_id, found)
            self._make_room(kept)
        return kept

    def _fill(self, kept: "_Kept") -> None:
        kept.fill()
        with self._lock:
            self._make_room(kept)

    def _make_room(self, needed: "_Kept") -> None:
        limit, total = settings.RATING_COMPILED_CACHE_MB * 2**20, sum(kept.bytes for kept in self._kept.values())
        for version_id, kept in list(self._kept.items()):
            if kept is needed or (total <= limit and len(self._kept) <= VERSIONS_MAX):
                continue
            total -= kept.bytes
            kept.empty()
            if len(self._kept) > VERSIONS_MAX:
                del self._kept[version_id]
        metrics.deck_bytes.set(total)

    def _want(self, kept: "_Kept") -> None:
        """Have it compiled by a thread; at most one compiles, so that calls keep most of the processor."""
        with self._lock:
            if kept in self._wanted or time.monotonic() < kept.not_before:
                return
            self._wanted.append(kept)
            if self._compiler is None or not self._compiler.is_alive():  # a fork leaves no thread behind
                self._compiler = threading.Thread(target=self._compile_wanted, name="deck compiler", daemon=True)
                self._compiler.start()

    def _compile_wanted(self) -> None:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(TURN_SECONDS)
        try:
            while (kept := self._next_wanted()) is not None:
                self._compile_if_committed(kept)
                with self._lock:
                    self._wanted.remove(kept)
        finally:
            sys.setswitchinterval(usual)
            connections.close_all()

    def _next_wanted(self) -> "_Kept | None":
        with self._lock:
            if not self._wanted:
                self._compiler = None
            return self._wanted[0] if self._wanted else None

    def _compile_if_committed(self, kept: "_Kept") -> None:
        """What another transaction has not committed, this thread cannot see."""
        kept.not_before = time.monotonic() + RETRY_SECONDS
        try:
            if kept.is_committed():
                self._fill(kept)
        except Exception:  # noqa: BLE001 - the thread's outermost loop: prices are found without it
            _log.exception("a deck version could not be compiled")


class _Kept:
    """A version, and how much of it is in memory."""

    def __init__(self, version: DeckVersion, *, calendar: Callable[[], int], want: Callable[["_Kept"], None]) -> None:
        self._version, self._stored = version, StoredVersion(version)
        self._calendar, self._want = calendar, want
        self._lock = threading.Lock()
        self._on_demand: OnDemand | None = self._nothing()
        self._whole_bytes = 0
        self.compiled: CompiledVersion = self._stored.compiled(self._on_demand.content())
        self.not_before = float("-inf")  # for compiling in the background

    @property
    def is_whole(self) -> bool:
        return self._on_demand is None

    @property
    def is_small(self) -> bool:
        return self._version.row_count <= SMALL_ROWS

    @property
    def bytes(self) -> int:
        on_demand = self._on_demand
        return self._whole_bytes if on_demand is None else on_demand.row_count * ROW_BYTES

    def is_committed(self) -> bool:
        return DeckVersion.objects.filter(pk=self._version.pk, state__in=LASTING).exists()

    def fill(self) -> None:
        """Have the whole of it. Raises what the database raises."""
        with self._lock:  # one thread compiles; the others would only do the same
            if self._on_demand is None:
                return
            with metrics.deck_compile.time():
                content = self._stored.whole()
            rows = sum(len(group.rate_ids) for group in content.rows.values())
            self._whole_bytes = rows * ROW_BYTES + self._stored.distinct_terms * TERM_BYTES
            self.compiled.content.become(content)
            self._on_demand = None
            self._stored.forget()

    def empty(self) -> None:
        """Keep nothing of it; not while it is being compiled."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._on_demand is None:
                self.not_before = time.monotonic() + AGAIN_SECONDS
            self._on_demand = self._nothing()
            self.compiled.content.become(self._on_demand.content())
        finally:
            self._lock.release()

    def _nothing(self) -> OnDemand:
        return OnDemand(self._stored, calendar=self._calendar, missed=partial(self._want, self))


def _read_version(version_id: int) -> DeckVersion:
    version = DeckVersion.objects.select_related("deck__carrier").filter(pk=version_id).first()
    if version is None:
        raise DeckUnknown(version_id=version_id)
    return version
