"""A deck version compiled for look-up: shared by all calls of a process, independent of the rows' order.

A mapping leads from each prefix to its candidates, best first; per leading three characters the prefix lengths that
occur are listed, so a look-up costs at most one probe per character of the number, whatever the size of the deck.
Rows with the same terms share one compiled Term. What a version says never changes; how much of it is in memory may.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple, cast
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
    `timed`: the arithmetic for calls. What few calls ask for is worked out when the first one does.
    """

    __slots__ = (
        "_counted", "_head", "_is_counted", "_order", "_row", "band", "bit", "blocked", "carrier", "is_open", "kind",
        "preference", "priority", "reach", "since", "timed", "until",
    )  # fmt: skip

    def __init__(self, row: RateTerms, *, band: Band | None, head: VersionTerms) -> None:
        self._row, self._head = row, head
        self._order: tuple[Any, ...] | None = None
        self.band, self.bit = band, band.bit if band else ALWAYS
        self.blocked, self.carrier, self.reach, self.kind = row.blocked, row.carrier, row.reach, row.kind
        self.since = instant_of(row.effective_from) if row.effective_from else -FOREVER
        self.until = instant_of(row.effective_to) if row.effective_to else FOREVER
        self.timed = _timed(row, head)
        self._counted = _counted(row, head) if row.kind else None
        self._is_counted = bool(row.kind)
        self.is_open = not (row.kind or row.carrier or row.reach or row.effective_from or row.effective_to)
        self.priority = row.priority if row.priority is not None else _band_priority(band)
        self.preference = (-self.priority, not row.carrier, not row.reach)

    @property
    def counted(self) -> Ladder | None:
        """The arithmetic for counted kinds. A row for any kind has been found sound by the making of `timed`."""
        if not self._is_counted:
            self._counted = _counted(self._row, self._head)
            self._is_counted = True
        return self._counted

    @property
    def order(self) -> tuple[Any, ...]:
        """The preference with what decides between equals: the first increment's cost, then a digest of the content."""
        if self._order is None:
            ladder = self.timed or self.counted
            assert ladder is not None  # every kind has one of the two
            digest = sha256(repr(_CONTENT(self._row)).encode()).digest()
            self._order = (*self.preference, ladder.first_cost, digest)
        return self._order

    def ladder(self, kind: str) -> Ladder | None:
        """The arithmetic for a kind of quantity; None when the term does not price it."""
        return self.timed if kind == VOICE else self.counted

    @property
    def always_counts(self) -> bool:
        """No band that ever ends, no carrier and no period of its own stands in its way."""
        always = self.band is None or self.band.is_always
        return always and not self.carrier and self.since == -FOREVER and self.until == FOREVER

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
    """The terms of one prefix, best first. `tied`: some differ only in when their bands began. `points`: the instants
    at which the period of one of them begins or ends, in order."""

    terms: tuple[Term, ...]
    tied: bool
    points: tuple[int, ...]

    def next_point(self, instant: int) -> int:
        """The first point after an instant, FOREVER when there is none."""
        return next((point for point in self.points if point > instant), FOREVER)


class Rows(NamedTuple):
    """Which rows the candidates of a prefix are, in the same order."""

    rate_ids: tuple[int, ...]
    destinations: tuple[str, ...]


Disabled = tuple[tuple[int, str], ...]  # rate ids and band names
# Longest first: per leading characters of a number the prefix lengths to probe, and those for every other number.
Lengths = tuple[Mapping[str, tuple[int, ...]], tuple[int, ...]]


@dataclass(slots=True, eq=False)
class Content:
    """The rows of a version by prefix, with the prefix lengths that occur.

    Complete at all times. Who keeps versions may exchange the mappings for others that answer the same - some hold all
    rows, some fetch them - one by one and while calls are priced: each is right beside any other.
    """

    candidates: Mapping[str, Candidates]
    rows: Mapping[str, Rows]
    disabled: Mapping[str, Disabled]
    lengths: Lengths

    def become(self, other: "Content") -> None:
        """Take over the mappings of another content of the same version."""
        self.rows, self.disabled = other.rows, other.disabled
        self.candidates, self.lengths = other.candidates, other.lengths


@dataclass(frozen=True, slots=True, eq=False)
class CompiledVersion:
    """One version of a deck, ready for look-ups. `in_force_from` is an instant."""

    head: VersionTerms
    content: Content
    bands: tuple[Band, ...]
    zone: ZoneInfo
    currency: str
    is_raw: bool
    in_force_from: int
    _timetables: dict[Calendar, Timetable] = field(default_factory=dict, repr=False)

    @property
    def candidates(self) -> Mapping[str, Candidates]:
        return self.content.candidates

    @property
    def rows(self) -> Mapping[str, Rows]:
        return self.content.rows

    @property
    def disabled(self) -> Mapping[str, Disabled]:
        return self.content.disabled

    def timetable(self, calendar: Calendar) -> Timetable:
        """When the bands are active under this calendar; kept for the last few calendars."""
        timetable = self._timetables.get(calendar)
        if timetable is None:
            if len(self._timetables) >= CALENDARS_KEPT:
                self._timetables.clear()
            timetable = Timetable(self.bands, zone=self.zone, calendar=calendar)
            self._timetables[calendar] = timetable
        return timetable

    def key_of(self, call: Call) -> str | None:
        """The text that this deck's prefixes are compared with."""
        return call.dialled if self.is_raw else call.key

    def prefixes_of(self, key: str) -> list[tuple[str, Candidates]]:
        """The prefixes of the key that have enabled rates, longest first."""
        prefixes, candidates = (key[:size] for size in range(len(key), -1, -1)), self.content.candidates
        return [(prefix, found) for prefix in prefixes if (found := candidates.get(prefix)) is not None]

    def row_of(self, prefix: str, term: Term) -> tuple[int, str]:
        """The rate id and the destination of the row that has these terms on a prefix."""
        rows, terms = self.content.rows[prefix], self.content.candidates[prefix].terms
        # By content: the term may come from a copy of these rows that is no longer in memory.
        place = terms.index(term) if term in terms else [one.order for one in terms].index(term.order)
        return rows.rate_ids[place], rows.destinations[place]


def compile_version(
    head: VersionTerms, *, rows: Iterable[RateTerms], bands: Sequence[BandTerms] = ()
) -> CompiledVersion:
    """Compile the rows of a version. Pure. Raises TermsRefused when a row cannot be priced."""
    shared = Shared(head, bands)
    gathered = Gathered(shared)
    terms: dict[Any, Term] = {}
    for row in rows:
        if row.enabled:
            content = _CONTENT(row)
            term = terms.get(content) or terms.setdefault(content, shared.term(row))
            gathered.add(row.prefix, term, row.rate_id, row.destination)
        else:
            gathered.disable(row.prefix, row.rate_id, row.band)
    return version_of(shared, gathered.content())


def version_of(shared: "Shared", content: Content) -> CompiledVersion:
    """The compiled version with this content."""
    head = shared.head
    return CompiledVersion(
        head=head,
        content=content,
        bands=tuple(shared.bands.values()),
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


class Shared:
    """What the rows of one version share: its head, its bands, and the candidates that prefixes have in common."""

    def __init__(self, head: VersionTerms, bands: Sequence[BandTerms]) -> None:
        ordered = sorted(bands, key=attrgetter("name"))
        self.head = head
        self.bands = {band.name: Band(band, ALWAYS << place) for place, band in enumerate(ordered, start=1)}
        self._known: dict[tuple[Term, ...], Candidates] = {}

    def term(self, row: RateTerms) -> Term:
        """The terms of a row, compiled; who has many rows with the same terms gives them one. Raises TermsRefused."""
        if row.band and row.band not in self.bands:
            raise TermsRefused("E_BAND", f"{row.prefix!r} names an unknown band {row.band!r}")
        return Term(row, band=self.bands.get(row.band), head=self.head)

    def forget(self) -> None:
        """Let go of the candidates; those in use stay with their users."""
        self._known = {}

    def candidates(self, terms: tuple[Term, ...]) -> Candidates:
        """The candidates of a prefix that has these terms, in this order."""
        known = self._known.get(terms)
        if known is None:
            tied = any(a.preference == b.preference and a.band is not b.band for a, b in pairwise(terms))
            points = {end for term in terms for end in (term.since, term.until) if -FOREVER < end < FOREVER}
            known = self._known.setdefault(terms, Candidates(terms, tied, tuple(sorted(points))))
        return known


class Gathered:
    """Rows on their way into a content."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._rows: dict[str, Named | list[Named]] = {}  # a list where there are several
        self._disabled: dict[str, list[tuple[int, str]]] = {}

    def add(self, prefix: str, term: Term, rate_id: int, destination: str) -> None:
        """Take an enabled row."""
        row = term, rate_id, destination
        found = self._rows.setdefault(prefix, row)
        if found is not row:
            if type(found) is list:
                found.append(row)
            else:
                self._rows[prefix] = [cast("Named", found), row]

    def disable(self, prefix: str, rate_id: int, band: str) -> None:
        """Take a row that never wins."""
        self._disabled.setdefault(prefix, []).append((rate_id, band))

    def content(self) -> Content:
        """Per prefix its candidates and rows, in an order that depends on their content only. What was gathered is
        given away piece by piece, so that it is never in memory twice."""
        candidates: dict[str, Candidates] = {}
        rows: dict[str, Rows] = {}
        texts: dict[tuple[str, ...], tuple[str, ...]] = {}
        while self._rows:
            prefix, group = self._rows.popitem()
            named = sorted(group, key=_order) if type(group) is list else [cast("Named", group)]
            terms, rate_ids, destinations = zip(*named, strict=True)
            candidates[prefix] = self._shared.candidates(terms)
            rows[prefix] = Rows(rate_ids, texts.setdefault(destinations, destinations))
        disabled = {prefix: tuple(sorted(group)) for prefix, group in self._disabled.items()}
        return Content(candidates, rows, disabled, _lengths(candidates))


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


def _timed(row: RateTerms, head: VersionTerms) -> Ladder | None:
    """The arithmetic for calls."""
    return _ladder(row, head, scale=SECOND) if row.kind in ("", VOICE) else None


def _counted(row: RateTerms, head: VersionTerms) -> Ladder | None:
    """The arithmetic for counted kinds. A row for any kind whose lengths are parts of a unit serves calls only."""
    scale = 1 if row.kind else head.units_per_second
    if row.kind != VOICE and (row.kind or counts_whole(row, scale)):
        return _ladder(row, head, scale=scale)
    return None


def _ladder(row: RateTerms, head: VersionTerms, *, scale: int) -> Ladder:
    decimals = head.decimals if row.decimals is None else row.decimals
    return Ladder(row, scale=scale, rounding=row.rounding or head.rounding, decimals=decimals)


def _lengths(prefixes: Iterable[str]) -> Lengths:
    """The prefix lengths that occur per leading characters, and those below three characters."""
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
