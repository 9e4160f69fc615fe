"""Entering days into the calendar: by hand, from a year's official notice, or from the tables of a release."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from django.db import transaction

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.trail import record_act
from rating.calendar import COUNTRY, latest_days, opens_year, plain_class
from rating.formats.fields import RowError
from rating.importing.table_file import TableRow, table_rows
from rating.models import CalendarDay, Generation
from rating.numbers.number_tables import rows_of
from rating.terms import DAY_CLASSES, HOLIDAY, MAKEUP_WORKDAY

NOTICES, STATUTORY, BY_HAND = "chinesecalendar", "statutory", "by hand"
SHIPPED = frozenset({NOTICES, STATUTORY})
NAME_MAX = 40
COLUMNS = ("date", "class", "name_zh", "name_en")


class DayEntry(NamedTuple):
    """What is to be known of a date, and who says so."""

    date: date
    day_class: str
    source: str
    name_zh: str = ""
    name_en: str = ""
    provisional: bool = False


class DayChange(NamedTuple):
    """An entry that differs from what is known, with the day as known, for people."""

    entry: DayEntry
    before: str

    @property
    def after(self) -> str:
        return _shown(self.entry)


@transaction.atomic  # the days and who entered them
def enter_days(entries: Iterable[DayEntry], *, caller: Caller, reason: str = "") -> int | None:
    """Enter days as one new revision of the calendar, and say which; None when there was nothing to enter."""
    wanted = {entry.date: entry for entry in entries}
    if not wanted:
        return None
    Generation.objects.select_for_update().get(topic="calendar")  # one change of the calendar at a time
    known = _known(wanted)
    now = clock.now()
    rows = [CalendarDay(country=COUNTRY, created_at=now, **entry._asdict()) for entry in wanted.values()]
    revision = CalendarDay.objects.bulk_create(rows)[0].revision
    for day, entry in wanted.items():
        record_act(
            caller, "calendarday.enter", target=("calendarday", day), change=(_before(known, day), _shown(entry)),
            reason=reason,
        )  # fmt: skip
    return revision


def read_notice(lines: Iterable[str], *, year: int) -> tuple[list[DayEntry], list[RowError]]:
    """The days of a year's official notice, from CSV: `date,class[,name_zh,name_en]`, holidays and make-up days.

    Days of the December before may stand in it. Without 1 January it is no notice.
    """
    entries: dict[date, DayEntry] = {}
    errors: list[RowError] = []
    for row in table_rows(lines, columns=COLUMNS, required=COLUMNS[:2]):
        found = row if isinstance(row, RowError) else _entry(row, year, entries)
        if isinstance(found, RowError):
            errors.append(found)
        else:
            entries[found.date] = found
    if not errors and date(year, 1, 1) not in entries:
        errors.append(RowError(0, "date", f"{year}-01-01", "E_REF"))
    return list(entries.values()), errors


def load_changes(changes: Iterable[DayChange], *, caller: Caller, reason: str = "") -> int | None:
    """Enter what `notice_changes` or `shipped_changes` found; the new revision, None when nothing differs."""
    return enter_days([change.entry for change in changes], caller=caller, reason=reason)


def notice_changes(year: int, entries: Iterable[DayEntry]) -> list[DayChange]:
    """What loading a year's notice would change: days that are known but not in it become what their weekday says."""
    wanted = {entry.date: entry for entry in entries}
    known = _known(wanted) | {row.date: row for row in latest_days().filter(date__year=year)}
    left = [day for day in known if day not in wanted and day.year == year]
    source = _source(year)
    return _changes([*wanted.values(), *(DayEntry(day, plain_class(day), source) for day in left)], known)


def shipped_changes() -> tuple[list[DayChange], list[DayChange]]:
    """What the days of this release would change; and what they would, had nobody entered another day there."""
    known = {row.date: row for row in latest_days()}
    changes = _changes([_shipped(row) for row in rows_of("calendar.csv")], known)
    ours = [change for change in changes if _is_shipped(known.get(change.entry.date))]
    return ours, [change for change in changes if not _is_shipped(known.get(change.entry.date))]


def change_items(changes: Iterable[DayChange], *, today: date) -> list[dict[str, str]]:
    """The changes for people and programs, then the dry runs that show which charged calls they concern."""
    listed = list(changes)
    items = [{"date": one.entry.date.isoformat(), "before": one.before, "after": one.after} for one in listed]
    months = sorted({one.entry.date.strftime("%Y-%m") for one in listed if one.entry.date <= today})
    return items + [{"calls_concerned": f"manage.py rerate --period {month}"} for month in months]


def _entry(row: TableRow, year: int, before: Mapping[date, DayEntry]) -> DayEntry | RowError:
    cells = row.cells
    try:
        day = date.fromisoformat(cells["date"])
    except ValueError:
        return RowError(row.number, "date", cells["date"], "E_DATE")
    if day.year != year and (day.year, day.month) != (year - 1, 12):
        return RowError(row.number, "date", cells["date"], "E_DATE")
    if day in before:
        return RowError(row.number, "date", cells["date"], "E_DUPLICATE")
    day_class = cells["class"]
    weekday_fits = day_class != MAKEUP_WORKDAY or day.isoweekday() > 5
    year_opens = day_class == HOLIDAY or not opens_year(day)
    if day_class not in DAY_CLASSES or not weekday_fits or not year_opens:
        return RowError(row.number, "class", day_class, "E_REF")
    if max(len(cells["name_zh"]), len(cells["name_en"])) > NAME_MAX:
        return RowError(row.number, "name_zh", cells["name_zh"], "E_LIMIT")
    return DayEntry(day, day_class, _source(year), cells["name_zh"], cells["name_en"])


def _source(year: int) -> str:
    return f"notice {year}"


def _shipped(row: Mapping[str, str]) -> DayEntry:
    provisional = bool(row["provisional"])
    source = STATUTORY if provisional else NOTICES
    return DayEntry(
        date.fromisoformat(row["date"]), row["day_class"], source, row["name_zh"], row["name_en"], provisional
    )


def _is_shipped(row: CalendarDay | None) -> bool:
    return row is None or row.source in SHIPPED


def _known(days: Iterable[date]) -> dict[date, CalendarDay]:
    return {row.date: row for row in latest_days().filter(date__in=list(days))}


def _changes(entries: Iterable[DayEntry], known: Mapping[date, CalendarDay]) -> list[DayChange]:
    """The entries that say something else than is known; sources do not count."""
    return [
        DayChange(entry, _before(known, entry.date))
        for entry in sorted(entries)
        if _shown(entry) != _before(known, entry.date)
    ]


def _before(known: Mapping[date, CalendarDay], day: date) -> str:
    row = known.get(day)
    return plain_class(day) if row is None else _shown(row)


def _shown(day: DayEntry | CalendarDay) -> str:
    """A day's class and names, for people and the audit trail."""
    names = " / ".join(name for name in (day.name_zh, day.name_en) if name)
    return " ".join(filter(None, [str(day.day_class), names, "(provisional)" if day.provisional else ""]))
