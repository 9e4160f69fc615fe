"""Which other rates a call might have met, and why each of them lost. Pure; for explanations, not for prices."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rating.call import Call
from rating.compiled import CompiledVersion, Term
from rating.lookup import Found, began, find_rate
from rating.tariff import Subject, Tariff
from rating.timetable import FOREVER, datetime_of, instant_of

DISABLED, SUPERSEDED, EXPIRED, NOT_YET_EFFECTIVE = "disabled", "superseded", "expired", "not_yet_effective"
OTHER_BAND, OTHER_CARRIER, OTHER_REACH, OTHER_KIND = "other_band", "other_carrier", "other_reach", "other_kind"
SHORTER_PREFIX, LATER_IN_CHAIN = "shorter_prefix", "later_in_chain"
LOWER_PRIORITY, LESS_SPECIFIC, BEGAN_EARLIER, DEARER = "lower_priority", "less_specific", "began_earlier", "dearer"
BOUNDARIES_MAX = 2_000


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


def candidates_at(call: Call, tariff: Tariff, at: datetime) -> list[Loser]:
    """Every rate on the number's prefixes that lost at this instant, nearest prefixes first."""
    search = _Search(call, tariff, instant_of(at))
    return sorted(search.losers(), key=lambda loser: -len(loser.prefix))


def next_change(call: Call, tariff: Tariff, at: datetime) -> datetime | None:
    """The next instant at which another rate would count; None when none is found within 2,000 boundaries."""
    instant = instant_of(at)
    now = _identity(find_rate(call, tariff, instant))
    for _ in range(BOUNDARIES_MAX):
        stage = tariff.stage_at(instant, call.carrier)
        instant = min([stage.until, *(link.timetable.at(instant).end for link in stage.links)])
        if instant >= FOREVER:
            return None
        if _identity(find_rate(call, tariff, instant)) != now:
            return datetime_of(instant, at.tzinfo)
    return None


def _identity(found: Found | None) -> tuple[Term, int, CompiledVersion] | None:
    return (found.term, found.size, found.link.version) if found else None


class _Search:
    """One question at one instant, and its winner."""

    def __init__(self, call: Call, tariff: Tariff, instant: int) -> None:
        self._call, self._tariff, self._instant = call, tariff, instant
        self._winner = find_rate(call, tariff, instant)
        self._winning_row = (self._winner.link.version, self._winner.rate_id(call)) if self._winner else None
        links = tariff.stage_at(instant, call.carrier).links
        self._active = {link.version: link.timetable.at(instant) for link in links}

    def losers(self) -> Iterator[Loser]:
        """The losers of every deck of the chain, in its order."""
        versions = (version for subject in self._tariff.subjects for version in self._versions(subject))
        for version in dict.fromkeys(versions):
            key = version.key_of(self._call)
            if key is not None:
                yield from self._disabled(version, key)
                yield from self._enabled(version, key)

    def _versions(self, subject: Subject) -> list[CompiledVersion]:
        """The version in force, then the others of its deck; while none is in force, all that may come."""
        current = subject.in_force(self._instant, self._call.carrier)
        versions = self._tariff.versions_of(subject, self._call.carrier)
        if current is None:
            return versions
        return [current, *(one for one in versions if one.head.deck == current.head.deck)]

    def _enabled(self, version: CompiledVersion, key: str) -> Iterator[Loser]:
        for prefix, candidates in version.prefixes_of(key):
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
            later = version.in_force_from > self._instant
            return (NOT_YET_EFFECTIVE, version.in_force_from) if later else (SUPERSEDED, None)
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
