"""Which tariff prices a use: the fallback chain of subjects, and the deck versions that a call may meet.

A warm answer is a look in a dict. Call `warm` before a transaction that must not wait for a cold one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import NamedTuple

from django.conf import settings

from rating.caching.live import calendars, compiled_versions, generations
from rating.caching.on_demand import on_demand
from rating.compiled import CompiledVersion
from rating.errors import DeckUnknown
from rating.models import Deck, DeckVersion, TariffProfile
from rating.tariff import Activation, Subject, Tariff, single_deck_tariff
from rating.timetable import FOREVER, Calendar
from rating.versions import UNPUBLISHED

MAIN = "main"
ANYBODY = "*any"
CALL_MAX = timedelta(days=31)  # a call that begins now may meet what begins until then
HOUR = timedelta(hours=1)
TARIFFS_MAX = 50_000
CURRENCY = "CNY"


class TariffKey(NamedTuple):
    """Whose uses of what."""

    plan: str
    tenant: str
    category: str
    subject: str


class Published(NamedTuple):
    """A published version: where it stands, without its rows."""

    id: int
    number: int
    effective_from: datetime
    row_count: int


Timeline = tuple[Published, ...]
Met = Callable[[Timeline], tuple[CompiledVersion, ...]]  # the versions of a deck that a question asks about


@dataclass(slots=True)
class Present:
    """What is known at one generation of tariffs and calendar; with `known_at`, what was known then.

    Replaced as a whole, never cleaned.
    """

    generation: tuple[int, int]
    calendar: Calendar
    families: Mapping[str, Mapping[str, Timeline]]  # family -> carrier ("" = any) -> versions in order
    decks: Mapping[str, tuple[str, Timeline]]  # deck code -> currency, versions in order
    known_at: datetime | None = None
    versions: dict[int, CompiledVersion] = field(default_factory=dict)
    profiles: dict[TariffKey, list[TariffProfile]] = field(default_factory=dict)
    tariffs: dict[object, Tariff] = field(default_factory=dict)


class _Holder:
    def __init__(self) -> None:
        self._present: Present | None = None

    def present(self) -> Present:
        generation = generations.number("tariffs"), generations.number("calendar")
        present = self._present
        if present is None or present.generation != generation:
            present = self._present = read_present(generation, calendar=calendars.current())
        return present


_holder = _Holder()


def known_now() -> Present:
    """What this process knows of the present, at most a second old."""
    return _holder.present()


def refresh() -> None:
    """Look for changes at the next question, without waiting for the second to pass."""
    generations.forget()


def tariff_for(
    *, tenant: str, category: str, subject: str, at: datetime, plan: str = MAIN, currency: str = CURRENCY
) -> Tariff:
    """The tariff of a use that begins at `at`. Without an assignment: one without subjects (`no_tariff`)."""
    present = _holder.present()
    key = TariffKey(plan, tenant, category, subject)
    hour = hour_of(at)
    return present.tariffs.get((key, hour, currency)) or _load_tariff(present, key, hour=hour, currency=currency)


def warm(
    keys: Iterable[tuple[str, str, str, str]], *, at: datetime, currency: str = CURRENCY, numbers: Iterable[str] = ()
) -> None:
    """Have the tariffs of (plan, tenant, category, subject) ready, and where a deck of theirs is not compiled yet the
    rates on these numbers (keys)."""
    present, hour, wanted = _holder.present(), hour_of(at), {TariffKey(*key) for key in keys}
    cold = [key for key in wanted if (key, hour, currency) not in present.tariffs]
    if cold:
        _read_chains(present, cold)
    for key in cold:
        _load_tariff(present, key, hour=hour, currency=currency)
    tariffs = (present.tariffs.get((key, hour, currency)) for key in wanted)
    _fetch(chain([default_tariff(currency, at=at)], tariffs), numbers)


def _fetch(tariffs: Iterable[Tariff | None], numbers: Iterable[str]) -> None:
    """Ask for the numbers once in each version that answers on demand: what it fetched, it keeps."""
    cold = set(compiled_versions.cold())
    if cold:
        met = {version for tariff in tariffs if tariff is not None for version in tariff.versions()}
        for number in set(numbers):
            for version in met & cold:
                version.candidates.get(number)


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
        return single_deck_tariff([_always(found[0], is_draft=found[1] in UNPUBLISHED)], calendar=present.calendar)
    tariff = _deck_tariff(present, code, at)
    if tariff is None:
        raise DeckUnknown(deck=code)
    return tariff


def hour_of(at: datetime) -> int:
    """Tariffs are kept per hour, since the versions that a call may meet depend on it. TypeError for a naive time."""
    return (at - _EPOCH) // HOUR


def hour_begins(hour: int) -> datetime:
    """The instant at which an hour of `hour_of` begins."""
    return _EPOCH + hour * HOUR


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_present(generation: tuple[int, int], *, calendar: Calendar, known_at: datetime | None = None) -> Present:
    """Every deck's published versions; with `known_at` those that were published by then."""
    families: dict[str, dict[str, Timeline]] = {}
    decks: dict[str, tuple[str, Timeline]] = {}
    versions: dict[int, list[Published]] = {}
    published = DeckVersion.objects.filter(state=DeckVersion.State.PUBLISHED).order_by("effective_from", "number")
    if known_at is not None:
        published = published.filter(published_at__lte=known_at)
    for deck_id, version_id, number, effective_from, row_count in published.values_list(
        "deck", "id", "number", "effective_from", "row_count"
    ):
        assert effective_from is not None  # a constraint of the table
        versions.setdefault(deck_id, []).append(Published(version_id, number, effective_from, row_count))
    for deck_id, code, family, carrier, currency in Deck.objects.values_list(
        "id", "code", "family", "carrier__code", "currency"
    ):
        timeline = tuple(versions.get(deck_id, ()))
        families.setdefault(family, {})[carrier or ""] = timeline
        decks[code] = currency, timeline
    return Present(generation, calendar, families, decks, known_at)


def _load_tariff(present: Present, key: TariffKey, *, hour: int, currency: str) -> Tariff:
    if len(present.tariffs) > TARIFFS_MAX:
        present.tariffs.clear()
        present.profiles.clear()
    met = partial(met_in, present, hour=hour)
    chain, skipped = Chain(present, key, hour=hour, levels=settings.RATING_FALLBACK_DEPTH, met=met).resolve()
    names = tuple(subject.name for subject in chain)
    # Accounts without rates of their own share the tariff of *any.
    shared = (key.plan, key.tenant, key.category, names, skipped, hour, currency)
    tariff = present.tariffs.setdefault(shared, Tariff(chain, present.calendar, currency, skipped))
    present.tariffs[key, hour, currency] = tariff
    return tariff


def _read_chains(present: Present, keys: Iterable[TariffKey]) -> None:
    """Read the assignments of many subjects and of their fallback subjects: a query per level, not per subject."""
    wanted = {
        key._replace(category=category, subject=subject)
        for key in keys
        for category in (key.category, key.category.rpartition(".")[0])
        for subject in (key.subject, ANYBODY)
    }
    for _ in range(settings.RATING_FALLBACK_DEPTH):
        wanted = {key for key in wanted if key not in present.profiles}
        if not wanted:
            return
        _read_profiles(present, wanted)
        wanted = {
            key._replace(subject=subject)
            for key in wanted
            for profile in present.profiles[key]
            for subject in profile.fallback_subjects
        }


def _read_profiles(present: Present, keys: Collection[TariffKey]) -> None:
    """What is assigned to each of these, in the order of its beginning; an empty list is an answer."""
    found: dict[TariffKey, list[TariffProfile]] = {key: [] for key in keys}
    for profile in TariffProfile.objects.raw(
        "SELECT p.* FROM rating_tariffprofile p JOIN unnest(%s::text[], %s::text[], %s::text[], %s::text[])"
        " AS asked (plan, tenant, category, subject) USING (plan, tenant, category, subject)"
        " WHERE %s::timestamptz IS NULL OR p.created_at <= %s",
        [*map(list, zip(*keys, strict=True)), present.known_at, present.known_at],
    ):
        found[TariffKey(profile.plan, profile.tenant, profile.category, profile.subject)].append(profile)
    for profiles in found.values():
        profiles.sort(key=lambda profile: profile.active_from or _EPOCH)
    present.profiles.update(found)


class Chain:
    """Resolves the subjects of one key: itself or *any, then the fallback subjects, depth first, each once.

    `levels` counts the subject itself; `met` says which versions of a deck are asked.
    """

    def __init__(self, present: Present, key: TariffKey, *, hour: int, levels: int, met: Met) -> None:
        self._present, self._key, self._hour, self._levels, self._met_of = present, key, hour, levels, met
        self._met: set[str] = set()
        self._subjects: list[Subject] = []
        self._skipped: list[str] = []

    def resolve(self) -> tuple[tuple[Subject, ...], tuple[str, ...]]:
        """The subjects in order, and the names of those skipped since nothing is assigned to them."""
        for category in dict.fromkeys((self._key.category, self._key.category.rpartition(".")[0])):
            for name in (self._key.subject, ANYBODY):
                profiles = self._profiles(category, name) if category else []
                if profiles:
                    self._add(category, name, profiles, levels=self._levels)
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
            _read_profiles(self._present, [key])
            found = self._present.profiles[key]
        return found

    def _in_force(self, profiles: list[TariffProfile]) -> TariffProfile:
        ends = hour_begins(self._hour + 1)
        started = [profile for profile in profiles if profile.active_from is None or profile.active_from < ends]
        return started[-1] if started else profiles[0]

    def _activation(self, profile: TariffProfile) -> Activation:
        family = self._present.families.get(profile.family, {})
        return Activation({carrier: self._met_of(line) for carrier, line in family.items()}, profile.active_from)


def _deck_tariff(present: Present, code: str, at: datetime) -> Tariff | None:
    key = (code, hour_of(at))
    tariff = present.tariffs.get(key)
    if tariff is None and code in present.decks:
        versions = met_in(present, present.decks[code][1], hour=hour_of(at))
        if versions:
            tariff = present.tariffs[key] = single_deck_tariff(versions, calendar=present.calendar)
    return tariff


def met_in(present: Present, versions: Timeline, *, hour: int) -> tuple[CompiledVersion, ...]:
    """The versions that a call which begins in this hour may meet."""
    begins = hour_begins(hour)
    ends = begins + HOUR + CALL_MAX
    met = [version for version in versions[replaced_by(versions, begins) :] if version.effective_from < ends]
    return tuple(present.versions.get(version.id) or compiled_versions.at_hand(version.id) for version in met)


def replaced_by(versions: Timeline, at: datetime) -> int:
    """How many versions stand before the one in force at an instant."""
    return max(sum(version.effective_from <= at for version in versions) - 1, 0)


def _always(version_id: int, *, is_draft: bool) -> CompiledVersion:
    """The version as if it had always been in force; a draft is read afresh, since it may change."""
    version = DeckVersion.objects.select_related("deck__carrier").get(pk=version_id)
    found = on_demand(version) if is_draft else compiled_versions.at_hand(version_id)
    return replace(found, in_force_from=-FOREVER)
