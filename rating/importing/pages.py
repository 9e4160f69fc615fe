"""What the pages of the import wizard show: what a file is taken for, how far its check is, what it would change.

Reads only. No page holds a whole file: columns are shown by their first rows, differences and errors page by page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from billing_platform.auth import Caller
from billing_platform.models import JobRun
from billing_platform.paging import Page, PageRequest
from billing_platform.watching import WatchedRun, watched
from rating.comparisons import percent_text
from rating.differences import ChangedRow, Tab, difference_counts, difference_page
from rating.formats.fields import RowError
from rating.formats.reading import ColumnLook, FileLook, look_at
from rating.formats.template import FileTemplate
from rating.importing.imports import error_items, file_context
from rating.importing.jobs import content_of
from rating.models import Deck, DeckImport, DeckVersion
from rating.versions import LASTING

LIST_VIEW, ERRORS_VIEW = "deck imports", "deck import errors"
LOOK_ROWS = 2_000  # read while a person waits; the check reads all of them
COLUMNS_SHOWN = 40
TITLE_MAX = 200  # letters of a title that a template keeps
CELL_MAX = 60  # letters of a cell that are shown
WORST_SHOWN = 5
ERROR = "error"
State = DeckImport.State

# In the order of the page; the key of the counts, the name that people read.
COUNT_NAMES: Mapping[str, Any] = {
    "read": _("rows read"),
    "created": _("new"),
    "raised": _("dearer"),
    "lowered": _("cheaper"),
    "other": _("other changes"),
    "same": _("same as before"),
    "skipped": _("left out: blank or remark"),
    "error": _("errors"),
    "removed": _("removed"),
}
TAB_COUNTS: Mapping[str, str] = {
    Tab.NEW.value: "created",
    Tab.DEARER.value: "raised",
    Tab.CHEAPER.value: "lowered",
    Tab.OTHER.value: "other",
    Tab.REMOVED.value: "removed",
}


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """How far the check of a file is. `per_cent` never reaches 100 before it has ended."""

    state: str
    per_cent: int
    ended: bool
    interrupted: bool
    run: WatchedRun | None


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column of the file as the mapping shows it; `index` is its place in the file."""

    index: int
    title: str
    field: str
    first: str
    worst: str

    @property
    def can_be_named(self) -> bool:
        """Can a template speak of the column? Not of one without a title, or with one that is none."""
        return bool(self.title.strip()) and len(self.title) <= TITLE_MAX and "\x00" not in self.title


@dataclass(frozen=True, slots=True)
class ShownTab:
    """A tab of the difference; `count` is None where counting would mean to read the whole deck."""

    name: str
    label: Any
    count: int | None


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of the difference with its change for people."""

    row: ChangedRow
    percent_text: str


def imports_of(deck: Deck, asked: PageRequest) -> Page[DeckImport]:
    """The files that came for the deck, the last one first."""
    stories = DeckImport.objects.filter(deck=deck).select_related("version").defer("errors", "warnings", "options")
    if asked.after is not None:
        stories = stories.filter(pk__lt=asked.after[0])
    return asked.page(list(stories.order_by("-pk")[: asked.limit + 1]), lambda story: [story.pk], view=LIST_VIEW)


def look_of(story: DeckImport) -> FileLook:
    """What the file is taken for; the worst values are those of the whole file once it has been checked."""
    template = FileTemplate.from_json(story.options)
    look = look_at(content_of(story), file_context(story.deck), template, rows_max=LOOK_ROWS)
    worst: dict[str, dict[str, None]] = {}
    for error in story.errors:
        if error["row"] and error["value"]:
            worst.setdefault(error["column"], {})[error["value"]] = None
    columns = tuple(
        replace(one, worst=tuple(worst[one.field])[:WORST_SHOWN]) if worst.get(one.field) else one
        for one in look.columns
    )
    return replace(look, columns=columns)


def shown_columns(look: FileLook) -> list[ShownColumn]:
    """The file's columns, those with a field first when there are more than a page holds; in the file's order."""
    places = sorted(range(len(look.columns)), key=lambda place: (not look.columns[place].field, place))
    return [_column(place, look.columns[place]) for place in sorted(places[:COLUMNS_SHOWN])]


def unusable(content: bytes, deck: Deck, template: FileTemplate) -> RowError | None:
    """Why these bytes are no deck file at all, whatever is said about them; None when they may be one."""
    look = look_at(content, file_context(deck), template, rows_max=LOOK_ROWS)
    if not look.kind:
        return look.file.errors[0]
    if look.file.is_unreadable and len(look.columns) < 2:  # a prefix and a rate are two
        return look.file.errors[0]
    return None


def progress_of(story: DeckImport, caller: Caller) -> CheckProgress:
    """How far a worker is with the file, which the caller may see."""
    row = JobRun.objects.filter(pk=story.job_id or 0).first()
    run = watched(row, caller=caller) if row else None
    ended = story.state not in (State.RECEIVED, State.CHECKING)
    per_cent = 100 if ended else min(run.per_cent, 99) if run else 0
    interrupted = not ended and run is not None and run.has_ended
    return CheckProgress(story.state, per_cent, ended, interrupted, run)


def is_outdated(story: DeckImport) -> bool:
    """Was another version published since the file was compared?"""
    draft = story.version
    if draft is None or draft.state != DeckVersion.State.DRAFT:
        return False
    return DeckVersion.objects.filter(deck_id=draft.deck_id, state__in=LASTING, number__gt=draft.base).exists()


def counts_shown(story: DeckImport, below_cost: int) -> list[tuple[str, Any, int]]:
    """(hook, name, count) of everything that the file does."""
    counts = [(name, label, int(story.counts.get(name, 0))) for name, label in COUNT_NAMES.items()]
    return [("new" if name == "created" else name, label, count) for name, label, count in counts] + [
        ("below-cost", Tab.BELOW_COST.label, below_cost)
    ]


def below_cost_of(story: DeckImport) -> int:
    """New or changed rows below their cost. The guard rails have told already whether there are any."""
    if story.version is None or "below_cost" not in story.rails:
        return 0
    return difference_counts(story.version)[Tab.BELOW_COST.value]


def tabs_of(story: DeckImport, below_cost: int) -> list[ShownTab]:
    """The tabs of the difference, errors among them."""
    counts = {tab: int(story.counts.get(name, 0)) for tab, name in TAB_COUNTS.items()}
    counts[Tab.BELOW_COST.value] = below_cost
    kinds = [ShownTab(tab.value, tab.label, counts.get(tab.value)) for tab in Tab]
    return [*kinds, ShownTab(ERROR, _("errors"), int(story.counts.get(ERROR, 0)))]


def rows_of(story: DeckImport, tab: str, cursor: str) -> Page[ShownRow]:
    """One page of a tab, the largest changes first. Raises Malformed."""
    if story.version is None:
        return Page([], None)
    page = difference_page(story.version, tab, cursor)
    return Page([ShownRow(row, percent_text(row.change)) for row in page.items], page.next_cursor)


def errors_of(story: DeckImport, asked: PageRequest) -> Page[dict[str, Any]]:
    """The row errors that were kept, in the order of the file."""
    start = int(asked.after[0]) if asked.after else 0
    found = [
        (place, RowError(**error)) for place, error in enumerate(story.errors[start : start + asked.limit + 1], start)
    ]
    page = asked.page(found, lambda one: [one[0] + 1], view=f"{ERRORS_VIEW} {story.pk}")
    return Page(error_items(error for _place, error in page.items), page.next_cursor)


def _column(place: int, column: ColumnLook) -> ShownColumn:
    return ShownColumn(place, column.title, column.field, _lines(column.first), _lines(column.worst))


def _lines(values: tuple[str, ...]) -> str:
    """One value a line: a single element holds them all."""
    return "\n".join(value[:CELL_MAX].replace("\n", " ") or "–" for value in values)
