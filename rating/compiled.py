"""A deck version compiled for look-up: immutable, shared by all calls of a process, independent of the rows' order.

A dict leads from each prefix to its candidates, best first; per leading three characters the prefix lengths that
occur are listed, so a look-up costs at most one probe per character of the number, whatever the size of the deck.
Rows with the same terms share one compiled Term.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from rating.call import Call
from rating.ladder import Ladder, TermsRefused, counts_whole
from rating.terms import HOLIDAY, RAW, VOICE, BandTerms, RateTerms, VersionTerms
from rating.timetable import ALWAYS, FOREVER, SECOND, Band, Calendar, Timetable, instant_of

HEAD = 3
CALENDARS_KEPT = 4


class Term:
    """What rows with equal terms have in common: when they are active, for whom, and their arithmetic.

    `bit` is the band's bit (or ALWAYS); `is_open`: the band is the only condition; `preference`: smaller wins;
    `order`: the same with what decides between equals, down to a digest of the content.
    """

    __slots__ = (
        "band", "bit", "blocked", "carrier", "counted", "is_open", "kind", "order", "preference", "priority", "reach",
        "since", "timed", "until",
    )  # fmt: skip

    def __init__(self, row: RateTerms, *, band: Band | None, head: VersionTerms) -> None:
        self.band, self.bit = band, band.bit if band else ALWAYS
        self.blocked, self.carrier, self.reach, self.kind = row.blocked, row.carrier, row.reach, row.kind
        self.since = instant_of(row.effective_from) if row.effective_from else -FOREVER
        self.until = instant_of(row.effective_to) if row.effective_to else FOREVER
        self.timed, self.counted = _ladders(row, head)
        self.is_open = not (row.kind or row.carrier or row.reach or row.effective_from or row.effective_to)
        self.priority = row.priority if row.priority is not None else _band_priority(band)
        self.preference = (-self.priority, not row.carrier, not row.reach)
        ladder = self.timed or self.counted
        assert ladder is not None  # every kind has one of the two
        self.order = (*self.preference, ladder.first_cost, sha256(repr(_CONTENT(row)).encode()).digest())

    def ladder(self, kind: str) -> Ladder | None:
        """The arithmetic for a kind of quantity; None when the term does not price it."""
        return self.timed if kind == VOICE else self.counted

    @property
    def always_counts(self) -> bool:
        """No band, no carrier and no period of its own stands in its way."""
        return self.bit == ALWAYS and not self.carrier and self.since == -FOREVER and self.until == FOREVER

    def serves(self, call: Call) -> bool:
        """Do the selectors fit the call, whatever its carrier?"""
        return self.kind in ("", call.kind) and self.reach in ("", call.reach) and self.ladder(call.kind) is not None

    def suits(self, call: Call) -> bool:
        """Do all selectors fit the call?"""
        return self.carrier in ("", call.carrier) and self.serves(call)

    def fits(self, call: Call, instant: int) -> bool:
        """Do the selectors fit the call, and does the row's own period hold the instant?"""
        return self.since <= instant < self.until and self.suits(call)


@dataclass(slots=True, eq=False)
class Candidates:
    """The terms of one prefix, best first. `tied`: some differ only in when their bands began."""

    terms: tuple[Term, ...]
    tied: bool


class Rows(NamedTuple):
    """Which rows the candidates of a prefix are, in the same order."""

    rate_ids: tuple[int, ...]
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledVersion:
    """One version of a deck, ready for look-ups. `in_force_from` is an instant."""

    head: VersionTerms
    candidates: Mapping[str, Candidates]
    rows: Mapping[str, Rows]
    disabled: Mapping[str, tuple[tuple[int, str], ...]]  # rate ids and band names
    lengths: Mapping[str, tuple[int, ...]]
    short_lengths: tuple[int, ...]
    bands: tuple[Band, ...]
    points: tuple[int, ...]
    zone: ZoneInfo
    currency: str
    is_raw: bool
    in_force_from: int
    _timetables: dict[Calendar, Timetable] = field(default_factory=dict, repr=False)

    def timetable(self, calendar: Calendar) -> Timetable:
        """When the bands are active under this calendar; kept for the last few calendars."""
        timetable = self._timetables.get(calendar)
        if timetable is None:
            if len(self._timetables) >= CALENDARS_KEPT:
                self._timetables.clear()
            timetable = Timetable(self.bands, zone=self.zone, calendar=calendar, points=self.points)
            self._timetables[calendar] = timetable
        return timetable

    def key_of(self, call: Call) -> str | None:
        """The text that this deck's prefixes are compared with."""
        return call.dialled if self.is_raw else call.key

    def prefixes_of(self, key: str) -> list[tuple[str, Candidates]]:
        """The prefixes of the key that have enabled rates, longest first."""
        prefixes = (key[:size] for size in range(len(key), -1, -1))
        return [(prefix, self.candidates[prefix]) for prefix in prefixes if prefix in self.candidates]

    def row_of(self, prefix: str, term: Term) -> tuple[int, str]:
        """The rate id and the destination of the row that has these terms on a prefix."""
        place = self.candidates[prefix].terms.index(term)
        rows = self.rows[prefix]
        return rows.rate_ids[place], rows.destinations[place]


def compile_version(
    head: VersionTerms, *, rows: Iterable[RateTerms], bands: Sequence[BandTerms] = ()
) -> CompiledVersion:
    """Compile the rows of a version. Pure. Raises TermsRefused when a row cannot be priced."""
    compiler = _Compiler(head, bands)
    disabled: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        if row.enabled:
            compiler.add(row)
        else:
            disabled.setdefault(row.prefix, []).append((row.rate_id, row.band))
    candidates, named = compiler.finished()
    lengths, short_lengths = _lengths(candidates)
    return CompiledVersion(
        head=head,
        candidates=candidates,
        rows=named,
        disabled={prefix: tuple(sorted(group)) for prefix, group in disabled.items()},
        lengths=lengths,
        short_lengths=short_lengths,
        bands=compiler.bands_used(),
        points=compiler.points(),
        zone=ZoneInfo(head.zone),
        currency=head.currency,
        is_raw=head.numbering == RAW,
        in_force_from=instant_of(head.effective_from) if head.effective_from else -FOREVER,
    )


# Everything that decides about a price; not where the row stands, what it is called or what it cost.
_CONTENT = attrgetter(
    "carrier", "reach", "kind", "band", "priority", "rate", "rate_unit", "first_rate", "first_increment",
    "next_increment", "tiers", "connect_fee", "free_kind", "free_seconds", "min_charge", "cap", "cap_kind",
    "rounding", "decimals", "blocked", "effective_from", "effective_to",
)  # fmt: skip


Named = tuple[Term, int, str]  # with rate id and destination


class _Compiler:
    """Keeps what rows share while one version is compiled."""

    def __init__(self, head: VersionTerms, bands: Sequence[BandTerms]) -> None:
        ordered = sorted(bands, key=attrgetter("name"))
        self._head = head
        self._bands = {band.name: Band(band, ALWAYS << place) for place, band in enumerate(ordered, start=1)}
        self._rows: dict[str, list[Named]] = {}
        self._destinations: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._terms: dict[Any, Term] = {}
        self._known: dict[tuple[Term, ...], Candidates] = {}

    def add(self, row: RateTerms) -> None:
        """Take one enabled row; of the row itself only its name is kept."""
        self._rows.setdefault(row.prefix, []).append((self._term(row), row.rate_id, row.destination))

    def finished(self) -> tuple[dict[str, Candidates], dict[str, Rows]]:
        """Per prefix its candidates and rows, in an order that depends on their content only."""
        candidates: dict[str, Candidates] = {}
        rows: dict[str, Rows] = {}
        for prefix, group in self._rows.items():
            if len(group) > 1:
                group.sort(key=_order)
            terms, rate_ids, destinations = zip(*group, strict=True)
            candidates[prefix] = self._candidates(terms)
            rows[prefix] = Rows(rate_ids, self._destinations.setdefault(destinations, destinations))
        return candidates, rows

    def _candidates(self, terms: tuple[Term, ...]) -> Candidates:
        known = self._known.get(terms)
        if known is None:
            tied = any(a.preference == b.preference and a.band is not b.band for a, b in pairwise(terms))
            known = self._known[terms] = Candidates(terms, tied)
        return known

    def bands_used(self) -> tuple[Band, ...]:
        """The bands that some row names; others set no boundaries."""
        used = {term.band for term in self._terms.values()}
        return tuple(band for band in self._bands.values() if band in used)

    def points(self) -> tuple[int, ...]:
        """The instants at which some row's own period begins or ends."""
        ends = {end for term in self._terms.values() for end in (term.since, term.until)}
        return tuple(sorted(end for end in ends if -FOREVER < end < FOREVER))

    def _term(self, row: RateTerms) -> Term:
        content = _CONTENT(row)
        term = self._terms.get(content)
        if term is None:
            if row.band and row.band not in self._bands:
                raise TermsRefused("E_BAND", f"{row.prefix!r} names an unknown band {row.band!r}")
            term = self._terms[content] = Term(row, band=self._bands.get(row.band), head=self._head)
        return term


def _order(candidate: Named) -> tuple[Any, ...]:
    """Higher priority, carrier named, reach named, cheaper first increment, content. That the band which began last
    goes before `cheaper` depends on the instant; the look-up settles it."""
    term, rate_id, _ = candidate
    return term.order, rate_id


def _band_priority(band: Band | None) -> Decimal:
    if band is None:
        return Decimal(0)
    terms = band.terms
    if terms.priority is not None:
        return terms.priority
    if terms.dates or terms.years or terms.months or terms.month_days:
        return Decimal(30)
    if terms.classes == (HOLIDAY,):
        return Decimal(20)
    return Decimal(10) if terms.classes or terms.weekdays else Decimal(0)


def _ladders(row: RateTerms, head: VersionTerms) -> tuple[Ladder | None, Ladder | None]:
    """The arithmetic for calls and for counted kinds. A row for any kind whose lengths are parts of a unit serves
    calls only."""
    rounding = row.rounding or head.rounding
    decimals = head.decimals if row.decimals is None else row.decimals
    timed, counted = None, None
    if row.kind in ("", VOICE):
        timed = Ladder(row, scale=SECOND, rounding=rounding, decimals=decimals)
    scale = 1 if row.kind else head.units_per_second
    if row.kind != VOICE and (row.kind or counts_whole(row, scale)):
        counted = Ladder(row, scale=scale, rounding=rounding, decimals=decimals)
    return timed, counted


def _lengths(prefixes: Iterable[str]) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]]:
    """The prefix lengths that occur per leading characters, longest first, and those below three characters."""
    heads: dict[str, set[int]] = {}
    short: set[str] = set()
    for prefix in prefixes:
        if len(prefix) < HEAD:
            short.add(prefix)
        else:
            heads.setdefault(prefix[:HEAD], set()).add(len(prefix))
    for head, sizes in heads.items():
        sizes.update(len(prefix) for prefix in short if head.startswith(prefix))
    ordered = {head: tuple(sorted(sizes, reverse=True)) for head, sizes in heads.items()}
    return ordered, tuple(sorted({len(prefix) for prefix in short}, reverse=True))
