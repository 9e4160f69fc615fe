"""A version of which a process has only what it was asked for: one head of numbers at a time, whole heads always.

The mappings of such a content answer like those of a compiled version, prefix by prefix and to the last digit; only the
first question about a head waits, for one look into Valkey or one indexed query.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

from django.db.models import Q

from billing_platform import metrics
from rating.caching.hot import find_hot, keep_hot
from rating.caching.stored import StoredRow, StoredVersion, rows_on
from rating.compiled import Candidates, CompiledVersion, Content, Disabled, Rows
from rating.models import DeckVersion
from rating.terms import RAW
from rating.versions import rates_of

HEAD = 7  # characters: a mobile network's block, or an area and the exchange's first digits
HEAD_ROWS_MAX = 2_000  # a head with more is asked for number by number
ROWS_MAX = 20_000  # then what is known is forgotten; by far more than a process needs until the version is compiled
PREFIX_MAX = 40
_AFTER_ALL_DIGITS = "z"  # whatever the database's collation

_T = TypeVar("_T")


class _Known:
    """What was fetched: the heads, and the prefixes beside them. Grows only; replaced as a whole when it is too large,
    so that nobody who reads it misses what he just found."""

    def __init__(self) -> None:
        self.heads: set[str] = set()
        self.prefixes: set[str] = set()
        self.candidates: dict[str, Candidates] = {}
        self.rows: dict[str, Rows] = {}
        self.disabled: dict[str, Disabled] = {}
        self.row_count = 0

    def covers(self, prefix: str) -> bool:
        return prefix in self.prefixes or prefix[:HEAD] in self.heads

    def add(self, content: Content, *, heads: Sequence[str], prefixes: Sequence[str]) -> None:
        """The content first: who finds a head covered finds its rows."""
        self.disabled.update(content.disabled)
        self.rows.update(content.rows)
        self.candidates.update(content.candidates)
        self.prefixes.update(prefixes)
        self.heads.update(heads)


class OnDemand:
    """The rows of a stored version, fetched when a prefix is asked for. Thread-safe.

    `calendar` tells the revision that hot rules are kept under, None keeps none (a draft may change); `missed` is
    called whenever something had to be fetched.
    """

    def __init__(
        self, stored: StoredVersion, *, calendar: Callable[[], int] | None, missed: Callable[[], None]
    ) -> None:
        self._stored, self._calendar, self._missed = stored, calendar, missed
        self._lock = threading.Lock()
        self._known = _Known()
        self._wide: set[str] = set()

    @property
    def row_count(self) -> int:
        """How many rows are in memory."""
        return self._known.row_count

    def content(self) -> Content:
        """The version's content, as far as anybody can tell."""
        return Content(
            _View[Candidates](self, "candidates", enabled=True),
            _View[Rows](self, "rows", enabled=True),
            _View[Disabled](self, "disabled", enabled=False),
            ({}, tuple(range(PREFIX_MAX, -1, -1))),
        )

    def known(self, prefix: str) -> _Known:
        """What is known, with everything about this prefix. Raises what the database raises."""
        known = self._known
        if known.covers(prefix):
            return known
        self._missed()
        head = prefix[:HEAD]
        if len(head) == HEAD and head not in self._wide and self._stored.shared.head.numbering != RAW:
            rows = self._find_rows(head)
            if len(rows) <= HEAD_ROWS_MAX:
                return self._add(rows, heads=[head], prefixes=_beginnings(head))
            self._wide.add(head)
        prefixes = _beginnings(prefix)
        return self._add(self._read(Q(key__in=prefixes)), heads=[], prefixes=prefixes)

    def prefixes(self, *, enabled: bool) -> Iterator[str]:
        """All prefixes that have enabled, or disabled, rows."""
        rates = rates_of(self._stored.version).filter(enabled=enabled).order_by()
        return iter(rates.values_list("key", flat=True).distinct())

    def _find_rows(self, head: str) -> list[StoredRow]:
        if self._calendar is None:
            return self._read_head(head)
        name, calendar = self._stored.name, self._calendar()
        rows = find_hot(name, calendar, head)
        if rows is None:
            rows = self._read_head(head)
            if len(rows) <= HEAD_ROWS_MAX:
                keep_hot(name, calendar, head, rows)
        return rows

    def _read_head(self, head: str) -> list[StoredRow]:
        """The rows on a head's own beginnings and on everything that begins with it, one more than there may be."""
        beyond = Q(key__gte=head, key__lte=head + _AFTER_ALL_DIGITS)
        return self._read(Q(key__in=_beginnings(head)) | beyond, at_most=HEAD_ROWS_MAX + 1)

    def _read(self, which: Q, *, at_most: int | None = None) -> list[StoredRow]:
        rows = rows_on(self._stored.version, which, at_most=at_most)
        metrics.rate_cache.labels("database", "hit" if rows else "miss").inc()
        return rows

    def _add(self, rows: Sequence[StoredRow], *, heads: Sequence[str], prefixes: Sequence[str]) -> _Known:
        content = self._stored.part(rows)
        with self._lock:
            if self._known.row_count > ROWS_MAX:
                self._known = _Known()
            known = self._known
            known.add(content, heads=heads, prefixes=prefixes)
            known.row_count += len(rows)
        return known


def on_demand(version: DeckVersion) -> CompiledVersion:
    """A version looked at aside, drafts too: nothing of it is kept for others, and no thread compiles it."""
    stored = StoredVersion(version)
    return stored.compiled(OnDemand(stored, calendar=None, missed=_tell_nobody).content())


def _tell_nobody() -> None:
    """Nothing compiles this version meanwhile."""


class _View(Mapping[str, _T]):
    """One of the content's mappings."""

    def __init__(self, source: OnDemand, name: str, *, enabled: bool) -> None:
        self._source, self._of, self._enabled = source, attrgetter(name), enabled

    def __getitem__(self, prefix: str) -> _T:
        found: _T = self._of(self._source.known(prefix))[prefix]
        return found

    def __iter__(self) -> Iterator[str]:
        return self._source.prefixes(enabled=self._enabled)

    def __len__(self) -> int:
        return sum(1 for _ in self._source.prefixes(enabled=self._enabled))


def _beginnings(text: str) -> list[str]:
    return [text[:size] for size in range(len(text) + 1)]
