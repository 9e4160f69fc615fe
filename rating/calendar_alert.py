"""Who looks after the calendar is told in time that a year's official notice is missing: event, metric, card."""

from datetime import date

from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform import metrics
from billing_platform.auth import Caller
from billing_platform.dashboard import Card
from billing_platform.models import Role
from billing_platform.outbox import NewEvent, record_events
from rating.caching.live import calendars
from rating.calendar import official_until, today_in_china, year_to_announce

TOPIC = "rating.calendar_provisional"
READERS = frozenset({Role.RATE_ADMIN.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value, Role.OPS.value})


def announce_missing_notice() -> int | None:
    """Say which year has no official notice although it begins soon, as an event once a call; set the metric."""
    calendar, today = calendars.current(), today_in_china()
    metrics.calendar_official.set((official_until(calendar, today) - today).days)
    year = year_to_announce(calendar, today)
    if year is not None:
        begins = date(year, 1, 1)
        payload = {"year": year, "begins": begins.isoformat(), "days_left": (begins - today).days}
        record_events([NewEvent(TOPIC, "", str(year), payload)])
    return year


def cards(caller: Caller) -> list[Card]:
    """How far the official calendar reaches; an alarm when the next year's notice is due."""
    if not READERS & caller.roles:
        return []
    calendar, today = calendars.current(), today_in_china()
    year = year_to_announce(calendar, today)
    note = _("The official notice for %(year)d is not loaded.") % {"year": year} if year else ""
    return [
        Card(
            "calendar", _("Calendar is official until"), official_until(calendar, today).isoformat(), note=note,
            alarm=year is not None, href=reverse("admin:rating_calendarday_changelist"),
        )
    ]  # fmt: skip
