"""Quotas: how much of an item an account may use in a calendar month; counted only where a quota is set."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import connection

from counter.models import QuotaUse

PLATFORM_ZONE = ZoneInfo("Asia/Shanghai")


def day_of(at: datetime) -> date:
    """The day that an instant belongs to, on the platform's calendar."""
    return at.astimezone(PLATFORM_ZONE).date()


def month_of(at: datetime) -> date:
    """The first day of its month."""
    return day_of(at).replace(day=1)


def used_in_month(account_id: int, item_id: int, *, at: datetime) -> Decimal:
    """What was counted so far in the month of `at`."""
    row = QuotaUse.objects.filter(account_id=account_id, item_id=item_id, month=month_of(at)).first()
    return row.used if row else Decimal(0)


def count_uses(uses: Iterable[tuple[int, int, datetime, Decimal]]) -> None:
    """Add (account, item, start, count) to their months, one statement, sorted so that batches do not deadlock."""
    sums: dict[tuple[int, int, date], Decimal] = {}
    for account_id, item_id, start, count in uses:
        key = (account_id, item_id, month_of(start))
        sums[key] = sums.get(key, Decimal(0)) + count
    if not sums:
        return
    keys = sorted(sums)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO counter_quotause AS q (account_id, item_id, month, used)
            SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::date[], %s::numeric[])
            ON CONFLICT (account_id, item_id, month) DO UPDATE SET used = q.used + excluded.used
            """,
            [[k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys], [sums[k] for k in keys]],
        )
