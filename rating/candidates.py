"""Which other rates a call might have met, and why each of them lost. Pure; for explanations, not for prices."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from rating.call import Call
from rating.compiled import Candidates, CompiledVersion, Term
from rating.lookup import Found, began, find_rate
from rating.tariff import Subject, Tariff
from rating.timetable import ALWAYS, FOREVER, datetime_of, instant_of

DISABLED, SUPERSEDED, EXPIRED, NOT_YET_EFFECTIVE = "disabled", "superseded", "expired", "not_yet_effective"
OTHER_BAND, OTHER_CARRIER, OTHER_REACH, OTHER_KIND = "other_band", "other_carrier", "other_reach", "other_kind"
SHORTER_PREFIX, LATER_IN_CHAIN = "shorter_prefix", "later_in_chain"
LOWER_PRIORITY, LESS_SPECIFIC, BEGAN_EARLIER, DEARER = "lower_priority", "less_specific", "began_earlier", "dearer"
BOUNDARIES_MAX = 800
NEAREST_MAX = 10


@dataclass(frozen=True, slots=True)
class Loser:
    """A rate on a prefix of the number that did not count. `starts`: when it takes effect, if it has not yet."""

    deck: str
    version: int
    rate_id: int
    prefix: str
    band: str | None
    lost_because: str
    starts: datetime | None = None


@dataclass(frozen=True, slots=True)
class Nearest:
    """A prefix that begins like a number without a rate; `common`: how many characters they share."""

    deck: str
    version: int
    prefix: str
    destination: str
    common: int


def candidates_at(call: Call, tariff: Tariff, at: datetime) -> list[Loser]:
    """Every rate on the number's prefixes that lost at this instant, nearest prefixes first."""
    search = _Search(call, tariff, instant_of(at))
    return sorted(search.losers(), key=lambda loser: -len(loser.prefix))


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on another rate counts: `found`; None: no rate any more."""

    at: datetime
    found: Found | None


def next_change(call: Call, tariff: Tariff, at: datetime) -> Change | None:
    """The next instant at which another rate would count; None when none is known within 800 boundaries."""
    instant = instant_of(at)
    now = _row(find_rate(call, tariff, instant), call)
    boundaries = _Boundaries(call, tariff)
    for _ in range(BOUNDARIES_MAX):
        instant = boundaries.after(instant)
        if instant >= FOREVER:
            return None
        found = find_rate(call, tariff, instant)
        if _row(found, call) != now:
            return Change(datetime_of(instant, at.tzinfo), found)
    return None


def _row(found: Found | None, call: Call) -> int | None:
    """Rows outlive versions: a version that leaves the row alone changes nothing."""
    return found.rate_id(call) if found else None


class _Boundaries:
    """The instants at which the answer for one number may change; those of other numbers' bands are passed over."""

    def __init__(self, call: Call, tariff: Tariff) -> None:
        self._call, self._tariff = call, tariff
        self._met: dict[CompiledVersion, tuple[bool, list[int]]] = {}

    def after(self, instant: int) -> int:
        """The next one after an instant."""
        stage = self._tariff.stage_at(instant, self._call.carrier)
        ends = [stage.until]
        for link in stage.links:
            banded, points = self._met.get(link.version) or self._look(link.version)
            if banded:
                ends.append(link.timetable.at(instant).end)
            ends += [point for point in points if point > instant]
        return min(ends)

    def _look(self, version: CompiledVersion) -> tuple[bool, list[int]]:
        terms = list(_reached(version, self._call))
        banded = any(term.bit != ALWAYS for term in terms)
        met = banded, [end for term in terms for end in (term.since, term.until) if -FOREVER < end < FOREVER]
        self._met[version] = met
        return met


def _reached(version: CompiledVersion, call: Call) -> Iterator[Term]:
    """The terms on the number's prefixes, best first, down to one that always counts: none behind it ever wins."""
    key = version.key_of(call)
    for _, candidates in _prefixes_of(version, key) if key is not None else ():
        for term in candidates.terms:
            if term.suits(call):
                yield term
                if term.always_counts and not candidates.tied:
                    return


def nearest_prefixes(call: Call, tariff: Tariff, at: datetime) -> list[Nearest]:
    """For a number without a rate: what the decks in force have that begins most like it, the likest first."""
    instant = instant_of(at)
    found: list[Nearest] = []
    for link in tariff.stage_at(instant, call.carrier).links:
        key = link.version.key_of(call)
        if key:
            found += _nearest_of(link.version, key)
    return sorted(found, key=lambda one: (-one.common, one.prefix))[:NEAREST_MAX]


def _nearest_of(version: CompiledVersion, key: str) -> Iterator[Nearest]:
    """Text in order: what shares the longest beginning stands beside the place of the key."""
    prefixes = _in_order(version)
    place = bisect_left(prefixes, key)
    for prefix in prefixes[max(place - NEAREST_MAX, 0) : place + NEAREST_MAX]:
        common = _common(prefix, key)
        if common:
            destination = version.rows[prefix].destinations[0]
            yield Nearest(version.head.deck, version.head.version, prefix, destination, common)


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


@lru_cache(maxsize=4)
def _in_order(version: CompiledVersion) -> list[str]:
    return sorted(version.candidates)


@lru_cache(maxsize=16)  # losers and the next change of one question look at the same
def _prefixes_of(version: CompiledVersion, key: str) -> list[tuple[str, Candidates]]:
    return version.prefixes_of(key)


class _Search:
    """One question at one instant, and its winner."""

    def __init__(self, call: Call, tariff: Tariff, instant: int) -> None:
        self._call, self._tariff, self._instant = call, tariff, instant
        self._winner = find_rate(call, tariff, instant)
        self._winning_row = (self._winner.link.version, self._winner.rate_id(call)) if self._winner else None
        links = tariff.stage_at(instant, call.carrier).links
        self._active = {link.version: link.timetable.at(instant) for link in links}
        self._assigned_later: dict[CompiledVersion, int] = {}

    def losers(self) -> Iterator[Loser]:
        """The losers of every deck of the chain, in its order."""
        versions = (version for subject in self._tariff.subjects for version in self._versions(subject))
        for version in dict.fromkeys(versions):
            key = version.key_of(self._call)
            if key is not None:
                yield from self._disabled(version, key)
                yield from self._enabled(version, key)

    def _versions(self, subject: Subject) -> list[CompiledVersion]:
        """The version in force, then the others of its deck, then those that are assigned from a later instant on.

        While none is in force, all that may come.
        """
        carrier = self._call.carrier
        current = subject.in_force(self._instant, carrier)
        versions = self._tariff.versions_of(subject, carrier)
        if current is None:
            return versions
        same_deck = [one for one in versions if one.head.deck == current.head.deck]
        for activation in subject.activations:
            later = activation.in_force(activation.starts, carrier) if activation.starts > self._instant else None
            if later is not None and later not in same_deck:
                self._assigned_later.setdefault(later, activation.starts)
        return [current, *same_deck, *self._assigned_later]

    def _enabled(self, version: CompiledVersion, key: str) -> Iterator[Loser]:
        for prefix, candidates in _prefixes_of(version, key):
            for term, rate_id in zip(candidates.terms, version.rows[prefix].rate_ids, strict=True):
                if (version, rate_id) != self._winning_row:
                    band = term.band.name if term.band else None
                    reason, starts = self._reason(version, term, size=len(prefix))
                    when = None if starts is None else datetime_of(starts, version.zone)
                    yield Loser(version.head.deck, version.head.version, rate_id, prefix, band, reason, when)

    def _disabled(self, version: CompiledVersion, key: str) -> Iterator[Loser]:
        for prefix in (key[:size] for size in range(len(key), -1, -1)):
            for rate_id, band in version.disabled.get(prefix, ()):
                yield Loser(version.head.deck, version.head.version, rate_id, prefix, band or None, DISABLED)

    def _reason(self, version: CompiledVersion, term: Term, *, size: int) -> tuple[str, int | None]:
        segment = self._active.get(version)
        if segment is None:
            starts = self._assigned_later.get(version, version.in_force_from)
            return (NOT_YET_EFFECTIVE, starts) if starts > self._instant else (SUPERSEDED, None)
        if term.since > self._instant:
            return NOT_YET_EFFECTIVE, term.since
        if term.until <= self._instant:
            return EXPIRED, None
        selector = self._other_selector(term)
        if selector or not term.bit & segment.active or self._winner is None:
            return selector or OTHER_BAND, None
        return self._beaten_by(self._winner, version, term, size=size), None

    def _other_selector(self, term: Term) -> str:
        call = self._call
        if term.ladder(call.kind) is None or term.kind not in ("", call.kind):
            return OTHER_KIND
        if term.carrier not in ("", call.carrier):
            return OTHER_CARRIER
        return "" if term.reach in ("", call.reach) else OTHER_REACH

    def _beaten_by(self, winner: Found, version: CompiledVersion, term: Term, *, size: int) -> str:
        if version is not winner.link.version:
            return LATER_IN_CHAIN
        if size < winner.size:
            return SHORTER_PREFIX
        if term.priority < winner.term.priority:
            return LOWER_PRIORITY
        if term.preference != winner.term.preference:
            return LESS_SPECIFIC
        segment = self._active[version]
        return BEGAN_EARLIER if began(term, segment) < began(winner.term, segment) else DEARER
