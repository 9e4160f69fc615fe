"""Seals: daily evidence that transfers were not touched afterwards, chained from day to day.

A day is 00:00 to 24:00 at +08:00 of `created_at`. The hash runs over the seal before, the day, and every row of the day
in id order as one line of JSON, in the order of COLUMNS; amounts as text, instants in UTC to the microsecond.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

from django.db import connection, transaction

from ledger.errors import NotSealable
from ledger.models import Seal

DAY_ZONE = timezone(timedelta(hours=8))
DAY = timedelta(days=1)
FETCHED_AT_ONCE = 5000
_INSTANT = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
COLUMNS = (
    "id, account_id, debit_id, credit_id, amount::text, currency, cause_type, cause_id, cause_leg, reverses,"
    f" room_after::text, {_INSTANT.format('effective_at')}, {_INSTANT.format('created_at')}, xid::text, memo"
)


@dataclass(slots=True)
class _Content:
    """What a day holds: its hash, its rows, the sum of their amounts per currency."""

    digest: "hashlib._Hash"
    rows: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)

    @property
    def shown_sums(self) -> dict[str, str]:
        return {currency: f"{amount:f}" for currency, amount in sorted(self.sums.items())}


def day_of(instant: datetime) -> date:
    """The sealing day of an instant."""
    return instant.astimezone(DAY_ZONE).date()


def seal_due_days(*, at: datetime) -> list[date]:
    """Seal every ended day without a seal, oldest first; answers them. Raises NotSealable at one that must wait."""
    sealed = []
    while (day := _next_day()) is not None and day < day_of(at):
        seal_day(day, at=at)
        sealed.append(day)
    return sealed


@transaction.atomic(durable=True)  # the seal says what one snapshot saw
def seal_day(day: date, *, at: datetime) -> int:
    """Seal the day after the last sealed one; answers its rows. NotSealable: not over, in flight or out of turn."""
    read_in_one_snapshot()
    if day >= day_of(at):
        raise NotSealable("the day has not ended")
    if _next_day() != day:
        raise NotSealable("days are sealed once, in their order")
    if _may_still_grow(day):
        raise NotSealable("a transaction that could add to the day is still running")
    previous = Seal.objects.order_by("-day").first()
    content = _content_of(day, chained_to=bytes(previous.sha256) if previous else b"")
    Seal.objects.create(
        day=day, partition=f"ledger_transfer_{day:%Y%m}", rows=content.rows, sums=content.shown_sums,
        sha256=content.digest.digest(), previous=previous,
    )  # fmt: skip
    return content.rows


def find_broken_seals() -> Iterator[str]:
    """Every seal whose day reads differently now, and every gap in the chain. Reads all sealed rows."""
    previous: Seal | None = None
    for seal in Seal.objects.order_by("day").iterator():
        if seal.previous_id != (previous.pk if previous else None) or (previous and seal.day != previous.day + DAY):
            yield f"seal of {seal.day} does not follow the seal before it"
        content = _content_of(seal.day, chained_to=bytes(previous.sha256) if previous else b"")
        if content.digest.digest() != bytes(seal.sha256) or content.rows != seal.rows:
            yield f"seal of {seal.day}: {seal.rows} rows {seal.sums}, now {content.rows} rows {content.shown_sums}"
        previous = seal


def read_in_one_snapshot() -> None:
    """The rest of the transaction, which has just begun, sees the database as of now."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _next_day() -> date | None:
    """The day after the last seal, or the day of the first transfer; None when there is none."""
    last = Seal.objects.order_by("-day").values_list("day", flat=True).first()
    if last is not None:
        return last + DAY
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(created_at) FROM ledger_transfer")
        (first,) = cursor.fetchone()
    return None if first is None else day_of(first)


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), DAY_ZONE)
    return start.astimezone(UTC), (start + DAY).astimezone(UTC)


def _may_still_grow(day: date) -> bool:
    """`created_at` is the start of the transaction: one that began before the day ended may still add to it.

    A role that may not see when others began asks instead whether any transaction is older than the day's last row.
    """
    start, end = _bounds(day)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT EXISTS (SELECT FROM pg_stat_activity
                           WHERE datname = current_database() AND backend_type = 'client backend'
                             AND pid <> pg_backend_pid() AND xact_start < %(end)s)
                OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database() AND prepared < %(end)s)
                OR NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
                   AND pg_snapshot_xmin(pg_current_snapshot())
                   <= (SELECT max(xid) FROM ledger_transfer WHERE created_at >= %(start)s AND created_at < %(end)s)
            """,
            {"start": start, "end": end},
        )
        return bool(cursor.fetchone()[0])


def _content_of(day: date, *, chained_to: bytes) -> _Content:
    content = _Content(hashlib.sha256(chained_to + day.isoformat().encode()))
    start, end = _bounds(day)
    with connection.chunked_cursor() as cursor:  # on the server: a day of millions of rows is never in memory
        cursor.execute(
            f"SELECT currency, amount, json_build_array({COLUMNS})::text FROM ledger_transfer"  # noqa: S608  constant
            " WHERE created_at >= %s AND created_at < %s ORDER BY id",
            [start, end],
        )
        while rows := cursor.fetchmany(FETCHED_AT_ONCE):
            content.rows += len(rows)
            for currency, amount, line in rows:
                content.sums[currency] = content.sums.get(currency, Decimal(0)) + amount
                content.digest.update(line.encode() + b"\n")
    return content
