"""Deliveries: stored raw and committed before anything else counts. This is the only place where storing can fail."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing_platform.copying import copy_rows
from billing_platform.failpoints import failpoint
from billing_platform.transactions import limit_waiting
from cdr.messages import Parsed
from cdr.numbering import new_ids
from cdr.providers import ProviderFacts

TAKE_UP_AFTER = timedelta(seconds=30)  # longer than any request that may still be at work on the delivery
LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Received:
    """What came through a door: who vouches for it, and its raw body. `parsed` is set where the door had to read it.

    `organization` is that of the API key, or the provider's fixed one; `provider` is set for webhooks.
    """

    source: str
    adapter: str
    body: bytes
    content_type: str
    organization: str = ""
    provider: ProviderFacts | None = None
    headers: Mapping[str, str] | None = None
    parsed: Sequence[Parsed] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery."""

    id: int
    received_at: datetime
    received: Received


_COLUMNS = (
    "id", "received_at", "source", "adapter", "provider_id", "organization", "content_type", "headers", "body",
)  # fmt: skip


def store_deliveries(batch: Sequence[Received], *, at: datetime) -> list[Delivery]:
    """One row a delivery, committed together; each is also queued until its call records are written."""
    stored = [Delivery(number, at, received) for number, received in zip(new_ids(len(batch)), batch, strict=True)]
    with transaction.atomic(durable=True):  # a delivery is never without its place in the queue
        limit_waiting()
        copy_rows("call_deliveries", _COLUMNS, map(_cells, stored))
        copy_rows(
            "cdr_opendelivery", ("delivery_id", "received_at", "due_at", "attempts"),
            [(delivery.id, at, at + TAKE_UP_AFTER, 0) for delivery in stored],
        )  # fmt: skip
        failpoint("cdr.intake.before_commit")
    failpoint("cdr.intake.after_commit")
    return stored


def _cells(delivery: Delivery) -> tuple[str | int | bytes | datetime | None, ...]:
    received = delivery.received
    return (
        delivery.id, delivery.received_at, received.source, received.adapter,
        received.provider.id if received.provider is not None else None, received.organization,
        received.content_type, json.dumps(received.headers, ensure_ascii=False) if received.headers else "",
        received.body,
    )  # fmt: skip


def close_deliveries(ids: Sequence[int]) -> None:
    """The records of these deliveries are written, in the transaction that says so."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM cdr_opendelivery WHERE delivery_id = ANY(%s)", [list(ids)])


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery left without records, leased to this process; `attempts` counts this one."""

    id: int
    received_at: datetime
    attempts: int


def claim_open(*, at: datetime, limit: int) -> list[Claimed]:
    """Lease deliveries that nobody finished; another sweeper passes them by."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE cdr_opendelivery SET due_at = %(leased)s, attempts = attempts + 1 WHERE delivery_id IN (
                SELECT delivery_id FROM cdr_opendelivery WHERE due_at <= %(at)s ORDER BY due_at LIMIT %(limit)s
                   FOR UPDATE SKIP LOCKED)
            RETURNING delivery_id, received_at, attempts
            """,
            {"at": at, "leased": at + LEASE, "limit": limit},
        )
        return [Claimed(*row) for row in cursor.fetchall()]
