"""Rows of call records as the hot path reads and writes them: whole batches, no model instances."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from django.db import IntegrityError, connection
from msgspec import Struct

from billing_platform.copying import copy_rows
from cdr.errors import RecordChanged
from cdr.messages import BASES_OF_TALK
from cdr.models import CallRecord

State = CallRecord.State
# As stored, in the order of the choices: `.value` of a choice costs a call each time.
CHARGED, FILTERED, PENDING, WAITING, ORPHAN, QUARANTINED, REVIEW = map(str, State.values)
ZERO = Decimal(0)
KEY_MAX = 128


class CallRow(Struct, gc=False, kw_only=True):
    """A call record, field by field as its table; the charge's fields are filled in on the way through intake."""

    id: int
    start_time: datetime
    provider_id: int
    provider_call_id: str
    leg: str
    part: str = ""
    call_id: str = ""
    call_type: str = ""
    caller: str = ""
    called: str = ""
    display_number: str = ""
    organization: str = ""
    a_answer_time: datetime | None = None
    answer_time: datetime | None = None
    end_time: datetime | None = None
    duration_seconds: int | None = None
    billable_seconds: int = 0
    answer_basis: str = ""
    hangup_cause: str = ""
    hangup_by: str = ""
    recording_url: str = ""
    provider_cost: str = ""
    complete: bool = True
    version: int = 1
    trunk: str = ""
    carrier: str = ""
    user_data: str = ""
    warnings: str = ""
    delivery_id: int
    received_at: datetime
    state: str = PENDING
    rule: str = ""
    charge_key: str = ""
    label: str = ""
    accno: str = ""
    billed: bool = False
    billed_at: datetime | None = None
    bill_attempts: int = 0
    bill_error: str = ""
    next_bill_at: datetime | None = None
    cost: Decimal = ZERO
    currency: str = ""
    svcno: str = ""
    service_record_id: int | None = None
    revision: int = 1

    @property
    def is_answered(self) -> bool:
        """Did a charged leg answer?"""
        return self.answer_time is not None

    @property
    def is_talk(self) -> bool:
        """Do its seconds count talk, and not the ringing of the other side?"""
        return self.answer_basis in BASES_OF_TALK

    @property
    def key(self) -> str:
        """The name of this record in `CallKey`."""
        return call_key(self.provider_id, self.provider_call_id, self.leg, self.part)


COLUMNS = CallRow.__struct_fields__
_COLUMNS = ", ".join(COLUMNS)
_UPDATED = [column for column in COLUMNS if column not in {"id", "revision", "received_at"}]
_TYPES: Mapping[str, str] = {
    field.name: field.cast_db_type(connection) or "" for field in CallRecord._meta.concrete_fields
}


def call_key(provider_id: int, provider_call_id: str, leg: str, part: str) -> str:
    """`<provider row>:<provider's call id>:<leg>[:<part>]`; its SHA-256 when longer than a charge's key may be."""
    key = f"{provider_id}:{provider_call_id}:{leg}:{part}" if part else f"{provider_id}:{provider_call_id}:{leg}"
    if len(key) > KEY_MAX or not key.isascii():
        encoded = key.encode()
        return key if len(encoded) <= KEY_MAX else sha256(encoded).hexdigest()
    return key


def find_by_keys(keys: Sequence[str]) -> dict[str, CallRow]:
    """The records that exist under these keys."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key, record_id, start_time FROM cdr_callkey WHERE key = ANY(%s)", [list(keys)])
        named = cursor.fetchall()
    if not named:
        return {}
    rows = find_by_ids([record_id for _key, record_id, _start in named], [start for _key, _id, start in named])
    return {key: rows[record_id] for key, record_id, _start in named if record_id in rows}


def find_by_ids(ids: Sequence[int], starts: Sequence[datetime]) -> dict[int, CallRow]:
    """The records with these ids; their start times say in which partitions they lie."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM call_records WHERE id = ANY(%s) AND start_time = ANY(%s)",  # noqa: S608  constants
            [list(ids), list(starts)],
        )
        return {row.id: row for row in read_rows(cursor.fetchall())}


def insert_records(rows: Sequence[CallRow]) -> None:
    """Write keys and records in their final state. Raises RecordChanged when one of the keys exists meanwhile."""
    if not rows:
        return
    try:
        copy_rows("cdr_callkey", ("key", "record_id", "start_time"), [(r.key, r.id, r.start_time) for r in rows])
    except IntegrityError as error:
        raise RecordChanged from error
    copy_rows("call_records", COLUMNS, map(msgspec.structs.astuple, rows))


def update_records(rows: Sequence[CallRow], *, from_starts: Mapping[int, datetime] | None = None) -> None:
    """Write changed rows; each must still have the revision that it was read with. Raises RecordChanged.

    `from_starts` names the former start time of records whose start changed: they may move to another partition.
    """
    if not rows:
        return
    moved = from_starts or {}
    columns = [(column, _TYPES[column]) for column in _UPDATED]
    changes = ", ".join(f"{column} = new.{column}" for column, _type in columns)
    kinds = ["bigint", "timestamptz", "integer", *(kind for _column, kind in columns)]
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    names = ", ".join(["row_id", "row_start", "row_revision", *(column for column, _type in columns)])
    values: list[Any] = [
        [row.id for row in rows], [moved.get(row.id, row.start_time) for row in rows], [row.revision for row in rows],
        *([getattr(row, column) for row in rows] for column, _type in columns),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE call_records AS old SET {changes}, revision = old.revision + 1"  # noqa: S608  constant columns
            f" FROM unnest({arrays}) AS new({names})"
            " WHERE old.id = row_id AND old.start_time = row_start AND old.revision = row_revision",
            values,
        )
        if cursor.rowcount != len(rows):
            raise RecordChanged
    _move_keys([row for row in rows if row.id in moved])


def _move_keys(rows: Sequence[CallRow]) -> None:
    """The keys of these records follow them to their new start times."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cdr_callkey AS old SET start_time = new.start_time"
            " FROM unnest(%s::text[], %s::timestamptz[]) AS new(key, start_time) WHERE old.key = new.key",
            [[row.key for row in rows], [row.start_time for row in rows]],
        )


def read_rows(selected: Iterable[Sequence[Any]]) -> list[CallRow]:
    """Rows of a query that selects `record_columns()`."""
    return [CallRow(**dict(zip(COLUMNS, row, strict=True))) for row in selected]


def record_columns(table: str) -> str:
    """The columns of a record for a query, in the order of `CallRow`, of a table or its alias."""
    return ", ".join(f"{table}.{column}" for column in COLUMNS)
