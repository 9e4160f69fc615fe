"""Rows of service records as the hot path reads and writes them: whole batches, no model instances."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import IntegrityError, connection

from billing_platform.arrays import numbers_array, texts_array
from billing_platform.copying import Cell, copy_rows
from counter.content import svcno_of
from counter.models import ServiceRecord
from counter.uses import UseReceipt

State = ServiceRecord.State


class Overtaken(Exception):
    """Another transaction committed one of these uses in this moment: read again, then it is a repeat."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A service record as stored."""

    id: int
    item_id: int
    providerno: str
    account_id: int
    state: str
    organization: str
    start_at: datetime
    finish_at: datetime | None
    created_at: datetime
    expires_at: datetime | None
    hold_id: int | None
    start_content: str | None
    content: str
    cost: Decimal
    currency: str
    charged_seconds: int
    charged_count: Decimal
    pack_units: Decimal
    deck_version: str
    warnings: str
    explanation: str
    estimated: bool
    transfer_id: int | None
    supplier_cost: Decimal | None
    supplier_deck_version: str

    @property
    def svcno(self) -> str:
        return svcno_of(self.id, self.created_at)

    def receipt(self, *, duplicate: bool) -> UseReceipt:
        """The stored outcome of an ended use."""
        assert self.finish_at is not None
        return UseReceipt(
            self.svcno, str(self.id), self.start_at, self.finish_at, self.charged_count, self.cost, self.currency,
            self.charged_seconds, self.deck_version, self.pack_units, tuple(filter(None, self.warnings.split(","))),
            duplicate=duplicate,
        )  # fmt: skip


_COLUMNS = ", ".join(Stored.__dataclass_fields__)


# A use whose end named another providerno answers to the one it was started under as well.
_BY_KEY = f"""
    SELECT started_as, {_COLUMNS} FROM counter_servicerecord
    WHERE started_as <> '' AND (item_id, started_as) IN (SELECT * FROM unnest(%(items)s::bigint[], %(names)s::text[]))
    UNION ALL
    SELECT providerno, {_COLUMNS} FROM counter_servicerecord
    WHERE (item_id, providerno) IN (SELECT * FROM unnest(%(items)s::bigint[], %(names)s::text[]))
"""  # noqa: S608  constant columns


def find_by_keys(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Stored]:
    """The records of (item, providerno) keys that exist."""
    wanted = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            _BY_KEY,
            {"items": numbers_array(key[0] for key in wanted), "names": texts_array(key[1] for key in wanted)},
        )
        return {(row[2], row[0]): Stored(*row[1:]) for row in cursor.fetchall()}


def find_by_ids(ids: Iterable[int]) -> dict[int, Stored]:
    """The records with these ids."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM counter_servicerecord WHERE id = ANY(%s)", [list(ids)])  # noqa: S608
        return {row[0]: Stored(*row) for row in cursor.fetchall()}


def lock_records(ids: Iterable[int]) -> dict[int, Stored]:
    """The records with these ids, locked in id order, as they are now."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM counter_servicerecord WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",  # noqa: S608
            [wanted],
        )
        return {row[0]: Stored(*row) for row in cursor.fetchall()}


def new_ids(how_many: int) -> list[int]:
    """Ids for records to be written."""
    if not how_many:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('counter_servicerecord_id_seq') FROM generate_series(1, %s)", [how_many])
        return [row[0] for row in cursor.fetchall()]


ENDED_COLUMNS = (
    "id", "item_id", "providerno", "account_id", "state", "organization", "application", "summary", "record_ref",
    "start_at", "finish_at", "count", "created_at", "ended_at", "refusal", "content", "cost", "currency",
    "charged_seconds", "charged_count", "pack_units", "deck_version", "warnings", "explanation", "estimated",
    "transfer_id", "supplier_cost", "supplier_deck_version",
)  # fmt: skip


def insert_ended(rows: Sequence[Sequence[Cell]]) -> None:
    """Write uses in their final state, columns as `ENDED_COLUMNS`. Raises Overtaken when a key exists meanwhile."""
    if not rows:
        return
    with _overtaken_by_the_same_key():
        copy_rows("counter_servicerecord", ENDED_COLUMNS, rows)


@contextmanager
def _overtaken_by_the_same_key() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if error.__cause__.diag.constraint_name != "use_once":  # type: ignore[union-attr]  # psycopg2's diagnostics
            raise
        raise Overtaken from error


def update_ended(changes: Sequence[dict[str, Any]]) -> None:
    """Set the charge in force of locked records that were started, or whose charge is replaced: one UPDATE.

    Raises Overtaken when a key that a record takes exists meanwhile.
    """
    if not changes:
        return
    with _overtaken_by_the_same_key(), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE counter_servicerecord r SET
                started_as = CASE WHEN r.started_as <> '' OR r.providerno = t.providerno THEN r.started_as
                                  ELSE r.providerno END,
                providerno = t.providerno, state = 'ended', organization = t.organization, application = t.application,
                summary = t.summary, record_ref = t.record_ref, start_at = t.start_at, finish_at = t.finish_at,
                count = t.count, ended_at = t.ended_at, content = t.content, cost = t.cost, currency = t.currency,
                charged_seconds = t.charged_seconds, charged_count = t.charged_count, pack_units = t.pack_units,
                deck_version = t.deck_version, warnings = t.warnings, explanation = t.explanation,
                estimated = t.estimated, transfer_id = t.transfer_id, supplier_cost = t.supplier_cost,
                supplier_deck_version = t.supplier_deck_version
            FROM json_to_recordset(%s) AS t(
                id bigint, providerno text, organization text, application text, summary text, record_ref text,
                start_at timestamptz, finish_at timestamptz, count int, ended_at timestamptz, content text,
                cost numeric, currency text, charged_seconds int, charged_count numeric, pack_units numeric,
                deck_version text, warnings text, explanation text, estimated bool, transfer_id bigint,
                supplier_cost numeric, supplier_deck_version text)
            WHERE r.id = t.id
            """,
            [msgspec.json.encode(changes).decode()],
        )


def replace_charges(changes: Sequence[dict[str, Any]]) -> None:
    """Set the charge in force of locked, ended records; what was used stays as it is."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE counter_servicerecord r SET
                cost = t.cost, charged_seconds = t.charged_seconds, charged_count = t.charged_count,
                deck_version = t.deck_version, warnings = t.warnings, explanation = t.explanation,
                transfer_id = t.transfer_id, supplier_cost = t.supplier_cost,
                supplier_deck_version = t.supplier_deck_version
            FROM json_to_recordset(%s) AS t(
                id bigint, cost numeric, charged_seconds int, charged_count numeric, deck_version text, warnings text,
                explanation text, transfer_id bigint, supplier_cost numeric, supplier_deck_version text)
            WHERE r.id = t.id AND r.state = 'ended'
            """,
            [msgspec.json.encode(changes).decode()],
        )
