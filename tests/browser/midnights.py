"""When a price list comes into force: at a midnight in China, and at one that no test lasts long enough to reach."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import Page

from billing_platform import clock

ZONE = ZoneInfo("Asia/Shanghai")


def next_midnight(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(ZONE).date() + timedelta(days=1), time(), tzinfo=ZONE)


def offers_next_midnight(page: Page, *, since: datetime) -> bool:
    """Whether the form came with the midnight that was the next one when the page was asked for, `since` or later."""
    offered = page.locator("[name=effective_from]").input_value()
    return offered in {next_midnight(at).strftime("%Y-%m-%dT%H:%M") for at in (since, clock.now())}


def begin_later(page: Page, reason: str) -> datetime:
    """Fill the form with the midnight after the next; answers it."""
    begins = next_midnight(clock.now() + timedelta(days=1))
    page.locator("[name=effective_from]").fill(begins.strftime("%Y-%m-%dT%H:%M:%S"))
    page.locator("[name=reason]").fill(reason)
    return begins
