"""The tariffs of a whole period at once, for those who price a million stored calls again.

`tariffs.tariff_for` keeps an answer per hour, which suits the present. Here all assignments are read once, a tariff
holds every version that some call of the period may meet, and accounts that were assigned the same decks share it. A
version may stand in for its deck, a draft too: then the calls are priced as if it had always been in force.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from django.conf import settings

from rating.caching.live import compiled_versions
from rating.caching.stored import compiled
from rating.compiled import CompiledVersion
from rating.costs import ANY_CATEGORY, ANY_TENANT, COST_PLAN
from rating.errors import DeckUnknown
from rating.models import Deck, DeckVersion, TariffProfile
from rating.tariff import Tariff, single_deck_tariff
from rating.tariffs import (
    ANYBODY,
    CALL_MAX,
    HOUR,
    MAIN,
    Chain,
    Present,
    Published,
    TariffKey,
    Timeline,
    hour_of,
    known_now,
    replaced_by,
)
from rating.timetable import FOREVER

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class StandIn(NamedTuple):
    """A version that takes its deck's place; `is_cost`: that of a supplier."""

    deck: str
    family: str
    carrier: str
    currency: str
    is_cost: bool
    row: Published
    version: CompiledVersion


def stand_in(deck: str, number: int) -> StandIn:
    """A version, drafts too, as if it had always been in force. Raises DeckUnknown."""
    row = DeckVersion.objects.select_related("deck__carrier").filter(deck__code=deck, number=number).first()
    if row is None:
        raise DeckUnknown(deck=deck, version=number)
    version = replace(compiled(row), in_force_from=-FOREVER)
    carrier = row.deck.carrier.code if row.deck.carrier else ""
    published = Published(row.pk, row.number, ALWAYS, row.row_count)
    return StandIn(
        deck, row.deck.family, carrier, row.deck.currency, row.deck.purpose == Deck.Purpose.COST, published, version
    )


class _Assignments(dict[TariffKey, list[TariffProfile]]):
    """All of them: what is not among them is assigned nothing, and nobody need ask the database."""

    def get(self, key: TariffKey, _default: object = None) -> list[TariffProfile]:
        return super().get(key) or []


class _Kept(NamedTuple):
    """A tariff, and the hours of a use's beginning for which its fallback chain is the same."""

    first: int
    last: int
    tariff: Tariff


class PeriodTariffs:
    """Tariffs for uses that begin in [begins, ends)."""

    def __init__(self, begins: datetime, ends: datetime, *, instead: StandIn | None = None) -> None:
        now = known_now()
        self._begins, self._ends, self.instead = begins, ends, instead
        self._families, self._decks = _replaced(now, instead)
        self._present = Present(
            now.generation, now.calendar, self._families, self._decks, profiles=_read_assignments(),
            versions={} if instead is None else {instead.row.id: instead.version},
        )  # fmt: skip
        self.costs_are_known = any(key.plan == COST_PLAN for key in self._present.profiles)
        self._kept: dict[tuple[TariffKey, str], list[_Kept]] = {}
        self._shared: dict[object, Tariff] = {}
        self._defaults: dict[str, Tariff | None] = {}

    def tariff_for(self, key: TariffKey, *, at: datetime, currency: str) -> Tariff:
        """As `tariffs.tariff_for`. Without an assignment: one without subjects (`no_tariff`)."""
        hour = hour_of(at)
        kept = self._kept.setdefault((key, currency), [])
        for one in kept:
            if one.first <= hour <= one.last:
                return one.tariff
        kept.append(self._resolved(key, hour, currency))
        return kept[-1].tariff

    def sale_tariff(self, tenant: str, category: str, subject: str, *, at: datetime, currency: str) -> Tariff:
        """What the customer pays by."""
        return self.tariff_for(TariffKey(MAIN, tenant, category, subject), at=at, currency=currency)

    def cost_tariff(self, category: str, carrier: str, *, at: datetime, currency: str) -> Tariff | None:
        """What the supplier is paid by, as `costs.cost_tariff`."""
        for name in (category, ANY_CATEGORY) if self.costs_are_known else ():
            key = TariffKey(COST_PLAN, ANY_TENANT, name, carrier or ANYBODY)
            tariff = self.tariff_for(key, at=at, currency=currency)
            if tariff.subjects:
                return tariff
        return None

    def default_tariff(self, currency: str) -> Tariff | None:
        """As `tariffs.default_tariff`, for the whole period."""
        if currency not in self._defaults:
            self._defaults[currency] = self._default(currency)
        return self._defaults[currency]

    def _default(self, currency: str) -> Tariff | None:
        name = settings.RATING_DEFAULT_DECK
        for code in (name, f"{name}-{currency.lower()}"):
            if self._decks.get(code, ("", ()))[0] == currency:
                versions = self._met(self._decks[code][1])
                return single_deck_tariff(versions, calendar=self._present.calendar) if versions else None
        return None

    def _resolved(self, key: TariffKey, hour: int, currency: str) -> _Kept:
        chain = Chain(self._present, key, hour=hour, levels=settings.RATING_FALLBACK_DEPTH, met=self._met)
        subjects, skipped = chain.resolve()
        first, last = 0, FOREVER
        for instant in [one.active_from for subject in subjects for one in subject.activations if one.active_from]:
            begins = hour_of(instant)  # from this hour on the activation's own fallback subjects count
            first, last = (max(first, begins), last) if begins <= hour else (first, min(last, begins - 1))
        terms = tuple(
            (subject.name, *((one.active_from, tuple(one.timelines.items())) for one in subject.activations))
            for subject in subjects
        )
        tariff = self._shared.setdefault((terms, currency), Tariff(subjects, self._present.calendar, currency, skipped))
        return _Kept(first, last, tariff)

    def _met(self, versions: Timeline) -> tuple[CompiledVersion, ...]:
        """The versions that some call of the period may meet, compiled."""
        ends = self._ends + HOUR + CALL_MAX
        met = [one.id for one in versions[replaced_by(versions, self._begins) :] if one.effective_from < ends]
        for version_id in met:
            if version_id not in self._present.versions:
                self._present.versions[version_id] = compiled_versions.load(version_id)
        return tuple(self._present.versions[version_id] for version_id in met)


def _replaced(
    now: Present, instead: StandIn | None
) -> tuple[Mapping[str, Mapping[str, Timeline]], Mapping[str, tuple[str, Timeline]]]:
    if instead is None:
        return now.families, now.decks
    alone: Timeline = (instead.row,)
    family = {**now.families.get(instead.family, {}), instead.carrier: alone}
    return {**now.families, instead.family: family}, {**now.decks, instead.deck: (instead.currency, alone)}


def _read_assignments() -> _Assignments:
    found = _Assignments()
    rows: Iterable[TariffProfile] = TariffProfile.objects.filter(plan__in=(MAIN, COST_PLAN)).iterator(chunk_size=5_000)
    for profile in rows:
        key = TariffKey(profile.plan, profile.tenant, profile.category, profile.subject)
        found.setdefault(key, []).append(profile)
    for profiles in found.values():
        profiles.sort(key=lambda profile: profile.active_from or ALWAYS)
    return found
