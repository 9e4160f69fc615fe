"""The check of a deck's version (费率表检查): what is legal in it and still looks wrong. Nothing is changed.

Faults of single rows are found by the database in one pass; those that time shows, in the compiled version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from rating.caching.live import calendars
from rating.caching.stored import StoredVersion
from rating.compiled import CompiledVersion, Term
from rating.coverage import Coverage, RowFault, priced_term, shorter_twin
from rating.expected import failed_expectations
from rating.findings import KEPT_MAX, Finding, Findings
from rating.formats.text import number_text
from rating.ladder import TermsRefused
from rating.models import DeckVersion, Rate
from rating.terms import RAW, VOICE
from rating.timetable import Band, Calendar, datetime_of, instant_of
from rating.versions import CONTENT, in_force_first, rates_of

HORIZON = timedelta(days=396)  # 13 months
DECIMALS_MAX = 6  # where real accounts are charged
EMERGENCY = ("110", "119", "120", "122")
_FAR_REACHES = ("hmt", "international")

# A row's tiers as (start, price), and the end of its first increment.
_FIRST_TIER = "nullif(split_part(r.tiers, ':', 1), '')::numeric"
_FIRST_ENDS = "(CASE r.free_kind WHEN 'free_first_n' THEN r.free_seconds ELSE 0 END + r.first_increment)"
_LEAST_TIER = "(SELECT min(m[1]::numeric) FROM regexp_matches(r.tiers, ':([0-9.]+)', 'g') m)"
_LEAST = f"least(r.rate, r.first_rate, {_LEAST_TIER})"
_DECIMALS = "coalesce(r.decimals, deck.decimals)"


@dataclass(frozen=True, slots=True)
class RowRule:
    """A fault that shows in the row itself: the condition, and the columns that tell more, by their detail's name."""

    code: str
    condition: str
    details: tuple[tuple[str, str], ...]


_RULES = (
    RowRule(
        "L_BELOW_COST",
        f"r.enabled AND NOT r.blocked AND {_LEAST} < r.cost_rate",
        (("price", _LEAST), ("cost", "r.cost_rate")),
    ),
    RowRule(
        "L_CAP",
        f"r.cap IS NOT NULL AND (r.cap < r.min_charge OR scale(trim_scale(r.cap)) > {_DECIMALS})",
        (("cap", "r.cap"),),
    ),
    RowRule(
        "L_FIRST_TIER",
        f"{_FIRST_TIER} < {_FIRST_ENDS} OR ({_FIRST_TIER} = {_FIRST_ENDS} AND r.first_rate IS NOT NULL)",
        (("start", _FIRST_TIER),),
    ),
    RowRule(
        "L_DECIMALS",
        f"r.decimals > {DECIMALS_MAX} AND deck.numbering <> '{RAW}'",
        (("decimals", "r.decimals"),),
    ),
)


def find_faults(version: DeckVersion, at: datetime, until: datetime | None = None) -> Findings:
    """Everything that looks wrong in the version from `at` (at the earliest its own beginning) until 13 months later.

    `version.deck` must be loaded with its carrier. All findings are counted, the first thousand kept.
    """
    begins = max(at, version.effective_from or at)
    findings = Findings()
    _find_row_faults(version, findings)
    _find_short_notice(version, findings)
    if version.deck.decimals > DECIMALS_MAX and version.deck.numbering != RAW:
        findings.add(Finding("L_DECIMALS", detail={"decimals": str(version.deck.decimals)}))
    try:
        stored = StoredVersion(version)
        known = stored.compiled(stored.whole())  # all of it, whatever of the version processes have in memory
    except TermsRefused as refused:
        findings.add(Finding("L_TERMS", detail={"reason": str(refused)}))
        return findings
    _find_time_faults(version, known, (begins, until or begins + HORIZON), findings)
    return findings


def _find_row_faults(version: DeckVersion, findings: Findings) -> None:
    rows, params = _rows_sql(version)
    counts = ", ".join(f"count(*) FILTER (WHERE {rule.condition})" for rule in _RULES)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts} FROM {rows}", params)  # noqa: S608  ours
        found = cursor.fetchone()
    for rule, count in zip(_RULES, found, strict=True):
        if count:
            findings.add_counted(rule.code, count, _broken_rows(version, rule))


def _broken_rows(version: DeckVersion, rule: RowRule) -> Iterator[Finding]:
    rows, params = _rows_sql(version)
    details = ", ".join(column for _, column in rule.details)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.id, r.prefix, r.destination, {details} FROM {rows} WHERE {rule.condition}"  # noqa: S608  ours
            f" ORDER BY r.key, r.id LIMIT {KEPT_MAX}",
            params,
        )
        for rate_id, prefix, destination, *values in cursor.fetchall():
            detail = {name: number_text(value) for (name, _), value in zip(rule.details, values, strict=True)}
            yield Finding(rule.code, rate_id, prefix, destination, detail)


def _rows_sql(version: DeckVersion) -> tuple[str, tuple[Any, ...]]:
    """The version's rows as `r`, its deck as `deck`, for a FROM clause."""
    sql, params = rates_of(version).order_by().values("id", "deck_id", *CONTENT).query.sql_with_params()
    return f"({sql}) r JOIN rating_deck deck ON deck.id = r.deck_id", tuple(params)


def _find_short_notice(version: DeckVersion, findings: Findings) -> None:
    """Rises against the version that this one replaces, announced too late. A draft is not announced yet."""
    days = version.deck.notice_days
    if not days or version.published_at is None or version.effective_from is None:
        return
    others = DeckVersion.objects.filter(deck=version.deck).exclude(pk=version.pk)
    before = in_force_first(others, version.effective_from).first()
    if before is None:
        return
    rows, params = _rows_sql(version)
    old, old_params = rates_of(before).order_by().values("id", *CONTENT).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.prefix, r.destination, min(b.rate), r.rate, count(*) OVER ()"  # noqa: S608  ours
            f" FROM {rows} JOIN ({old}) b USING (key, carrier, reach, kind, band)"
            " WHERE r.id <> b.id AND r.rate > b.rate AND r.priority IS NOT DISTINCT FROM b.priority"
            "   AND coalesce(b.effective_to > r.effective_from, true)"
            "   AND coalesce(b.effective_from < r.effective_to, true)"
            "   AND greatest(%s, r.effective_from) < %s"
            " GROUP BY r.id, r.key, r.prefix, r.destination, r.rate"
            f" ORDER BY r.key, r.id LIMIT {KEPT_MAX}",
            [*params, *old_params, version.effective_from, version.published_at + timedelta(days=days)],
        )
        raised = cursor.fetchall()
    shown = [
        Finding(
            "L_NOTICE", rate_id, prefix, destination,
            {"before": number_text(old_rate), "after": number_text(new_rate), "days": str(days)},
        )
        for rate_id, prefix, destination, old_rate, new_rate, _ in raised
    ]  # fmt: skip
    findings.add_counted("L_NOTICE", raised[0][-1] if raised else 0, shown)


def _find_time_faults(
    version: DeckVersion, known: CompiledVersion, period: tuple[datetime, datetime], findings: Findings
) -> None:
    for failed in failed_expectations(version.deck, version):
        detail = {"name": failed.name, "expected": failed.expected, "got": failed.got}
        findings.add(Finding("L_EXPECTED", detail=detail))
    calendar = calendars.current()
    coverage = Coverage(known, calendar, (instant_of(period[0]), instant_of(period[1])))
    for finding in _default_faults(version, known):
        findings.add(finding)
    for finding in _emergency_faults(known):
        findings.add(finding)
    for finding in _provisional_bands(known, calendar, period):
        findings.add(finding)
    zone = known.zone
    found = Findings()
    for prefix in sorted(known.candidates):
        for finding in _prefix_faults(known, coverage, prefix, zone):
            found.add(finding)
    named = _with_names(found.items)
    for code, count in found.counts.items():
        findings.add_counted(code, count, [finding for finding in named if finding.code == code])


def _prefix_faults(known: CompiledVersion, coverage: Coverage, prefix: str, zone: ZoneInfo) -> Iterator[Finding]:
    """What is wrong with the rows of one prefix, in time or beside each other."""
    rows, candidates = known.rows[prefix].rate_ids, known.candidates[prefix]
    gap = coverage.gap_of(prefix)
    if gap is not None:
        yield Finding("L_GAP", rows[0], detail={"at": datetime_of(gap, zone).isoformat()})
    twin = shorter_twin(known, prefix)
    for fault in coverage.faults_of(candidates):
        yield _finding_of(fault, rows)
    if twin is not None:
        for rate_id in rows:
            yield Finding("L_SHADOW", rate_id, detail={"other": twin or "*"}, variant="same")


def _finding_of(fault: RowFault, rate_ids: Sequence[int]) -> Finding:
    detail = {} if fault.other is None else {"other": str(rate_ids[fault.other])}
    return Finding(fault.code, rate_ids[fault.place], detail=detail, variant=fault.variant)


def _default_faults(version: DeckVersion, known: CompiledVersion) -> Iterator[Finding]:
    """What prices everything that has no price must have a price for everything."""
    name = settings.RATING_DEFAULT_DECK
    if version.deck.code not in (name, f"{name}-{version.deck.currency.lower()}"):
        return
    empty = known.candidates.get("")
    if empty is None or not any(_counts_for_all(term) for term in empty.terms):
        yield Finding("L_DEFAULT")


def _counts_for_all(term: Term) -> bool:
    return term.always_counts and not term.reach and term.kind in ("", VOICE) and not term.blocked


def _emergency_faults(known: CompiledVersion) -> Iterator[Finding]:
    for number in EMERGENCY:
        found = priced_term(known, number if known.is_raw else f"86.{number}", serves=_serves_emergency)
        if found is not None:
            prefix, place = found
            rate_id = known.rows[prefix].rate_ids[place]
            destination = known.rows[prefix].destinations[place]
            yield Finding("L_EMERGENCY", rate_id, prefix, destination, {"number": number})


def _serves_emergency(term: Term) -> bool:
    return term.kind in ("", VOICE) and term.reach not in _FAR_REACHES


def _provisional_bands(
    known: CompiledVersion, calendar: Calendar, period: tuple[datetime, datetime]
) -> Iterator[Finding]:
    """Bands that test the class of a day which no official notice has confirmed yet."""
    first, last = (at.astimezone(known.zone).date() for at in period)
    uncertain = [day for day in _days(first, last) if calendar.is_provisional(day)]
    used = {term.band for candidates in known.candidates.values() for term in candidates.terms}
    for band in (band for band in known.bands if band in used):
        day = next((day for day in uncertain if _asks(band, day, calendar)), None) if band.terms.classes else None
        if day is not None:
            yield Finding("L_PROVISIONAL", detail={"band": band.name, "day": day.isoformat()})


def _asks(band: Band, day: date, calendar: Calendar) -> bool:
    """Does it depend on the day's class whether the band begins on it?"""
    return Band(replace(band.terms, classes=()), band.bit).begins_on(day, calendar)


def _days(first: date, last: date) -> Iterator[date]:
    return (date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1))


def _with_names(findings: list[Finding]) -> list[Finding]:
    """With prefix and destination as the rows have them; what `other` names is a row's prefix and rate too."""
    wanted = {finding.rate_id for finding in findings if finding.rate_id}
    wanted |= {int(finding.detail["other"]) for finding in findings if _blames_row(finding)}
    rows = Rate.objects.in_bulk(list(wanted))
    return [_named(finding, rows) for finding in findings]


def _named(finding: Finding, rows: dict[int, Rate]) -> Finding:
    row = rows[finding.rate_id or 0]
    detail = finding.detail
    if _blames_row(finding):
        other = rows[int(detail["other"])]
        detail = {"other": " ".join(filter(None, (other.prefix or "*", other.band, other.carrier)))}
    return replace(finding, prefix=row.prefix, destination=row.destination, detail=detail)


def _blames_row(finding: Finding) -> bool:
    return "other" in finding.detail and finding.variant != "same"
