from datetime import UTC, datetime, timedelta, timezone

PLATFORM_ZONE = timezone(timedelta(hours=8))


def wall_now() -> datetime:
    """The simulator's own wall clock, in the platform's zone (+08:00)."""
    # A separate program has no access to the product's clock, just as a real platform has none.
    return datetime.now(UTC).astimezone(PLATFORM_ZONE)


def iso_second(at: datetime) -> str:
    """The instant cut to whole seconds, ISO 8601 with offset: how call records are written."""
    return at.replace(microsecond=0).isoformat()


def iso_millisecond(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
