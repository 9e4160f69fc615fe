"""What a deck version contains, and how the database's rows become the engine's terms.

A published version holds the rows whose range covers its number; a draft holds its base's rows without those that it
ends, and the rows of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Collate

from rating.formats.directives import dates_text, read_dates
from rating.formats.fields import tiers
from rating.models import Deck, DeckVersion, Rate, RateEnd, TimeBand
from rating.terms import BandTerms, RateTerms, TierTerms, VersionTerms
from rating.timetable import SECOND

State = DeckVersion.State
LASTING = (State.PUBLISHED, State.WITHDRAWN)
UNPUBLISHED = (State.DRAFT, State.PROPOSED)

# Everything of a row that is not its place in the history of versions; the order is that of all set-based statements.
CONTENT = (
    "prefix", "key", "destination", "enabled", "carrier", "reach", "kind", "band", "priority", "rate", "rate_unit",
    "first_rate", "first_increment", "next_increment", "tiers", "connect_fee", "free_kind", "free_seconds",
    "min_charge", "cap", "cap_kind", "rounding", "decimals", "blocked", "effective_from", "effective_to",
    "cost_rate", "comment",
)  # fmt: skip
# The same on every database, whatever its collation.
EXPORT_ORDER: tuple[Combinable, ...] = (
    *(Collate(name, "C") for name in ("prefix", "carrier", "reach", "band")),
    F("effective_from").asc(nulls_first=True), Collate("kind", "C"), F("priority").asc(nulls_first=True), F("id"),
)  # fmt: skip


def rates_of(version: DeckVersion) -> QuerySet[Rate]:
    """The rows that the version consists of."""
    is_draft = version.state in UNPUBLISHED
    number = version.base if is_draft else version.number
    unpublished = DeckVersion.objects.filter(deck_id=version.deck_id).exclude(state__in=LASTING).values("number")
    inherited = (
        Q(valid_from_version__lte=number)
        & (Q(valid_to_version__isnull=True) | Q(valid_to_version__gt=number))
        & ~Q(valid_from_version__in=unpublished)
    )
    rows = Rate.objects.filter(deck_id=version.deck_id)
    if not is_draft:
        return rows.filter(inherited)
    ended = RateEnd.objects.filter(draft=version).values("rate_id")
    return rows.filter((inherited & ~Q(pk__in=ended)) | Q(valid_from_version=version.number))


def in_force_first(versions: QuerySet[DeckVersion], at: datetime) -> QuerySet[DeckVersion]:
    """Of one deck's versions those that have taken effect, the one in force at `at` first."""
    return versions.filter(state=State.PUBLISHED, effective_from__lte=at).order_by("-effective_from", "-number")


def latest_version(deck: Deck) -> DeckVersion | None:
    """The published version with the highest number: what the next draft starts from."""
    published = DeckVersion.objects.filter(deck=deck, state=State.PUBLISHED)
    return published.select_related("deck__carrier").order_by("-number").first()


def version_in_force(deck: Deck, at: datetime) -> DeckVersion | None:
    """The published version with the greatest effective instant <= `at`; of equals the later number."""
    return in_force_first(DeckVersion.objects.filter(deck=deck), at).select_related("deck__carrier").first()


def standing(version: DeckVersion, at: datetime, *, in_force_id: int | None) -> str:
    """scheduled, live or superseded for a published version at an instant; its stored state otherwise."""
    if version.state != State.PUBLISHED or version.effective_from is None:
        return str(version.state)
    if version.effective_from > at:
        return "scheduled"
    return "live" if version.pk == in_force_id else "superseded"


def bands_of(version: DeckVersion) -> list[BandTerms]:
    """The time bands of the version, by name."""
    return [band_terms(band) for band in TimeBand.objects.filter(version=version).order_by("name")]


def head_of(version: DeckVersion) -> VersionTerms:
    """What all rows of the version share; `version.deck` must be loaded with its carrier."""
    deck = version.deck
    return VersionTerms(
        deck=deck.code,
        version=version.number,
        version_id=version.pk,
        family=deck.family,
        carrier=deck.carrier.code if deck.carrier else "",
        currency=deck.currency,
        zone=deck.zone,
        numbering=deck.numbering,
        rounding=deck.rounding,
        decimals=deck.decimals,
        effective_from=version.effective_from,
        units_per_second=SECOND if deck.plan_id else 1,
    )


def distinct_terms(rates: QuerySet[Rate]) -> Iterator[RateTerms]:
    """The terms that occur, each once, without the prefixes: enough to know that all of them can be priced."""
    names = [name for name in CONTENT if name not in ("prefix", "key", "destination", "cost_rate", "comment")]
    for values in rates.order_by().values_list(*names).distinct():
        fields = dict(zip(names, values, strict=True))
        yield RateTerms(rate_id=0, prefix="", **{**fields, "tiers": read_tiers(fields["tiers"])})


def exported_rates(version: DeckVersion) -> Iterator[RateTerms]:
    """The rows as a file shows them: prefixes as dialled, in the order of exports."""
    rows = rates_of(version).order_by(*EXPORT_ORDER).values_list("id", *CONTENT).iterator(chunk_size=20_000)
    return (_terms(row) for row in rows)


def band_terms(band: TimeBand) -> BandTerms:
    """The engine's form of a stored band."""
    return BandTerms(
        name=band.name,
        classes=tuple(band.classes),
        weekdays=tuple(band.weekdays),
        years=tuple(band.years),
        months=tuple(band.months),
        month_days=tuple(band.month_days),
        dates=tuple(read_dates(text) for text in band.dates),
        start=band.start,
        end=band.end,
        priority=band.priority,
    )


def store_bands(version: DeckVersion, bands: Iterable[BandTerms]) -> None:
    """Give the draft these bands in place of its own."""
    TimeBand.objects.filter(version=version).delete()
    TimeBand.objects.bulk_create(
        TimeBand(
            version=version,
            name=band.name,
            classes=list(band.classes),
            weekdays=list(band.weekdays),
            years=list(band.years),
            months=list(band.months),
            month_days=list(band.month_days),
            dates=[dates_text(first, last) for first, last in band.dates],
            start=band.start,
            end=band.end,
            priority=band.priority,
        )
        for band in bands
    )


def export_head(version: DeckVersion) -> dict[str, object]:
    """What the `#!deck` line of the version's file says."""
    deck = version.deck
    return {
        "currency": deck.currency,
        "zone": ZoneInfo(deck.zone).key,
        "numbering": deck.numbering,
        "rounding": deck.rounding,
        "decimals": deck.decimals,
    }


def _terms(row: Sequence[Any]) -> RateTerms:
    rate_id, prefix, _key, *values = row
    fields = dict(zip(CONTENT[2:], values, strict=True))
    fields["tiers"] = read_tiers(fields["tiers"])
    return RateTerms(rate_id=rate_id, prefix=prefix, **fields)


def read_tiers(text: str) -> tuple[TierTerms, ...]:
    """The stored text of a row's tiers."""
    return tiers(text) if text else ()
