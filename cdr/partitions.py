"""Monthly partitions of deliveries and call records: made ahead, detached when old, and a default that should be empty.

Boundaries are China's midnights. Rows that fell into the default partition move into their month when it is made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from billing_platform import clock
from billing_platform.transactions import limit_waiting
from cdr.schedule import CHINA

TABLES = {"call_deliveries": "received_at", "call_records": "start_time"}
MONTHS_AHEAD, MONTHS_KEPT = 3, 24


@dataclass(frozen=True, slots=True)
class Month:
    """A month in China; partitions hold [begin, next begin)."""

    year: int
    number: int

    @classmethod
    def of(cls, at: datetime) -> "Month":
        """The month in which an instant lies."""
        local = at.astimezone(CHINA)
        return cls(local.year, local.month)

    def plus(self, months: int) -> "Month":
        """The month so many later."""
        years, index = divmod(self.number - 1 + months, 12)
        return Month(self.year + years, index + 1)

    @property
    def begin(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.number, 1, tzinfo=CHINA)

    def name(self, table: str) -> str:
        """`call_records_202603`."""
        return f"{table}_{self.year:04d}{self.number:02d}"


def make_partitions() -> list[str]:
    """Make what is missing, from the oldest month that may still be charged to three months ahead; their names."""
    at = clock.now()
    first, last = Month.of(at - timedelta(days=settings.CDR_MAX_AGE_DAYS)), Month.of(at).plus(MONTHS_AHEAD)
    made = []
    for table in TABLES:
        existing = list_partitions(table)
        month = first
        while month.begin <= last.begin:
            if month.name(table) not in existing:
                _make(table, month)
                made.append(month.name(table))
            month = month.plus(1)
    return made


def detach_partitions() -> list[str]:
    """Take months older than 24 out of their tables; they stay as tables of their own, to be archived. Their names."""
    oldest = Month.of(clock.now()).plus(-MONTHS_KEPT)
    detached = []
    for table in TABLES:
        for name in list_partitions(table):
            suffix = name.removeprefix(f"{table}_")
            if suffix.isdigit() and suffix < f"{oldest.year:04d}{oldest.number:02d}":
                _run(f"ALTER TABLE {table} DETACH PARTITION {name}")
                detached.append(name)
    return detached


def list_partitions(table: str) -> list[str]:
    """The names of a table's partitions, the default one among them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
        return sorted(name for (name,) in cursor.fetchall())


def default_is_empty(table: str) -> bool:
    """A row in the default partition means that a month is missing, or that a sender's clock is wild."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT NOT EXISTS (SELECT FROM {table}_default)")  # noqa: S608  a name of ours
        return bool(cursor.fetchone()[0])


@transaction.atomic(durable=True)  # rows are never outside of both partitions
def _make(table: str, month: Month) -> None:
    """A partition of one month, with what the default one holds of it."""
    limit_waiting(lock_seconds=3, statement_seconds=60)
    name, column, bounds = month.name(table), TABLES[table], [month.begin, month.plus(1).begin]
    _run(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)")
    _run(
        f"WITH moved AS (DELETE FROM {table}_default WHERE {column} >= %s AND {column} < %s RETURNING *)"  # noqa: S608
        f" INSERT INTO {name} SELECT * FROM moved",
        *bounds,
    )
    _run(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", *bounds)


def _run(statement: str, *values: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values) or None)
