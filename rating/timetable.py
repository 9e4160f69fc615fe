"""When which band is active: days × clock ranges in a deck's zone, turned into boundaries on the line of time.

An instant is an integer: nanoseconds since 1970 in UTC. Instants are turned into wall-clock time, never the other
way round, so a change of the zone's offset is simply one more boundary.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rating.terms import WEEKEND, WORKDAY, BandTerms

SECOND = 10**9
DAY_SECONDS = 86_400
DAY = DAY_SECONDS * SECOND
FOREVER = 2**63  # after every instant
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = EPOCH.toordinal()
ALWAYS = 1  # the bit of rates without a band: set in every segment
DAYS_KEPT = 1024


def instant_of(at: datetime) -> int:
    """The instant of an aware datetime; raises TypeError for a naive one."""
    since = at - EPOCH
    return (since.days * DAY_SECONDS + since.seconds) * SECOND + since.microseconds * 1000


def datetime_of(instant: int, zone: tzinfo | None) -> datetime:
    """The wall-clock time of an instant, cut to microseconds; without a zone in UTC."""
    seconds, rest = divmod(instant, SECOND)
    return datetime.fromtimestamp(seconds, zone or UTC).replace(microsecond=rest // 1000)


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The day classes of one country at one revision. A day that is not listed is a weekend or a workday by its
    weekday; outside `official_years` (by default those of the listed days) every day is provisional."""

    revision: int = 0
    days: Mapping[date, str] = field(default_factory=dict)
    provisional: frozenset[date] = frozenset()
    official_years: frozenset[int] | None = None
    _years: frozenset[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        listed = frozenset(day.year for day in self.days)
        object.__setattr__(self, "_years", listed if self.official_years is None else self.official_years)

    def day_class(self, day: date) -> str:
        """The one class of a date."""
        return self.days.get(day) or (WEEKEND if day.isoweekday() > 5 else WORKDAY)

    def is_provisional(self, day: date) -> bool:
        """True while the official notice for this date is not loaded."""
        return day in self.provisional or day.year not in self._years


class Band:
    """A compiled band: which days it begins on, and from which second to which."""

    __slots__ = ("bit", "crosses_midnight", "end", "name", "start", "terms")

    def __init__(self, terms: BandTerms, bit: int) -> None:
        self.terms, self.name, self.bit = terms, terms.name, bit
        self.start = _second_of_day(terms.start) if terms.start else 0
        self.end = _second_of_day(terms.end) if terms.end else DAY_SECONDS
        self.crosses_midnight = self.end <= self.start

    @property
    def is_always(self) -> bool:
        """Is it active on every day, the whole day?"""
        terms = self.terms
        tests = (terms.classes, terms.weekdays, terms.years, terms.months, terms.month_days, terms.dates)
        return not any(tests) and (self.start, self.end) == (0, DAY_SECONDS)

    def begins_on(self, day: date, calendar: Calendar) -> bool:
        """Do the day tests hold for this date?"""
        terms = self.terms
        return (
            (not terms.classes or calendar.day_class(day) in terms.classes)
            and (not terms.weekdays or day.isoweekday() % 7 in {weekday % 7 for weekday in terms.weekdays})
            and (not terms.years or day.year in terms.years)
            and (not terms.months or day.month in terms.months)
            and (not terms.month_days or day.day in terms.month_days)
            and (not terms.dates or any(first <= day <= last for first, last in terms.dates))
        )

    def holds(self, wall: "Wall", calendar: Calendar) -> bool:
        """Is the band active at this wall-clock time?"""
        if not self.crosses_midnight:
            return self.start <= wall.second < self.end and self.begins_on(wall.date(), calendar)
        if wall.second >= self.start:
            return self.begins_on(wall.date(), calendar)
        return wall.second < self.end and self.begins_on(wall.date(days_before=1), calendar)

    def began(self, wall: "Wall") -> int:
        """When the occurrence that is active at this wall-clock time began, in wall-clock seconds."""
        day = wall.ordinal - 1 if self.crosses_midnight and wall.second < self.start else wall.ordinal
        return day * DAY_SECONDS + self.start


class Wall(NamedTuple):
    """A wall-clock time: the date's ordinal and the second of that day."""

    ordinal: int
    second: int

    def date(self, *, days_before: int = 0) -> date:
        return date.fromordinal(self.ordinal - days_before)


@dataclass(slots=True, eq=False)
class Segment:
    """A stretch of time in which the same bands are active: the bits of these, its end, and the wall where it began.

    `classes` are the dates whose class the bands asked for, with the answers.
    """

    active: int
    end: int
    wall: Wall
    classes: Mapping[date, str]


class Timetable:
    """The bands of one deck version under one calendar. Each UTC day is worked out once, when it is first asked for."""

    __slots__ = ("_asking", "_constant", "_cuts", "_days", "bands", "calendar", "zone")

    def __init__(self, bands: Sequence[Band], *, zone: ZoneInfo, calendar: Calendar) -> None:
        self.bands, self.zone, self.calendar = tuple(bands), zone, calendar
        self._asking = [band for band in bands if band.terms.classes]
        self._cuts = sorted({0, *(second for band in bands for second in (band.start, band.end % DAY_SECONDS))})
        self._days: dict[int, tuple[list[int], list[Segment]]] = {}
        self._constant = None if bands else Segment(ALWAYS, FOREVER, Wall(1, 0), {})

    def at(self, instant: int) -> Segment:
        """The segment that holds an instant."""
        if self._constant is not None:
            return self._constant
        day, of_day = divmod(instant, DAY)
        starts, segments = self._days.get(day) or self._work_out(day)
        return segments[bisect_right(starts, of_day) - 1]

    def classes_used(self, first: int, last: int) -> dict[date, str]:
        """The dates whose class the bands asked for from one instant to another, with the answers."""
        classes: dict[date, str] = {}
        while self._asking and first <= last:
            segment = self.at(first)
            classes |= segment.classes
            first = segment.end
        return classes

    def _work_out(self, day: int) -> tuple[list[int], list[Segment]]:
        if len(self._days) >= DAYS_KEPT:
            self._days.clear()
        starts = dict(self._boundaries(day * DAY_SECONDS))
        moments = sorted(starts)
        segments = [
            Segment(self._active(starts[moment]), day * DAY + end, starts[moment], self._classes(starts[moment]))
            for moment, end in zip(moments, [*moments[1:], DAY], strict=True)
        ]
        self._days[day] = moments, segments
        return moments, segments

    def _active(self, wall: Wall) -> int:
        return ALWAYS | sum(band.bit for band in self.bands if band.holds(wall, self.calendar))

    def _classes(self, wall: Wall) -> dict[date, str]:
        """A segment never passes midnight nor the end of a band: what its beginning asks is all that it asks."""
        if not self._asking:
            return {}
        days = [wall.date()]
        if any(band.crosses_midnight and wall.second < band.end for band in self._asking):
            days.insert(0, wall.date(days_before=1))
        return {day: self.calendar.day_class(day) for day in days}

    def _wall(self, instant: int) -> Wall:
        seconds = instant // SECOND
        days, second = divmod(seconds + self._offset(seconds), DAY_SECONDS)
        return Wall(days + EPOCH_ORDINAL, second)

    def _boundaries(self, start: int) -> Iterator[tuple[int, Wall]]:
        """Each boundary of the UTC day that begins at `start` seconds: nanoseconds into it, and the wall there."""
        for first, last, offset in self._offset_periods(start, start + DAY_SECONDS):
            yield (first - start) * SECOND, self._wall(first * SECOND)
            for days in range((first + offset) // DAY_SECONDS, (last - 1 + offset) // DAY_SECONDS + 1):
                for cut in self._cuts:
                    moment = days * DAY_SECONDS + cut - offset
                    if first < moment < last:
                        yield (moment - start) * SECOND, Wall(days + EPOCH_ORDINAL, cut)

    def _offset_periods(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Cut [first, last) where the zone's offset changes; changes less than a quarter of an hour apart are one."""
        offset = self._offset(first)
        for probe in range(first + 900, last + 1, 900):
            if self._offset(min(probe, last - 1)) != offset:
                change = self._change(probe - 900, min(probe, last - 1))
                yield first, change, offset
                first, offset = change, self._offset(change)
        yield first, last, offset

    def _change(self, before: int, after: int) -> int:
        """The first second in (before, after] whose offset differs from that of `before`."""
        offset = self._offset(before)
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if self._offset(middle) == offset else (before, middle)
        return after

    def _offset(self, seconds: int) -> int:
        offset = datetime.fromtimestamp(seconds, self.zone).utcoffset()
        assert offset is not None  # an aware datetime has one
        return offset.days * DAY_SECONDS + offset.seconds


def _second_of_day(clock: time) -> int:
    assert clock.microsecond == 0  # bands are cut at whole seconds
    return clock.hour * 3600 + clock.minute * 60 + clock.second
