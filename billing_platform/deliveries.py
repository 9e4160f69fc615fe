"""Which endpoint is told what: a row for each event and endpoint, with tries, state and dead letter of its own.

An event is addressed once, to the endpoints that want it then. Locks are taken event first, then its deliveries; the
event's own row sums them up whenever one of them moves.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import connection, transaction

from billing_platform import clock
from billing_platform.models import OutboxEvent, WebhookDelivery
from billing_platform.states import claim

ADDRESSED_AT_ONCE = 1000
DROPPED_AT_ONCE = 1000
ENDPOINTS_SHOWN, COUNTED_MAX = 50, 10_000
LEASE = timedelta(seconds=60)
EVERY_TOPIC = "*"
State = WebhookDelivery.State
# The update of an event that is wanted keeps a second relay away: it finds the event no longer due.
_ADDRESS = """
    WITH due AS MATERIALIZED (
        SELECT id, organization, topic, created_at, attempts, last_error FROM billing_platform_outboxevent e
         WHERE state = 'pending' AND next_attempt_at <= %(at)s
           AND NOT EXISTS (SELECT FROM billing_platform_webhookdelivery d WHERE d.event_id = e.id)
         ORDER BY next_attempt_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
    ), addressed AS (
        INSERT INTO billing_platform_webhookdelivery
               (event_id, endpoint_id, url, state, attempts, next_attempt_at, last_error)
        SELECT due.id, w.id, w.url, 'pending', due.attempts, %(at)s, due.last_error
          FROM due JOIN billing_platform_webhookendpoint w
            ON w.organization = due.organization AND w.enabled AND w.created_at <= due.created_at
               AND (due.topic = ANY(w.topics) OR %(every)s = ANY(w.topics))
        RETURNING event_id
    ), wanted AS (SELECT DISTINCT event_id FROM addressed)
    UPDATE billing_platform_outboxevent e
       SET state = CASE WHEN wanted.event_id IS NULL THEN 'delivered' ELSE 'pending' END,
           next_attempt_at = CASE WHEN wanted.event_id IS NULL THEN e.next_attempt_at ELSE %(leased)s END
      FROM due LEFT JOIN wanted ON wanted.event_id = due.id WHERE e.id = due.id
    RETURNING e.state
"""
_LEASE = """
    WITH due AS MATERIALIZED (
        SELECT id FROM billing_platform_webhookdelivery WHERE state = 'pending' AND next_attempt_at <= %(at)s
         ORDER BY next_attempt_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE billing_platform_webhookdelivery d
       SET attempts = d.attempts + 1, tried_at = %(at)s, next_attempt_at = %(leased)s, url = w.url
      FROM due, billing_platform_outboxevent e, billing_platform_webhookendpoint w
     WHERE d.id = due.id AND e.id = d.event_id AND w.id = d.endpoint_id AND w.enabled
    RETURNING d.id, d.event_id, d.endpoint_id, d.attempts, w.url, w.secret, e.topic, e.subject, e.payload::text,
              e.created_at
"""
_UNREACHABLE = """
    NOT EXISTS (SELECT FROM billing_platform_webhookendpoint w WHERE w.id = d.endpoint_id AND w.enabled)
"""
_SUM_UP = """
    UPDATE billing_platform_outboxevent e
       SET state = CASE WHEN own.waiting THEN 'pending' WHEN own.dead THEN 'dead' ELSE 'delivered' END,
           attempts = own.attempts, last_error = own.error, next_attempt_at = coalesce(own.next, e.next_attempt_at)
      FROM (SELECT event_id, bool_or(state = 'pending') AS waiting, bool_or(state = 'dead') AS dead,
                   max(attempts) AS attempts, min(next_attempt_at) FILTER (WHERE state = 'pending') AS next,
                   coalesce(max(last_error) FILTER (WHERE state IN ('pending', 'dead')), '') AS error
              FROM billing_platform_webhookdelivery WHERE event_id = ANY(%(events)s) GROUP BY event_id) own
     WHERE e.id = own.event_id AND e.state = 'pending'
"""

# Counted are the two states that people care for, by their partial indexes; what was delivered is never looked at.
_STANDINGS = """
    WITH counted AS (
        (SELECT endpoint_id, state FROM billing_platform_webhookdelivery WHERE state = 'pending' LIMIT %(counted)s)
        UNION ALL
        (SELECT endpoint_id, state FROM billing_platform_webhookdelivery WHERE state = 'dead' LIMIT %(counted)s)
    ), sums AS (
        SELECT endpoint_id, count(*) FILTER (WHERE state = 'pending') AS waiting,
               count(*) FILTER (WHERE state = 'dead') AS dead
          FROM counted GROUP BY endpoint_id
    )
    SELECT w.organization, w.url, w.enabled, w.failing_since, coalesce(sums.waiting, 0), coalesce(sums.dead, 0)
      FROM billing_platform_webhookendpoint w LEFT JOIN sums ON sums.endpoint_id = w.id
     WHERE %(organization)s IS NULL OR w.organization = %(organization)s
     ORDER BY w.failing_since IS NULL, coalesce(sums.dead, 0) DESC, coalesce(sums.waiting, 0) DESC, w.id
     LIMIT %(shown)s
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint does: deliveries that wait and dead letters, each counted up to 10,000 of the platform."""

    organization: str
    url: str
    enabled: bool
    failing_since: datetime | None
    waiting: int
    dead: int

    @property
    def host(self) -> str:
        """Where it is, without what the rest of the address may give away."""
        return urlsplit(self.url).hostname or ""

    @property
    def state(self) -> str:
        """One of off, failing and well."""
        if not self.enabled:
            return "off"
        return "failing" if self.failing_since or self.dead else "well"


@dataclass(frozen=True, slots=True)
class Due:
    """A leased delivery; `attempts` counts this one and fences a lease that ran out. `secret` as stored."""

    id: int
    event_id: int
    endpoint_id: int
    attempts: int
    url: str
    secret: bytes
    topic: str
    subject: str
    payload: dict[str, Any]
    created_at: datetime

    @property
    def body(self) -> bytes:
        content = {"id": self.event_id, "subject": self.subject, **self.payload}
        envelope = {"type": self.topic, "timestamp": self.created_at.isoformat(), "data": content}
        return json.dumps(envelope, ensure_ascii=False).encode()


def address_events() -> int:
    """Give due events their deliveries; those that no endpoint wants are delivered as they stand, answers how many."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_ADDRESS, {"at": at, "leased": at + LEASE, "every": EVERY_TOPIC, "limit": ADDRESSED_AT_ONCE})
        return sum(state == OutboxEvent.State.DELIVERED for (state,) in cursor.fetchall())


def lease_due(limit: int) -> list[Due]:
    """Take due deliveries for the length of the lease; another relay passes them by."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, {"at": at, "leased": at + LEASE, "limit": limit})
        rows = cursor.fetchall()
    return [
        Due(own_id, event_id, endpoint_id, tries, url, bytes(secret), topic, subject, json.loads(payload), created_at)
        for own_id, event_id, endpoint_id, tries, url, secret, topic, subject, payload, created_at in rows
    ]


def drop_unreachable() -> None:
    """End what waits for endpoints that were switched off or removed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT event_id FROM billing_platform_webhookdelivery d"  # noqa: S608  constants above
            f" WHERE state = 'pending' AND {_UNREACHABLE} LIMIT %s",
            [DROPPED_AT_ONCE],
        )
        events = [event_id for (event_id,) in cursor.fetchall()]
    if events:
        _drop_of(events)


@transaction.atomic  # the deliveries and what sums them up
def _drop_of(event_ids: Sequence[int]) -> None:
    _lock_events(event_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_platform_webhookdelivery d SET state = 'dropped'"  # noqa: S608  constants above
            f" WHERE event_id = ANY(%s) AND state = 'pending' AND {_UNREACHABLE}",
            [list(event_ids)],
        )
    _sum_up(event_ids)


@transaction.atomic  # the delivery and what sums it up
def settle(due: Due, state: WebhookDelivery.State, *, error: str = "") -> None:
    """End a delivery, if its lease is still ours. `error`: what the endpoint answered, at most 200 characters."""
    _lock_events([due.event_id])
    claim(_leased(due), WebhookDelivery.TRANSITIONS, state, last_error=error)
    _sum_up([due.event_id])


@transaction.atomic  # as `settle`
def put_off(due: Due, *, until: datetime, error: str) -> None:
    """Try again then, if the lease is still ours."""
    _lock_events([due.event_id])
    _leased(due).update(next_attempt_at=until, last_error=error)
    _sum_up([due.event_id])


def list_standings(organization: str | None) -> list[Standing]:
    """The endpoints of an organisation, or of all (None), those in trouble first, at most 50."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDINGS, {"organization": organization, "counted": COUNTED_MAX, "shown": ENDPOINTS_SHOWN})
        return [Standing(*row) for row in cursor.fetchall()]


@transaction.atomic  # the event waits exactly when its deliveries do
def send_again(event_id: int) -> bool:
    """A dead letter goes back into the queue with all its tries, to the endpoints that have not heard it; False when it
    is not a dead letter."""
    fresh = {"attempts": 0, "next_attempt_at": clock.now(), "last_error": ""}
    dead = OutboxEvent.objects.filter(pk=event_id, state=OutboxEvent.State.DEAD)
    if not claim(dead, OutboxEvent.TRANSITIONS, OutboxEvent.State.PENDING, **fresh):
        return False
    WebhookDelivery.objects.filter(event_id=event_id, state=State.DEAD).update(state=State.PENDING, **fresh)
    return True


def _leased(due: Due) -> Any:
    return WebhookDelivery.objects.filter(pk=due.id, state=State.PENDING, attempts=due.attempts)


def _lock_events(event_ids: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM billing_platform_outboxevent WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
            [list(event_ids)],
        )


def _sum_up(event_ids: Iterable[int]) -> None:
    """After the lock, so that what others have settled meanwhile is seen."""
    with connection.cursor() as cursor:
        cursor.execute(_SUM_UP, {"events": list(event_ids)})
