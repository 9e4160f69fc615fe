"""The calendar of days (节假日历): what is known of each date, what was known earlier, what is still to be announced.

Days are only ever added: each change is a new revision. Dates without a row are what their weekday says. A year whose
official notice is not loaded is provisional; it has at most the days that the law names.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.db.models import Exists, Max, Min, OuterRef, QuerySet

from billing_platform import clock
from rating.models import CalendarDay
from rating.terms import WEEKEND, WORKDAY
from rating.timetable import Calendar

COUNTRY = "CN"
ZONE = ZoneInfo("Asia/Shanghai")
ALERT_DAYS = 45  # before a year begins whose notice is not loaded
CALENDARS_KEPT = 8


@lru_cache(maxsize=CALENDARS_KEPT)
def read_calendar(revision: int) -> Calendar:
    """The calendar as it was known at a revision; the same revision always has the same days."""
    rows = list(latest_days(revision=revision).values_list("date", "day_class", "provisional"))
    provisional = frozenset(day for day, _, is_provisional in rows if is_provisional)
    return Calendar(
        revision=revision,
        days={day: str(day_class) for day, day_class, _ in rows},
        provisional=provisional,
        official_years=frozenset(day.year for day, *_ in rows if opens_year(day) and day not in provisional),
    )


def calendar_known_at(at: datetime) -> Calendar:
    """The calendar as it was known at an instant; before anything was entered, what a new system comes with."""
    days = CalendarDay.objects.filter(country=COUNTRY)
    revision = days.filter(created_at__lte=at).aggregate(last=Max("revision"))["last"]
    if revision is None:
        revision = days.aggregate(first=Min("revision"))["first"]
    return read_calendar(revision or 0)


def latest_days(*, revision: int | None = None) -> QuerySet[CalendarDay]:
    """Of each date the row that counts, now or at a revision."""
    days = CalendarDay.objects.filter(country=COUNTRY)
    if revision is not None:
        days = days.filter(revision__lte=revision)
    return days.order_by("date", "-revision").distinct("date")


def days_that_count() -> QuerySet[CalendarDay]:
    """As `latest_days`, of every country, in any order: for lists."""
    same_date = CalendarDay.objects.filter(country=OuterRef("country"), date=OuterRef("date"))
    return CalendarDay.objects.filter(~Exists(same_date.filter(revision__gt=OuterRef("revision"))))


def plain_class(day: date) -> str:
    """What the weekday alone says."""
    return WEEKEND if day.isoweekday() > 5 else WORKDAY


def opens_year(day: date) -> bool:
    """1 January speaks for its whole year: it is a holiday by law, and every official notice begins with it."""
    return (day.month, day.day) == (1, 1)


def official_until(calendar: Calendar, today: date) -> date:
    """The first date from today on that has no official class."""
    year = today.year
    while not calendar.is_provisional(date(year, 1, 1)):
        year += 1
    return min([day for day in calendar.provisional if day >= today] + [max(date(year, 1, 1), today)])


def year_to_announce(calendar: Calendar, today: date) -> int | None:
    """The year that has begun, or begins within ALERT_DAYS, without its official notice; None when all is well."""
    years = (today.year, (today + timedelta(days=ALERT_DAYS)).year)
    return next((year for year in years if calendar.is_provisional(date(year, 1, 1))), None)


def today_in_china() -> date:
    """The date where the calendar counts."""
    return clock.now().astimezone(ZONE).date()
