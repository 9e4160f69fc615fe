"""What an explanation knows beyond a charge: the versions before and after those in force, and earlier knowledge.

A charge asks the versions that its call may meet. An explanation also names what was replaced and what is yet to come;
of large versions that nobody charges by it then reads only what is on the number's own prefixes.
"""

from datetime import datetime
from functools import lru_cache

from django.conf import settings

from rating import tariffs
from rating.caching.live import compiled_versions
from rating.caching.on_demand import on_demand
from rating.calendar import calendar_known_at
from rating.call import Call
from rating.compiled import CompiledVersion
from rating.errors import DeckUnknown
from rating.models import DeckVersion
from rating.tariff import Subject, Tariff, single_deck_tariff
from rating.tariffs import Chain, Present, Published, TariffKey, Timeline

SMALL = 5_000  # rows; a version as small as this is compiled whole
LATER_MAX = 8  # versions to come that are looked at
LARGE_KEPT = 16  # large versions, each as far as it was asked for
REMEMBERED = 8  # earlier knowledge that is kept


def explained_tariff(key: TariffKey, call: Call, *, known_at: datetime | None, levels: int | None) -> Tariff:
    """The tariff that prices the call, with the versions around those that it meets.

    `levels` of the fallback chain, the subject itself included; None: the setting.
    """
    present = _knowledge(known_at)
    around = _Around(present, call.at)
    depth = settings.RATING_FALLBACK_DEPTH if levels is None else levels
    subjects, skipped = Chain(present, key, hour=around.hour, levels=depth, met=around.versions).resolve()
    return Tariff(subjects, present.calendar, _currency(key, subjects), skipped)


def explained_deck(code: str, call: Call, *, known_at: datetime | None) -> Tariff:
    """The tariff of one deck alone, likewise. Raises DeckUnknown when none of its versions is published."""
    present = _knowledge(known_at)
    found = _Around(present, call.at).versions(present.decks.get(code, ("", ()))[1])
    if not found:
        raise DeckUnknown(deck=code)
    return single_deck_tariff(found, calendar=present.calendar)


def explained_version(code: str, number: int, *, at: datetime, known_at: datetime | None) -> Tariff:
    """One version as if it had always been in force; drafts too. Raises DeckUnknown, also for what came later."""
    if known_at is None:
        return tariffs.deck_tariff(code, at=at, version=number)
    if DeckVersion.objects.filter(deck__code=code, number=number, published_at__gt=known_at).exists():
        raise DeckUnknown(deck=code, version=number)
    subjects = tariffs.deck_tariff(code, at=at, version=number)
    return Tariff(subjects.subjects, _knowledge(known_at).calendar, subjects.currency)


def _currency(key: TariffKey, subjects: tuple[Subject, ...]) -> str:
    """Live uses are paid in the house's currency; another plan's calls in that of its first deck."""
    if key.plan == tariffs.MAIN:
        return tariffs.CURRENCY
    activations = (activation for subject in subjects for activation in subject.activations)
    versions = (version for one in activations for line in one.timelines.values() for version in line)
    return next((version.currency for version in versions), tariffs.CURRENCY)


def _knowledge(known_at: datetime | None) -> Present:
    now = tariffs.known_now()
    present = now if known_at is None else _earlier(now.generation, known_at)
    if len(present.profiles) > tariffs.TARIFFS_MAX:  # somebody asks about whoever there is
        present.profiles.clear()
    return present


@lru_cache(maxsize=REMEMBERED)
def _earlier(generation: tuple[int, int], known_at: datetime) -> Present:
    return tariffs.read_present(generation, calendar=calendar_known_at(known_at), known_at=known_at)


class _Around:
    """The versions of a deck that one question looks at."""

    def __init__(self, present: Present, at: datetime) -> None:
        self._present, self.hour = present, tariffs.hour_of(at)

    def versions(self, timeline: Timeline) -> tuple[CompiledVersion, ...]:
        """The one before, those that the call may meet, the next ones; in the order of their effect."""
        met = tariffs.met_in(self._present, timeline, hour=self.hour)
        first = tariffs.replaced_by(timeline, tariffs.hour_begins(self.hour))
        last = first + len(met)
        before = [_aside(version) for version in timeline[max(first - 1, 0) : first]]
        return (*before, *met, *(_aside(version) for version in timeline[last : last + LATER_MAX]))


def _aside(version: Published) -> CompiledVersion:
    """A version beside those that the call may meet."""
    return compiled_versions.load(version.id) if version.row_count <= SMALL else _large(version.id)


@lru_cache(maxsize=LARGE_KEPT)
def _large(version_id: int) -> CompiledVersion:
    return on_demand(DeckVersion.objects.select_related("deck__carrier").get(pk=version_id))
