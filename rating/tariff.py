"""Which decks price a use: a chain of subjects, each with the decks it was assigned and when. Immutable input of the
engine, built by those who read the database."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from rating.compiled import CompiledVersion
from rating.timetable import FOREVER, Calendar, Timetable, instant_of

Timeline = tuple[CompiledVersion, ...]  # the versions of one deck, by (effective_from, version number)
CARRIERS_KEPT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """From `active_from` (None: always) a subject is priced by one family of decks.

    `timelines` leads from a carrier to the versions of the family's deck for it, from "" to the deck without carrier.
    """

    timelines: Mapping[str, Timeline]
    active_from: datetime | None = None

    @property
    def starts(self) -> int:
        return instant_of(self.active_from) if self.active_from else -FOREVER

    def in_force(self, instant: int, carrier: str) -> CompiledVersion | None:
        """The version that counts: the carrier's own deck once a version of it is in force, else the general deck."""
        for name in dict.fromkeys((carrier, "")):
            versions = [one for one in self.timelines.get(name, ()) if one.in_force_from <= instant]
            if versions:
                return max(versions, key=lambda one: (one.in_force_from, one.head.version))
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One link of the chain: an account, a label such as *any, and its activations."""

    name: str
    activations: tuple[Activation, ...]

    def in_force(self, instant: int, carrier: str) -> CompiledVersion | None:
        """The version that prices this subject at an instant; None behaves like an empty deck."""
        active = [one for one in self.activations if one.starts <= instant]
        return max(active, key=lambda one: one.starts).in_force(instant, carrier) if active else None


@dataclass(slots=True, eq=False)
class Link:
    """One deck version in force, with its timetable and the subject that it answers for."""

    version: CompiledVersion
    timetable: Timetable
    subject: str


@dataclass(slots=True, eq=False)
class Stage:
    """The chain between two changes of versions or assignments; `until` is the next change."""

    links: tuple[Link, ...]
    until: int


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """The fallback chain of one account and service label, first subject first. Without subjects: no tariff.

    `skipped` names the fallback subjects that have no profile; it only serves explanations.
    """

    subjects: tuple[Subject, ...]
    calendar: Calendar
    currency: str = "CNY"
    skipped: tuple[str, ...] = ()
    _plans: dict[str, tuple[list[int], list[Stage]]] = field(default_factory=dict, init=False, repr=False)

    def stage_at(self, instant: int, carrier: str) -> Stage:
        """What is in force at an instant for calls of a carrier."""
        starts, stages = self._plans.get(carrier) or self._plan(carrier)
        return stages[bisect_right(starts, instant)]

    def carriers(self) -> frozenset[str]:
        """The carriers that some deck of the chain is isolated for, and "" for the others."""
        named = (activation.timelines for subject in self.subjects for activation in subject.activations)
        return frozenset(chain([""], *named))

    def versions(self) -> frozenset[CompiledVersion]:
        """Every version that some call may meet."""
        activations = (activation for subject in self.subjects for activation in subject.activations)
        return frozenset(version for one in activations for line in one.timelines.values() for version in line)

    def versions_of(self, subject: Subject, carrier: str) -> list[CompiledVersion]:
        """Every version that a subject's calls of this carrier may meet at any time, once each."""
        timelines = (
            timeline for one in subject.activations for name, timeline in one.timelines.items() if name in ("", carrier)
        )
        return list(dict.fromkeys(chain.from_iterable(timelines)))

    def _plan(self, carrier: str) -> tuple[list[int], list[Stage]]:
        if len(self._plans) >= CARRIERS_KEPT:
            self._plans.clear()
        starts = sorted(self._changes(carrier))
        firsts, ends = [-FOREVER, *starts], [*starts, FOREVER]
        stages = [Stage(self._links(first, carrier), end) for first, end in zip(firsts, ends, strict=True)]
        self._plans[carrier] = starts, stages
        return starts, stages

    def _changes(self, carrier: str) -> set[int]:
        activations = [activation for subject in self.subjects for activation in subject.activations]
        versions = [version for subject in self.subjects for version in self.versions_of(subject, carrier)]
        instants = {one.starts for one in activations} | {one.in_force_from for one in versions}
        return instants - {-FOREVER}

    def _links(self, instant: int, carrier: str) -> tuple[Link, ...]:
        found = ((subject.in_force(instant, carrier), subject.name) for subject in self.subjects)
        return tuple(Link(one, one.timetable(self.calendar), name) for one, name in found if one is not None)


def single_deck_tariff(
    versions: Sequence[CompiledVersion], *, calendar: Calendar | None = None, subject: str = "*any"
) -> Tariff:
    """The tariff of one deck alone, in its own currency: what a default deck, a cost deck or a question to one deck is.

    `versions` must not be empty.
    """
    deck = Activation(timelines={"": tuple(versions)})
    return Tariff((Subject(subject, (deck,)),), calendar or Calendar(), versions[0].currency)
