"""When is it open, and when again: a table of instants against a weekly table."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from callcontrol.hours import Stretch, WeeklyTable, is_open, next_open

SHANGHAI = ZoneInfo("Asia/Shanghai")
OFFICE, EVENING = Stretch(time(9), time(12)), Stretch(time(22), time(0))
DAYS = {date(2026, 2, 17): "holiday", date(2026, 2, 14): "makeup_workday"}


def table(**stretches: list[Stretch]) -> WeeklyTable:
    return WeeklyTable(stretches, SHANGHAI, lambda day: DAYS.get(day, "workday"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}+08:00")


@pytest.mark.parametrize(
    ("instant", "open_now", "then"),
    [
        ("03-02T08:59:59", False, "03-02T09:00"),
        ("03-02T09:00", True, "03-02T22:00"),
        ("03-02T12:00", False, "03-02T22:00"),
        ("03-02T23:59:59", True, "03-09T09:00"),
        ("03-03T00:00", False, "03-09T09:00"),
    ],
)
def test_monday_morning_and_late_evening(instant: str, open_now: bool, then: str) -> None:  # noqa: FBT001
    weekly = table(mon=[EVENING, OFFICE])

    assert (is_open(weekly, at(instant)), next_open(weekly, at(instant))) == (open_now, at(then))


def test_no_line_is_always_open_and_a_line_that_never_comes_has_no_next() -> None:
    assert is_open(table(), at("03-02T03:00"))
    assert next_open(table(makeup=[OFFICE]), at("03-02T03:00")) is None


def test_holiday_has_its_own_hours_or_none_and_a_makeup_day_those_of_monday() -> None:
    weekly = table(tue=[OFFICE], mon=[OFFICE], sat=[])

    assert not is_open(weekly, at("02-17T10:00"))
    assert is_open(table(tue=[], holiday=[OFFICE]), at("02-17T10:00"))
    assert is_open(weekly, at("02-14T10:00"))
    assert not is_open(table(mon=[OFFICE], makeup=[EVENING]), at("02-14T10:00"))
    assert next_open(weekly, at("02-16T12:00")) == at("02-23T09:00")


def test_zone_decides_the_day() -> None:
    weekly = WeeklyTable({"mon": [OFFICE]}, ZoneInfo("America/New_York"), lambda day: "workday")

    assert not is_open(weekly, at("03-02T10:00"))
    assert is_open(weekly, at("03-02T23:00"))
