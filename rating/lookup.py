"""Which rate counts for a call at an instant: down the tariff's chain, the longest prefix with an active rate."""

from collections.abc import Iterator
from dataclasses import dataclass

from rating.call import (
    BAD_NUMBER,
    BAND_GAP,
    BLOCKED,
    CURRENCY_MISMATCH,
    NO_RATE,
    NO_TARIFF,
    Call,
    PricingError,
    length_value,
)
from rating.compiled import HEAD, Candidates, Term
from rating.ladder import Ladder
from rating.tariff import Link, Stage, Tariff
from rating.terms import VOICE
from rating.timetable import FOREVER, Segment, datetime_of


@dataclass(slots=True, eq=False)
class Found:
    """The rate that counts, and the next boundary: until then the answer stays the same."""

    term: Term
    ladder: Ladder
    size: int  # of its prefix
    link: Link
    until: int

    def prefix(self, call: Call) -> str:
        """The prefix of the call's number on which the rate stands."""
        return (self.link.version.key_of(call) or "")[: self.size]

    def rate_id(self, call: Call) -> int:
        return self.link.version.row_of(self.prefix(call), self.term)[0]

    def destination(self, call: Call) -> str:
        return self.link.version.row_of(self.prefix(call), self.term)[1]


def rate_for(call: Call, tariff: Tariff, instant: int) -> Found:
    """The winning rate at an instant. Raises PricingError when there is none or the winner is blocked."""
    found = find_rate(call, tariff, instant)
    if found is None:
        raise _missing(call, tariff, instant=instant)
    if found.term.blocked or found.link.version.currency != tariff.currency:
        raise _refused(call, found, instant=instant, expected=tariff.currency)
    return found


def find_rate(call: Call, tariff: Tariff, instant: int) -> Found | None:
    """The rate that counts at an instant, blocked or not; None when no deck of the chain has one."""
    stage = tariff.stage_at(instant, call.carrier)
    until = stage.until
    for link in stage.links:
        segment = link.timetable.at(instant)
        if segment.end < until:
            until = segment.end  # also of a deck that has nothing now: it may have from there on
        key = call.dialled if link.version.is_raw else call.key
        if key is not None:
            found = _match(link, segment, key, call, instant, until)
            if not isinstance(found, int):
                return found
            until = found
    return None


def reachable(call: Call, tariff: Tariff, start: int) -> Iterator[Found]:
    """Every rate that the number could meet during the call on some day, at some hour, with some carrier."""
    for carrier in sorted({call.carrier, *tariff.carriers()}):
        instant = start
        while instant < start + max(1, call.quantity if call.kind == VOICE else 1):
            stage = tariff.stage_at(instant, carrier)
            yield from (found for found in _open_to(call, stage) if found.link.version.currency == tariff.currency)
            instant = stage.until


def _open_to(call: Call, stage: Stage) -> Iterator[Found]:
    """From the longest prefix down, until a rate is met that always counts: nothing behind it is ever reached."""
    for link in stage.links:
        key = link.version.key_of(call)
        for prefix, candidates in link.version.prefixes_of(key) if key is not None else ():
            serving = [term for term in candidates.terms if term.serves(call)]
            for term in serving:
                ladder = term.ladder(call.kind)
                if ladder is not None and not term.blocked:
                    yield Found(term, ladder, len(prefix), link, FOREVER)
            if any(term.always_counts for term in serving):
                return


def _match(link: Link, segment: Segment, key: str, call: Call, instant: int, until: int) -> Found | int:
    """The rate that counts in one deck; where there is none, the boundary until which there is none."""
    length, timed, content, active = len(key), call.kind == VOICE, link.version.content, segment.active
    candidates_of, (sizes, other_sizes) = content.candidates.get, content.lengths
    for size in sizes.get(key[:HEAD], other_sizes):
        candidates = candidates_of(key[:size]) if size <= length else None
        if candidates is not None:
            if candidates.points:
                until = min(until, candidates.next_point(instant))
            for term in candidates.terms:
                if term.bit & active and (term.is_open or term.fits(call, instant)):
                    if candidates.tied:
                        term = _began_last(candidates, term, segment, call, instant)
                    ladder = term.timed if timed else term.counted
                    if ladder is not None:
                        return Found(term, ladder, size, link, until)
    return until


def _began_last(candidates: Candidates, best: Term, segment: Segment, call: Call, instant: int) -> Term:
    """Among active candidates as good as the best: the one whose band began last; then the first of the order."""
    rivals = [
        term
        for term in candidates.terms
        if term.preference == best.preference and term.bit & segment.active and term.fits(call, instant)
    ]
    return max(rivals, key=lambda term: began(term, segment))


def began(term: Term, segment: Segment) -> int:
    """When the term's band began, in wall-clock seconds; before everything where it has no band."""
    return term.band.began(segment.wall) if term.band else -1


def refusal(code: str, call: Call, *, instant: int, **detail: str | int | None) -> PricingError:
    """The error that shows at an instant; `after_seconds` tells how far into the call."""
    detail["after_seconds"] = length_value(instant - call.start())
    return PricingError(code, at=datetime_of(instant, call.at.tzinfo), detail=detail)


def _refused(call: Call, found: Found, *, instant: int, expected: str) -> PricingError:
    head = found.link.version.head
    rate: dict[str, str | int | None] = {"deck": head.deck, "version": head.version, "rate_id": found.rate_id(call)}
    if found.term.blocked:
        return refusal(BLOCKED, call, instant=instant, **rate)
    return refusal(CURRENCY_MISMATCH, call, instant=instant, **rate, currency=head.currency, expected=expected)


def _missing(call: Call, tariff: Tariff, *, instant: int) -> PricingError:
    if not tariff.subjects:
        return refusal(NO_TARIFF, call, instant=instant)
    versions = [link.version for link in tariff.stage_at(instant, call.carrier).links]
    keys = [(version, version.key_of(call)) for version in versions]
    suitable = (
        term.suits(call)
        for version, key in keys
        if key is not None
        for _, candidates in version.prefixes_of(key)
        for term in candidates.terms
    )
    if any(suitable):
        return refusal(BAND_GAP, call, instant=instant)
    unreadable = any(key is None for _, key in keys)
    return refusal(BAD_NUMBER if unreadable else NO_RATE, call, instant=instant)
