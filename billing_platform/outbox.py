"""Durable events: written in the transaction that makes them true, relayed afterwards, at least once, always signed.

The face of rooms is `record_events`. The relay (beat, every 2 s; any number of copies) leases due rows with
SKIP LOCKED, sends without an open transaction and notes the outcome. No endpoint for an event: delivered at once.
"""

import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q

from billing_platform import clock, metrics, outside
from billing_platform.auth import Caller
from billing_platform.errors import PlatformError
from billing_platform.failpoints import failpoint
from billing_platform.metrics import Reading
from billing_platform.models import OutboxEvent, WebhookEndpoint
from billing_platform.states import claim
from billing_platform.trail import record_act
from billing_platform.webhooks import opened_secret, signed_headers

BATCH = 32
THREADS = 16  # so a batch ends within two deadlines, well inside the lease and a task's time limit
SEND_SECONDS = 15.0  # for one event, all its endpoints together
LEASE = timedelta(seconds=60)
DELIVERED_AT_ONCE = 1000
SECONDS_BEFORE = (
    0,
    5,
    300,
    1800,
    7200,
    18_000,
    36_000,
    50_400,
    72_000,
    86_400,
)  # each try, counted from the one before
JITTER = 0.2
DISABLED_AFTER = timedelta(days=5)
COUNTED_MAX = 100_000
SLOWED = frozenset({429, 502, 503, 504})  # obey Retry-After
WAIT_MAX = 86_400
EVERY_TOPIC = "*"
_log = logging.getLogger(__name__)
_RELAY = Caller("task", "outbox")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact to tell: topic (`account.state`), organisation code ("" = nobody outside), subject (its id), payload."""

    topic: str
    organization: str
    subject: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Due:
    """A leased event; `attempts` counts this one and fences a lease that ran out."""

    id: int
    topic: str
    organization: str
    subject: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int

    @property
    def body(self) -> bytes:
        content = {"id": self.id, "subject": self.subject, **self.payload}
        envelope = {"type": self.topic, "timestamp": self.created_at.isoformat(), "data": content}
        return json.dumps(envelope, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class _Endpoint:
    id: int
    url: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one endpoint answered: `error` is "" after success, `wait` its Retry-After in seconds, `gone` a 410."""

    endpoint: int
    error: str = ""
    wait: int = 0
    gone: bool = False


def record_events(events: Sequence[NewEvent]) -> None:
    """Insert the events in one statement, inside the caller's transaction."""
    if not events:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_platform_outboxevent
                   (topic, organization, subject, payload, state, attempts, last_error, created_at, next_attempt_at)
            SELECT new.topic, new.organization, new.subject, new.payload::jsonb, 'pending', 0, '', %(at)s, %(at)s
              FROM unnest(%(topics)s::text[], %(organizations)s::text[], %(subjects)s::text[], %(payloads)s::text[])
                   AS new(topic, organization, subject, payload)
            """,
            {
                "at": clock.now(),
                "topics": [event.topic for event in events],
                "organizations": [event.organization for event in events],
                "subjects": [event.subject for event in events],
                "payloads": [json.dumps(event.payload, ensure_ascii=False, default=str) for event in events],
            },
        )


def relay_outbox(*, seconds: float = 10.0) -> int:
    """Send what is due, batch by batch, for about `seconds`; how many events were settled or tried."""
    until = time.monotonic() + seconds
    count = _deliver_unwanted()
    while due := _lease():
        failpoint("outbox.after_claim")
        _send_all(due)
        count += len(due)
        if time.monotonic() > until:
            break
    return count


def send_again(event_id: int) -> bool:
    """A dead letter goes back into the queue with all its tries; False when it is not a dead letter."""
    return claim(
        OutboxEvent.objects.filter(pk=event_id, state=OutboxEvent.State.DEAD),
        OutboxEvent.TRANSITIONS, OutboxEvent.State.PENDING, attempts=0, next_attempt_at=clock.now(), last_error="",
    )  # fmt: skip


def waiting_readings() -> list[Reading]:
    """How many events of each topic are not delivered yet, counted up to a bound, and the age of the oldest."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT topic, count(*), min(created_at) FROM (SELECT topic, created_at FROM billing_platform_outboxevent"
            " WHERE state = 'pending' LIMIT %s) AS waiting GROUP BY topic",
            [COUNTED_MAX],
        )
        rows = cursor.fetchall()
    counts = [Reading(metrics.outbox_pending, number, (topic,)) for topic, number, _oldest in rows]
    ages = [
        Reading(metrics.outbox_oldest, max(0.0, (at - oldest).total_seconds()), (topic,)) for topic, _, oldest in rows
    ]
    return counts + ages


def dead_readings() -> list[Reading]:
    """How many events of each topic were given up and nobody has sent again."""
    rows = OutboxEvent.objects.filter(state=OutboxEvent.State.DEAD).values_list("topic").annotate(number=Count("id"))
    return [Reading(metrics.dead_letters, number, (topic,)) for topic, number in rows]


def seconds_until_next(attempts: int, *, wait: int = 0) -> float | None:
    """Pause before the next try after `attempts` of them, ± 20 %, at least `wait`; None when that was the last."""
    if attempts >= len(SECONDS_BEFORE):
        return None
    planned = SECONDS_BEFORE[attempts] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  jitter, not a secret
    return max(planned, float(min(wait, WAIT_MAX)))


def _deliver_unwanted() -> int:
    """Events that no endpoint asked for are delivered as they stand."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE billing_platform_outboxevent SET state = 'delivered' WHERE id IN (
                SELECT event.id FROM billing_platform_outboxevent event
                 WHERE event.state = 'pending' AND event.next_attempt_at <= %(at)s AND NOT EXISTS (
                       SELECT FROM billing_platform_webhookendpoint wanted
                        WHERE wanted.organization = event.organization AND wanted.enabled
                          AND (event.topic = ANY(wanted.topics) OR %(every)s = ANY(wanted.topics)))
                 ORDER BY event.next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            """,
            {"at": clock.now(), "every": EVERY_TOPIC, "limit": DELIVERED_AT_ONCE},
        )
        return int(cursor.rowcount)


def _lease() -> list[_Due]:
    """Take due events for the length of the lease; another relay passes them by."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE billing_platform_outboxevent SET attempts = attempts + 1, next_attempt_at = %(leased)s WHERE id IN (
                SELECT id FROM billing_platform_outboxevent WHERE state = 'pending' AND next_attempt_at <= %(at)s
                 ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id, topic, organization, subject, payload::text, created_at, attempts
            """,
            {"at": at, "leased": at + LEASE, "limit": BATCH},
        )
        rows = cursor.fetchall()
    return [
        _Due(event_id, topic, organization, subject, json.loads(payload), created_at, attempts)
        for event_id, topic, organization, subject, payload, created_at, attempts in rows
    ]


def _send_all(due: Sequence[_Due]) -> None:
    """Send side by side without a transaction; note each outcome as it comes."""
    endpoints = {event.id: _endpoints_of(event) for event in due}
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="relay") as pool:
        attempts = pool.map(lambda event: _send(event, endpoints[event.id]), due)
        for event, made in zip(due, attempts, strict=True):
            failpoint("outbox.after_send")
            _note(event, made)


def _endpoints_of(event: _Due) -> list[_Endpoint]:
    rows = WebhookEndpoint.objects.filter(
        Q(topics__contains=[event.topic]) | Q(topics__contains=[EVERY_TOPIC]),
        organization=event.organization, enabled=True,
    )  # fmt: skip
    return [_Endpoint(row.pk, row.url, bytes(row.secret)) for row in rows.order_by("pk")]


def _send(event: _Due, endpoints: Sequence[_Endpoint]) -> list[_Attempt]:
    until = time.monotonic() + SEND_SECONDS
    return [_send_to(event, endpoint, until=until) for endpoint in endpoints]


def _send_to(event: _Due, endpoint: _Endpoint, *, until: float) -> _Attempt:
    """No database here: this runs beside others in a thread. Every failure of the other side is an outcome."""
    body = event.body
    headers = signed_headers(opened_secret(endpoint.secret), message_id=f"evt_{event.id}", at=clock.now(), body=body)
    try:
        left = max(0.1, until - time.monotonic())
        target = outside.judged_target(endpoint.url, exceptions=settings.OUTSIDE_ALLOWED_PRIVATE_NETS, seconds=left)
        answer = outside.post(target, body=body, headers=headers, seconds=max(0.1, until - time.monotonic()))
    except PlatformError as refusal:
        return _Attempt(endpoint.id, f"{refusal.code} {refusal.fields.get('reason', '')}".strip())
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return _Attempt(endpoint.id)
    wait = answer.headers.get("retry-after", "") if answer.status in SLOWED else ""
    return _Attempt(
        endpoint.id, f"HTTP {answer.status}", int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 7 else 0,
        gone=answer.status == HTTPStatus.GONE,
    )  # fmt: skip


@transaction.atomic  # the event's state and its endpoints' state move together
def _note(event: _Due, made: Sequence[_Attempt]) -> None:
    for attempt in made:
        _note_endpoint(attempt)
        metrics.outbox_sent.labels("failed" if attempt.error else "ok").inc()
    leased = OutboxEvent.objects.filter(pk=event.id, attempts=event.attempts)
    failed = [attempt for attempt in made if attempt.error and not attempt.gone]
    if not failed:
        claim(leased, OutboxEvent.TRANSITIONS, OutboxEvent.State.DELIVERED, last_error="")
        return
    error = failed[0].error[:200]
    pause = seconds_until_next(event.attempts, wait=max(attempt.wait for attempt in failed))
    if pause is None:
        claim(leased, OutboxEvent.TRANSITIONS, OutboxEvent.State.DEAD, last_error=error)
        _log.error("event %s given up after %s tries: %s", event.id, event.attempts, error)
    else:
        leased.update(next_attempt_at=clock.now() + timedelta(seconds=pause), last_error=error)


def _note_endpoint(attempt: _Attempt) -> None:
    """Success forgets earlier failures; a 410, or five days of nothing but failures, disables."""
    at = clock.now()
    endpoint = WebhookEndpoint.objects.filter(pk=attempt.endpoint, enabled=True)
    if not attempt.error:
        endpoint.filter(failing_since__isnull=False).update(failing_since=None)
        return
    endpoint.filter(failing_since__isnull=True).update(failing_since=at)
    tired = endpoint if attempt.gone else endpoint.filter(failing_since__lt=at - DISABLED_AFTER)
    if tired.update(enabled=False):
        record_act(_RELAY, "webhook.disable", target=("webhookendpoint", attempt.endpoint), reason=attempt.error)
        _log.error("webhook endpoint %s disabled: %s", attempt.endpoint, attempt.error)
