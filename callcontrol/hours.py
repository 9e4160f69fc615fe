"""When an organisation calls: pure arithmetic on its weekly table in its own zone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY, MAKEUP = "holiday", "makeup"
MIDNIGHT = time()
LOOK_AHEAD_DAYS = 31


@dataclass(frozen=True, slots=True)
class Stretch:
    """Open from `opens` until before `closes`; closing at 00:00 is the end of the day."""

    opens: time
    closes: time

    def holds(self, wall: time) -> bool:
        return self.opens <= wall and (self.closes == MIDNIGHT or wall < self.closes)


@dataclass(frozen=True, slots=True)
class WeeklyTable:
    """Stretches by day name. A holiday has its own; a make-up working day its own, else Monday's."""

    stretches: Mapping[str, Sequence[Stretch]]
    zone: ZoneInfo
    day_class: Callable[[date], str]

    def of(self, day: date) -> list[Stretch]:
        """The stretches of a date, earliest first."""
        kind = self.day_class(day)
        name = DAYS[day.weekday()]
        if kind == "holiday":
            name = HOLIDAY
        elif kind == "makeup_workday":
            name = MAKEUP if self.stretches.get(MAKEUP) else DAYS[0]
        return sorted(self.stretches.get(name, ()), key=lambda stretch: stretch.opens)


def is_open(table: WeeklyTable, at: datetime) -> bool:
    """May calls start at this instant? A table without a single line never closes."""
    if not table.stretches:
        return True
    wall = at.astimezone(table.zone)
    return any(stretch.holds(wall.time()) for stretch in table.of(wall.date()))


def next_open(table: WeeklyTable, at: datetime) -> datetime | None:
    """The next instant at which a stretch begins; None when there is none within a month."""
    wall = at.astimezone(table.zone)
    for days in range(LOOK_AHEAD_DAYS):
        day = wall.date() + timedelta(days=days)
        for stretch in table.of(day):
            begin = datetime.combine(day, stretch.opens, table.zone)
            if begin > at:
                return begin
    return None
