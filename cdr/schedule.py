"""When a charge is tried again, and the zone in which people and partitions count their days."""

from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
RETRIES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
ALARM_AFTER = timedelta(hours=24)


def next_attempt(attempts: int, *, at: datetime) -> datetime:
    """After the first failure in 1 minute, then 5, 15, 60 minutes, then hourly; it never ends by itself."""
    return at + RETRIES[min(attempts, len(RETRIES)) - 1]
