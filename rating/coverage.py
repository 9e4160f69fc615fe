"""Faults that only time shows, in a compiled version: gaps, rows that never win, rows between which nothing decides.

Pure. The bands' segments between two instants are worked out once; rows and prefixes with the same terms share what was
found for them, so a deck of 170,000 rows costs little more than its different terms.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rating.compiled import Candidates, CompiledVersion, Term
from rating.terms import VOICE
from rating.timetable import ALWAYS, Calendar, Segment, Timetable

COMPARED_MAX = 200  # rows before a row that it is compared with
Period = tuple[int, int]
Window = tuple[int, int, int]  # band bit, since, until
Selectors = tuple[str, str, str]  # carrier, reach, kind


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row's place among its prefix's candidates, what is wrong with it, and the place of the row to blame."""

    place: int
    code: str
    variant: str = ""
    other: int | None = None


class Coverage:
    """When which bands of a version are active between two instants."""

    def __init__(self, version: CompiledVersion, calendar: Calendar, period: Period) -> None:
        self._version = version
        self.start, self.end = max(period[0], version.in_force_from), period[1]
        self._segments = list(self._walk(Timetable(version.bands, zone=version.zone, calendar=calendar)))
        self._masks = {segment.active for _, segment in self._segments}
        self._bands = {band.bit: band for band in version.bands}
        self._uncovered: dict[int, tuple[list[int], list[int]]] = {}
        self._gaps: dict[tuple[frozenset[Window], int], int | None] = {}
        self._between: dict[Candidates, list[RowFault]] = {}
        self._ties: dict[tuple[int, int], bool] = {}

    def gap_of(self, prefix: str) -> int | None:
        """The first instant at which calls to the prefix find no rate on it nor on a shorter one; None: never."""
        own = self._version.candidates[prefix].terms
        if any(term.is_open and term.bit == ALWAYS for term in own):
            return None
        chain = [term for _, candidates in self._version.prefixes_of(prefix) for term in candidates.terms]
        gaps = [self._gap_for(selectors, own, chain) for selectors in {_selectors(term) for term in own}]
        return min((gap for gap in gaps if gap is not None), default=None)

    def faults_of(self, candidates: Candidates) -> list[RowFault]:
        """What is wrong between the rows of one prefix."""
        found = self._between.get(candidates)
        if found is None:
            found = self._between[candidates] = list(self._faults(candidates.terms))
        return found

    def _walk(self, timetable: Timetable) -> Iterator[tuple[int, Segment]]:
        instant = self.start
        while instant < self.end:
            segment = timetable.at(instant)
            yield instant, segment
            instant = segment.end

    def _gap_for(self, selectors: Selectors, own: Sequence[Term], chain: Sequence[Term]) -> int | None:
        serving = [term for term in chain if _serves(term, selectors)]
        lasting = [term.since for term in own if _selectors(term) == selectors and term.until > self.start]
        if not lasting:
            return None  # the prefix was given up on purpose
        begins = max(self.start, min(lasting))
        windows = frozenset((term.bit, term.since, term.until) for term in serving)
        key = windows, begins
        if key not in self._gaps:
            self._gaps[key] = self._first_gap(windows, begins)
        return self._gaps[key]

    def _first_gap(self, windows: frozenset[Window], begins: int) -> int | None:
        active: Counter[int] = Counter()
        edges: dict[int, list[tuple[int, int]]] = {begins: [], self.end: []}
        for bit, since, until in windows:
            if since < self.end and until > begins:
                edges.setdefault(max(since, begins), []).append((bit, 1))
                edges.setdefault(min(until, self.end), []).append((bit, -1))
        for first, last in pairwise(sorted(edge for edge in edges if begins <= edge <= self.end)):
            for bit, change in edges[first]:
                active[bit] += change
            gap = self._first_uncovered(sum(bit for bit, count in active.items() if count), first, last)
            if gap is not None:
                return gap
        return None

    def _first_uncovered(self, bits: int, first: int, last: int) -> int | None:
        """The first instant in [first, last) at which none of the bands is active."""
        if bits & ALWAYS:
            return None
        if bits not in self._uncovered:
            bare = [(start, segment.end) for start, segment in self._segments if not segment.active & bits]
            self._uncovered[bits] = [start for start, _ in bare], [end for _, end in bare]
        starts, ends = self._uncovered[bits]
        place = bisect_right(ends, first)  # the first stretch that ends after `first`
        if place == len(starts):
            return None
        gap = max(starts[place], first)
        return gap if gap < last else None

    def _faults(self, terms: Sequence[Term]) -> Iterator[RowFault]:
        for place, term in enumerate(terms):
            if term.until <= self.start or not any(mask & term.bit for mask in self._masks):
                yield RowFault(place, "L_SHADOW", "never")
                continue
            fault = self._fault_against(terms, place)
            if fault is not None:
                yield fault

    def _fault_against(self, terms: Sequence[Term], place: int) -> RowFault | None:
        """The first fault of a row against those that go before it."""
        row = terms[place]
        for other in range(max(0, place - COMPARED_MAX), place):
            better = terms[other]
            if not (_meet(better, row) and better.since < row.until and row.since < better.until):
                continue
            if better.preference < row.preference:
                if self._covers(better, row):
                    return RowFault(place, "L_SHADOW", "covered", other)
            elif better.bit == row.bit and _selectors(better) == _selectors(row):
                return RowFault(place, "L_OVERLAP", "", other)
            elif self._is_tie(better.bit, row.bit):
                return RowFault(place, "L_TIE", "", other)
        return None

    def _covers(self, better: Term, row: Term) -> bool:
        """Is the better row active whenever the other is, and for all of its calls?"""
        return (
            better.carrier in ("", row.carrier)
            and better.reach in ("", row.reach)
            and better.kind in ("", row.kind)
            and (row.kind in ("", VOICE) or better.counted is not None)
            and better.since <= row.since
            and better.until >= row.until
            and all(mask & better.bit for mask in self._masks if mask & row.bit)
        )

    def _is_tie(self, one: int, other: int) -> bool:
        """Are there times at which both bands are active and began together?"""
        if one == other or ALWAYS in (one, other):
            return one == other
        key = one, other
        if key not in self._ties:
            bands, both = (self._bands[one], self._bands[other]), one | other
            self._ties[key] = any(
                segment.active & both == both and bands[0].began(segment.wall) == bands[1].began(segment.wall)
                for _, segment in self._segments
            )
        return self._ties[key]


def shorter_twin(version: CompiledVersion, prefix: str) -> str | None:
    """The next shorter prefix of the version when it has the same terms: then the longer one says nothing new."""
    for size in range(len(prefix) - 1, -1, -1):
        candidates = version.candidates.get(prefix[:size])
        if candidates is not None:
            return prefix[:size] if candidates is version.candidates[prefix] else None
    return None


def priced_term(version: CompiledVersion, key: str, *, serves: Callable[[Term], bool]) -> tuple[str, int] | None:
    """The first row (prefix and place) that could make a call to the key cost money; None: free, blocked or unrated."""
    for prefix, candidates in version.prefixes_of(key):
        serving = [(place, term) for place, term in enumerate(candidates.terms) if serves(term)]
        for place, term in serving:
            if not term.blocked and _costs(term):
                return prefix, place
        if any(term.is_open and term.bit == ALWAYS for _, term in serving):
            return None  # nothing behind it is ever reached
    return None


def _costs(term: Term) -> bool:
    ladder = term.timed
    return ladder is not None and bool(ladder.connect_fee or ladder.minimum or any(tier.cost for tier in ladder.tiers))


def _selectors(term: Term) -> Selectors:
    return term.carrier, term.reach, term.kind


def _serves(term: Term, selectors: Selectors) -> bool:
    return all(mine in ("", asked) for mine, asked in zip(_selectors(term), selectors, strict=True))


def _meet(one: Term, other: Term) -> bool:
    """Is there a call that both rows are for?"""
    return all("" in pair or pair[0] == pair[1] for pair in zip(_selectors(one), _selectors(other), strict=True))
