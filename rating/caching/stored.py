"""The rows of a stored version, read in bulk and compiled: the whole of it, or what one number's head can meet.

Rows come as the database's own COPY text. Its second half, a row's terms, is what most rows share: each distinct text
is read once, whatever number of rows has it. The same text is what other layers keep of a row.
"""

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from rating.compiled import CompiledVersion, Content, Gathered, Shared, Term, version_of
from rating.models import DeckVersion
from rating.terms import RateTerms
from rating.timetable import instant_of
from rating.versions import CONTENT, bands_of, head_of, rates_of, read_tiers

_NOT_TERMS = ("prefix", "key", "destination", "cost_rate", "comment")
TERM_COLUMNS = tuple(name for name in CONTENT if name not in _NOT_TERMS)
_COLUMNS = ("id", "key", "destination", *TERM_COLUMNS)
MANY_ROWS = 20_000
_NULL = "\\N"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class StoredRow(NamedTuple):
    """A row; `terms` is COPY text of the columns of its terms."""

    rate_id: int
    key: str
    destination: str
    terms: str


class StoredVersion:
    """A version in the database, and what its rows share once they are compiled, in parts or as a whole."""

    def __init__(self, version: DeckVersion) -> None:
        self.version = version
        self.shared = Shared(head_of(version), bands_of(version))
        self._terms: dict[str, Term | str] = {}  # of disabled rows the band's name

    @property
    def name(self) -> str:
        """What no other version is called, on whatever database: the moment of publishing tells equal ids apart."""
        published_at = self.version.published_at
        return f"{self.version.pk}-{instant_of(published_at) if published_at else 0:x}"

    def compiled(self, content: Content) -> CompiledVersion:
        """The version with this content."""
        return version_of(self.shared, content)

    def whole(self) -> Content:
        """All rows. Raises TermsRefused when one of them cannot be priced."""
        gathered = Gathered(self.shared)
        with _no_collection() if self.version.row_count >= MANY_ROWS else nullcontext():
            _copy(self.version, Q(), self._into(gathered))
            return gathered.content()

    def forget(self) -> None:
        """Let go of what parts would have in common with the whole."""
        self._terms = {}
        self.shared.forget()

    @property
    def distinct_terms(self) -> int:
        return len(self._terms)

    def part(self, rows: Iterable[StoredRow]) -> Content:
        """Some rows; all those of their prefixes must be among them."""
        gathered = Gathered(self.shared)
        take = self._into(gathered)
        for row in rows:
            take(*row)
        return gathered.content()

    def _into(self, gathered: Gathered) -> Callable[[int, str, str, str], None]:
        terms, add = self._terms, gathered.add

        def take(rate_id: int, key: str, destination: str, text: str) -> None:
            term = terms.get(text)
            if term is None:
                term = terms.setdefault(text, self._read(key, text))
            if isinstance(term, str):
                gathered.disable(key, rate_id, term)
            else:
                add(key, term, rate_id, destination)

        return take

    def _read(self, key: str, text: str) -> Term | str:
        fields = {name: _READERS[name](cell) for name, cell in zip(TERM_COLUMNS, text.split("\t"), strict=True)}
        row = RateTerms(rate_id=0, prefix=key, **fields)
        return self.shared.term(row) if row.enabled else row.band


def compiled(version: DeckVersion) -> CompiledVersion:
    """The whole version ready for look-ups; drafts too. Raises TermsRefused when a row cannot be priced."""
    stored = StoredVersion(version)
    return stored.compiled(stored.whole())


def rows_on(version: DeckVersion, which: Q, *, at_most: int | None) -> list[StoredRow]:
    """The rows for which the condition holds, no more than so many."""
    rows: list[StoredRow] = []
    _copy(version, which, lambda *row: rows.append(StoredRow(*row)), at_most=at_most)
    return rows


def _copy(
    version: DeckVersion, which: Q, take: Callable[[int, str, str, str], None], *, at_most: int | None = None
) -> None:
    rates = rates_of(version).filter(which).order_by().values_list(*_COLUMNS)[:at_most]
    with connection.cursor() as cursor:
        statement = cursor.mogrify(*rates.query.sql_with_params()).decode()
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT", _Lines(take))


class _Lines:
    """Where COPY writes: one row at a time."""

    def __init__(self, take: Callable[[int, str, str, str], None]) -> None:
        self._take = take
        self._destinations: dict[str, str] = {}  # many rows have one, and then share it

    def write(self, line: bytes) -> None:
        rate_id, key, destination, terms = line[:-1].decode().split("\t", 3)
        known = self._destinations.get(destination)
        if known is None:
            known = self._destinations[destination] = _text(destination)
        self._take(int(rate_id), _text(key) if "\\" in key else key, known, terms)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hundreds of thousands of new objects, none of them garbage and no cycles among them: looking through them, now
    or later, would only stop the others."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _text(cell: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), cell) if "\\" in cell else cell


def _flag(cell: str) -> bool:
    return cell == "t"


def _nullable(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: None if cell == _NULL else read(cell)


_READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(TERM_COLUMNS, lru_cache(maxsize=4096)(_nullable(Decimal))),  # most cells say 60 or nothing
    **dict.fromkeys(("enabled", "blocked"), _flag),
    **dict.fromkeys(("carrier", "reach", "kind", "band", "free_kind", "cap_kind", "rounding"), _text),
    **dict.fromkeys(("effective_from", "effective_to"), _nullable(datetime.fromisoformat)),
    "tiers": read_tiers,
    "decimals": _nullable(int),
}
