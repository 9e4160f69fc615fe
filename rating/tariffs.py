"""Which tariff prices a use: the fallback chain of subjects, and the deck versions that a call may meet.

A warm answer is a look in a dict. Call `warm` before a transaction that must not wait for a cold one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from rating.compiled import CompiledVersion
from rating.errors import DeckUnknown
from rating.live import calendars, compiled_versions, generations
from rating.models import Deck, DeckVersion, TariffProfile
from rating.tariff import Activation, Subject, Tariff, single_deck_tariff
from rating.timetable import FOREVER, Calendar
from rating.versions import compiled

MAIN = "main"
ANYBODY = "*any"
CALL_MAX = timedelta(days=31)  # a call that begins now may meet what begins until then
HOUR = timedelta(hours=1)
TARIFFS_MAX = 50_000
VERSIONS_MAX = 64  # that tariffs hold on to; beyond that all are built anew from the bounded cache
CURRENCY = "CNY"


class TariffKey(NamedTuple):
    """Whose uses of what."""

    plan: str
    tenant: str
    category: str
    subject: str


class _Version(NamedTuple):
    """A published version: where it stands, without its rows."""

    id: int
    number: int
    effective_from: datetime


@dataclass(slots=True)
class _Present:
    """What is known at one generation of tariffs and calendar. Replaced as a whole, never cleaned."""

    generation: tuple[int, int]
    calendar: Calendar
    families: Mapping[str, Mapping[str, tuple[_Version, ...]]]  # family -> carrier ("" = any) -> versions in order
    decks: Mapping[str, tuple[str, tuple[_Version, ...]]]  # deck code -> currency, versions in order
    versions: dict[int, CompiledVersion] = field(default_factory=dict)
    profiles: dict[TariffKey, list[TariffProfile]] = field(default_factory=dict)
    tariffs: dict[object, Tariff] = field(default_factory=dict)


class _Holder:
    def __init__(self) -> None:
        self._present: _Present | None = None

    def present(self) -> _Present:
        generation = generations.number("tariffs"), generations.number("calendar")
        present = self._present
        if present is None or present.generation != generation:
            present = self._present = _read_present(generation)
        return present


_holder = _Holder()


def refresh() -> None:
    """Look for changes at the next question, without waiting for the second to pass."""
    generations.forget()


def tariff_for(
    *, tenant: str, category: str, subject: str, at: datetime, plan: str = MAIN, currency: str = CURRENCY
) -> Tariff:
    """The tariff of a use that begins at `at`. Without an assignment: one without subjects (`no_tariff`)."""
    present = _holder.present()
    key = TariffKey(plan, tenant, category, subject)
    hour = _hour(at)
    return present.tariffs.get((key, hour, currency)) or _load_tariff(present, key, hour=hour, currency=currency)


def warm(keys: Iterable[tuple[str, str, str, str]], *, at: datetime, currency: str = CURRENCY) -> None:
    """Have the tariffs of (plan, tenant, category, subject) ready, decks compiled."""
    present, hour = _holder.present(), _hour(at)
    for key in {TariffKey(*key) for key in keys}:
        if (key, hour, currency) not in present.tariffs:
            _load_tariff(present, key, hour=hour, currency=currency)
    default_tariff(currency, at=at)


def default_tariff(currency: str, *, at: datetime) -> Tariff | None:
    """The tariff for uses that no rate fits; None when no default deck of this currency is in force."""
    name = settings.RATING_DEFAULT_DECK
    present = _holder.present()
    for code in (name, f"{name}-{currency.lower()}"):
        if present.decks.get(code, ("", ()))[0] == currency:
            return _deck_tariff(present, code, at)
    return None


def deck_tariff(code: str, *, at: datetime, version: int | None = None) -> Tariff:
    """The tariff of one deck alone: at `at`, or always by one version (drafts too). Raises DeckUnknown."""
    present = _holder.present()
    if version is not None:
        found = DeckVersion.objects.filter(deck__code=code, number=version).values_list("pk", "state").first()
        if found is None:
            raise DeckUnknown(deck=code, version=version)
        return single_deck_tariff([_always(found[0], is_draft=found[1] == "draft")], calendar=present.calendar)
    tariff = _deck_tariff(present, code, at)
    if tariff is None:
        raise DeckUnknown(deck=code)
    return tariff


def _hour(at: datetime) -> int:
    """Tariffs are kept per hour, since the versions that a call may meet depend on it. TypeError for a naive time."""
    return (at - _EPOCH) // HOUR


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _read_present(generation: tuple[int, int]) -> _Present:
    families: dict[str, dict[str, tuple[_Version, ...]]] = {}
    decks: dict[str, tuple[str, tuple[_Version, ...]]] = {}
    versions: dict[int, list[_Version]] = {}
    published = DeckVersion.objects.filter(state=DeckVersion.State.PUBLISHED).order_by("effective_from", "number")
    for deck_id, version_id, number, effective_from in published.values_list("deck", "id", "number", "effective_from"):
        assert effective_from is not None  # a constraint of the table
        versions.setdefault(deck_id, []).append(_Version(version_id, number, effective_from))
    for deck_id, code, family, carrier, currency in Deck.objects.values_list(
        "id", "code", "family", "carrier__code", "currency"
    ):
        timeline = tuple(versions.get(deck_id, ()))
        families.setdefault(family, {})[carrier or ""] = timeline
        decks[code] = currency, timeline
    return _Present(generation, calendars.current(), families, decks)


def _load_tariff(present: _Present, key: TariffKey, *, hour: int, currency: str) -> Tariff:
    if len(present.tariffs) > TARIFFS_MAX or len(present.versions) > VERSIONS_MAX:
        present.tariffs.clear()
        present.profiles.clear()
        present.versions.clear()
    chain, skipped = _Chain(present, key, hour).resolve()
    names = tuple(subject.name for subject in chain)
    # Accounts without rates of their own share the tariff of *any.
    shared = (key.plan, key.tenant, key.category, names, skipped, hour, currency)
    tariff = present.tariffs.setdefault(shared, Tariff(chain, present.calendar, currency, skipped))
    present.tariffs[key, hour, currency] = tariff
    return tariff


class _Chain:
    """Resolves the subjects of one key: itself or *any, then the fallback subjects, depth first, each once."""

    def __init__(self, present: _Present, key: TariffKey, hour: int) -> None:
        self._present, self._key, self._hour = present, key, hour
        self._met: set[str] = set()
        self._subjects: list[Subject] = []
        self._skipped: list[str] = []

    def resolve(self) -> tuple[tuple[Subject, ...], tuple[str, ...]]:
        for category in dict.fromkeys((self._key.category, self._key.category.rpartition(".")[0])):
            for name in (self._key.subject, ANYBODY):
                profiles = self._profiles(category, name) if category else []
                if profiles:
                    self._add(category, name, profiles, levels=settings.RATING_FALLBACK_DEPTH)
                    return tuple(self._subjects), tuple(self._skipped)
        return (), ()

    def _add(self, category: str, name: str, profiles: list[TariffProfile], *, levels: int) -> None:
        self._met.add(name)
        self._subjects.append(Subject(name, tuple(self._activation(profile) for profile in profiles)))
        if levels > 1:
            for fallback in self._in_force(profiles).fallback_subjects:
                self._add_fallback(category, fallback, levels=levels - 1)

    def _add_fallback(self, category: str, name: str, *, levels: int) -> None:
        if name in self._met:
            return
        profiles = self._profiles(category, name)
        if profiles:
            self._add(category, name, profiles, levels=levels)
        else:
            self._met.add(name)
            self._skipped.append(name)

    def _profiles(self, category: str, subject: str) -> list[TariffProfile]:
        key = self._key._replace(category=category, subject=subject)
        found = self._present.profiles.get(key)
        if found is None:
            rows = TariffProfile.objects.filter(**key._asdict())
            found = sorted(rows, key=lambda profile: profile.active_from or _EPOCH)
            self._present.profiles[key] = found
        return found

    def _in_force(self, profiles: list[TariffProfile]) -> TariffProfile:
        ends = _EPOCH + (self._hour + 1) * HOUR
        started = [profile for profile in profiles if profile.active_from is None or profile.active_from < ends]
        return started[-1] if started else profiles[0]

    def _activation(self, profile: TariffProfile) -> Activation:
        family = self._present.families.get(profile.family, {})
        timelines = {carrier: _met_in(self._present, versions, self._hour) for carrier, versions in family.items()}
        return Activation(timelines, profile.active_from)


def _deck_tariff(present: _Present, code: str, at: datetime) -> Tariff | None:
    key = (code, _hour(at))
    tariff = present.tariffs.get(key)
    if tariff is None and code in present.decks:
        versions = _met_in(present, present.decks[code][1], _hour(at))
        if versions:
            tariff = present.tariffs[key] = single_deck_tariff(versions, calendar=present.calendar)
    return tariff


def _met_in(present: _Present, versions: tuple[_Version, ...], hour: int) -> tuple[CompiledVersion, ...]:
    """The versions that a call which begins in this hour may meet, compiled."""
    begins = _EPOCH + hour * HOUR
    ends = begins + HOUR + CALL_MAX
    replaced = sum(version.effective_from <= begins for version in versions) - 1  # all before the one in force
    met = [version.id for version in versions[max(replaced, 0) :] if version.effective_from < ends]
    for version_id in met:
        if version_id not in present.versions:
            present.versions[version_id] = compiled_versions.load(version_id)
    return tuple(present.versions[version_id] for version_id in met)


def _always(version_id: int, *, is_draft: bool) -> CompiledVersion:
    """The version as if it had always been in force; a draft is compiled afresh, since it may change."""
    version = DeckVersion.objects.select_related("deck__carrier").get(pk=version_id)
    found = compiled(version) if is_draft else compiled_versions.load(version_id)
    return replace(found, in_force_from=-FOREVER)
