"""Durable events: written in the transaction that makes them true, relayed afterwards, at least once, always signed.

The face of rooms is `record_events`. The relay (beat, every 2 s; any number of copies) addresses due events, leases due
deliveries with SKIP LOCKED, sends without an open transaction and notes each outcome. Endpoints do not feel each other.
"""

import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count

from billing_platform import clock, deliveries, metrics, outside
from billing_platform.auth import Caller
from billing_platform.deliveries import Due
from billing_platform.errors import PlatformError
from billing_platform.failpoints import failpoint
from billing_platform.metrics import Reading
from billing_platform.models import OutboxEvent, WebhookDelivery, WebhookEndpoint
from billing_platform.trail import record_act
from billing_platform.webhooks import opened_secret, signed_headers

BATCH = 32
THREADS = 16  # so a batch ends within two deadlines, well inside the lease and a task's time limit
SEND_SECONDS = 15.0
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
State = WebhookDelivery.State
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
class _Attempt:
    """What the endpoint answered: `error` is "" after success, `wait` its Retry-After in seconds, `gone` a 410."""

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
    """Send what is due, batch by batch, for about `seconds`; how many events nobody wants and deliveries were tried."""
    until = time.monotonic() + seconds
    deliveries.drop_unreachable()
    count = deliveries.address_events()
    while due := deliveries.lease_due(BATCH):
        failpoint("outbox.after_claim")
        _send_all(due)
        count += len(due)
        if time.monotonic() > until:
            break
        if len(due) < BATCH:
            count += deliveries.address_events()
    return count


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


def _send_all(due: Sequence[Due]) -> None:
    """Send side by side without a transaction; note each outcome as it comes."""
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="relay") as pool:
        for one, attempt in zip(due, pool.map(_send, due), strict=True):
            failpoint("outbox.after_send")
            _note(one, attempt)


def _send(due: Due) -> _Attempt:
    """No database here: this runs beside others in a thread. Every failure of the other side is an outcome."""
    until, body = time.monotonic() + SEND_SECONDS, due.body
    headers = signed_headers(opened_secret(due.secret), message_id=f"evt_{due.event_id}", at=clock.now(), body=body)
    try:
        target = outside.judged_target(due.url, exceptions=settings.OUTSIDE_ALLOWED_PRIVATE_NETS, seconds=SEND_SECONDS)
        answer = outside.post(target, body=body, headers=headers, seconds=max(0.1, until - time.monotonic()))
    except PlatformError as refusal:
        return _Attempt(f"{refusal.code} {refusal.fields.get('reason', '')}".strip())
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return _Attempt()
    wait = answer.headers.get("retry-after", "") if answer.status in SLOWED else ""
    return _Attempt(
        f"HTTP {answer.status}", int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 7 else 0,
        gone=answer.status == HTTPStatus.GONE,
    )  # fmt: skip


@transaction.atomic  # the delivery's state and its endpoint's state move together
def _note(due: Due, attempt: _Attempt) -> None:
    metrics.outbox_sent.labels("failed" if attempt.error else "ok").inc()
    disabled = _note_endpoint(due.endpoint_id, attempt)
    error = attempt.error[:200]
    if not error:
        deliveries.settle(due, State.DELIVERED)
    elif disabled or attempt.gone:
        deliveries.settle(due, State.DROPPED, error=error)
    elif (pause := seconds_until_next(due.attempts, wait=attempt.wait)) is not None:
        deliveries.put_off(due, until=clock.now() + timedelta(seconds=pause), error=error)
    else:
        deliveries.settle(due, State.DEAD, error=error)
        _log.error("event %s for %s given up after %s tries: %s", due.event_id, due.endpoint_id, due.attempts, error)


def _note_endpoint(endpoint_id: int, attempt: _Attempt) -> bool:
    """Success forgets earlier failures; a 410, or five days of nothing but failures, disables: then True."""
    at = clock.now()
    endpoint = WebhookEndpoint.objects.filter(pk=endpoint_id, enabled=True)
    if not attempt.error:
        endpoint.filter(failing_since__isnull=False).update(failing_since=None)
        return False
    endpoint.filter(failing_since__isnull=True).update(failing_since=at)
    tired = endpoint if attempt.gone else endpoint.filter(failing_since__lt=at - DISABLED_AFTER)
    if not tired.update(enabled=False):
        return False
    record_act(_RELAY, "webhook.disable", target=("webhookendpoint", endpoint_id), reason=attempt.error)
    _log.error("webhook endpoint %s disabled: %s", endpoint_id, attempt.error)
    return True
