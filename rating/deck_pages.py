"""What a deck's pages show: the version in force and the next one, the timeline, the figures of the latest version.

Reads only. Figures of published versions change only with the day, the calendar and
the deck's test cases, so each process works them out once.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery

from billing_platform import clock
from billing_platform.paging import Page, PageRequest
from rating.caching.live import generations
from rating.comparisons import compare, percent_text
from rating.findings import Findings
from rating.lint import find_faults
from rating.models import Deck, DeckVersion, ExpectedPrice
from rating.versions import in_force_first, latest_version, standing, version_in_force

VIEW = "deck timeline"
FIGURES_KEPT = 64
CHOICES_MAX = 200  # versions offered for comparison
State = DeckVersion.State


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version as the timeline shows it; `acts` are the things that may be done with it."""

    version: DeckVersion
    standing: str
    acts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeckFace:
    """A deck at an instant."""

    deck: Deck
    zone: ZoneInfo
    live: DeckVersion | None
    upcoming: DeckVersion | None
    latest: DeckVersion | None

    @property
    def exported(self) -> DeckVersion | None:
        """The version that somebody who asks for the deck means."""
        return self.live or self.latest


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is to know about a version at a glance. `average` is the change of its changed rates, per cent."""

    version: int
    before: int | None
    average: Decimal | None
    changed: int
    findings: Findings

    @property
    def average_text(self) -> str:
        """The average change for people."""
        return percent_text(self.average)

    @property
    def below_cost(self) -> int:
        """Rows with a price below the supplier's."""
        return self.findings.counts["L_BELOW_COST"]


def face_of(deck: Deck, at: datetime) -> DeckFace:
    """The deck with its versions in force and to come."""
    return DeckFace(deck, ZoneInfo(deck.zone), version_in_force(deck, at), _upcoming(deck, at), latest_version(deck))


def timeline(deck: Deck, asked: PageRequest, at: datetime) -> Page[VersionLine]:
    """The versions of the deck, the latest first."""
    versions = DeckVersion.objects.filter(deck=deck).order_by("-number")
    if asked.after is not None:
        versions = versions.filter(number__lt=asked.after[0])
    page = asked.page(list(versions[: asked.limit + 1]), lambda version: [version.number], view=VIEW)
    live, latest = version_in_force(deck, at), latest_version(deck)
    return Page([_line(version, at, live=live, latest=latest) for version in page.items], page.next_cursor)


def acts_now(version: DeckVersion, at: datetime) -> tuple[str, ...]:
    """What may be done with the version at an instant."""
    live, latest = version_in_force(version.deck, at), latest_version(version.deck)
    return _line(version, at, live=live, latest=latest).acts


def _line(version: DeckVersion, at: datetime, *, live: DeckVersion | None, latest: DeckVersion | None) -> VersionLine:
    now = standing(version, at, in_force_id=live.pk if live else None)
    acts: Mapping[str, tuple[str, ...]] = {
        "draft": ("publish", "discard"),
        "proposed": ("approve", "decline"),
        "scheduled": ("withdraw",),
        "live": () if version == latest else ("revert",),
        "superseded": ("revert",),
        "withdrawn": ("revert",),
    }
    return VersionLine(version, now, acts.get(now, ()))


def with_versions(decks: QuerySet[Deck], at: datetime) -> QuerySet[Deck]:
    """Decks with `live_number`, `live_rows`, `next_number` and `next_from`; each is one look into an index."""
    live = in_force_first(DeckVersion.objects.filter(deck=OuterRef("pk")), at)
    upcoming = DeckVersion.objects.filter(deck=OuterRef("pk"), state=State.PUBLISHED, effective_from__gt=at)
    upcoming = upcoming.order_by("effective_from", "number")
    return decks.annotate(
        live_number=Subquery(live.values("number")[:1]),
        live_rows=Subquery(live.values("row_count")[:1]),
        next_number=Subquery(upcoming.values("number")[:1]),
        next_from=Subquery(upcoming.values("effective_from")[:1]),
    )


def version_before(version: DeckVersion) -> DeckVersion | None:
    """The version that this one replaces; for a draft the one that it was drawn from."""
    others = DeckVersion.objects.filter(deck_id=version.deck_id).exclude(pk=version.pk).select_related("deck__carrier")
    if version.state in (State.PUBLISHED, State.WITHDRAWN) and version.effective_from is not None:
        return in_force_first(others, version.effective_from).filter(number__lt=version.number).first()
    return others.filter(state=State.PUBLISHED, number__lt=version.number).order_by("-number").first()


def comparable(deck: Deck) -> QuerySet[DeckVersion]:
    """The versions that can be compared, the latest first."""
    versions = DeckVersion.objects.filter(deck=deck).exclude(state=State.DISCARDED)
    return versions.order_by("-number")[:CHOICES_MAX]


def figures_of(version: DeckVersion) -> Figures:
    """The version's figures as of today; `version.deck` must be loaded with its carrier."""
    if version.state != State.PUBLISHED:
        return _figures(version)
    today = clock.now().astimezone(ZoneInfo(version.deck.zone)).toordinal()
    expected = ExpectedPrice.objects.filter(deck_id=version.deck_id).aggregate(kept=Count("id"), last=Max("id"))
    return _known_figures(version.pk, (today, generations.number("calendar"), expected["kept"], expected["last"]))


@functools.lru_cache(maxsize=FIGURES_KEPT)
def _known_figures(version_id: int, _as_of: tuple[int | None, ...]) -> Figures:
    return _figures(DeckVersion.objects.select_related("deck__carrier").get(pk=version_id))


def _figures(version: DeckVersion) -> Figures:
    before = version_before(version)
    changes = compare(before, version) if before else None
    moved = changes.counts["raised"] + changes.counts["lowered"] if changes else 0
    return Figures(
        version=version.number,
        before=before.number if before else None,
        average=changes.average if changes else None,
        changed=moved,
        findings=find_faults(version, clock.now()),
    )


def _upcoming(deck: Deck, at: datetime) -> DeckVersion | None:
    later = DeckVersion.objects.filter(deck=deck, state=State.PUBLISHED, effective_from__gt=at)
    return later.order_by("effective_from", "number").first()
