"""What is written beside the records: later deliveries about them, the review list, decisions, notes, events."""

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256

from django.db import connection, transaction

from billing_platform.copying import copy_rows
from billing_platform.deliveries import EVERY_TOPIC
from billing_platform.doorbell import ring
from billing_platform.models import WebhookEndpoint
from billing_platform.outbox import NewEvent, record_events
from callcontrol.matching import RecordNote, note_records
from callcontrol.pending import keep_release
from cdr.deliveries import Delivery
from cdr.filters import Decision
from cdr.messages import Rejection
from cdr.models import CallDetail, ReviewItem
from cdr.receipts import cost_text
from cdr.records import CHARGED, FILTERED, REVIEW, CallRow
from cdr.repeats import Comparison

CHARGED_TOPIC, CONFLICT_TOPIC = "cdr.charged", "cdr.conflict"
WANTED_SECONDS = 1.0  # a new webhook endpoint hears of charges from then on
RELEASE_TASK, RELEASES_A_RING = "callcontrol.tasks.deliver_pending_uses_task", 500
OTHER_LEG = "other_leg"  # the rule of a leg whose call was settled by another record
Kind = ReviewItem.Kind
_SETTLED = frozenset({CHARGED, FILTERED})


@dataclass(frozen=True, slots=True)
class Review:
    """Something that a person must decide; the same subject with the same content is one item."""

    kind: str
    subject: str
    organization: str
    detail: str
    content: str
    record_id: int | None = None
    delivery_id: int | None = None

    @classmethod
    def unparsed(cls, delivery: Delivery, detail: str) -> "Review":
        """A delivery that its adapter cannot read."""
        received = delivery.received
        digest = sha256(received.body).hexdigest()
        return cls(
            Kind.UNPARSED.value, f"{received.adapter} {digest[:16]}", received.organization, detail[:300],
            json.dumps({"sha256": digest}), delivery_id=delivery.id,
        )  # fmt: skip

    @classmethod
    def rejected(cls, delivery: Delivery, rejection: Rejection) -> "Review":
        """A record that makes no sense."""
        received = delivery.received
        kind = Kind.CONTRADICTION if rejection.for_review else Kind.REJECTED
        return cls(
            kind.value, f"{received.adapter} {sha256(received.body).hexdigest()[:16]}", received.organization,
            rejection.detail[:300], json.dumps({"code": rejection.code}), delivery_id=delivery.id,
        )  # fmt: skip

    @classmethod
    def conflict(cls, row: CallRow, comparison: Comparison, delivery: Delivery) -> "Review":
        """Other facts under the key of a charged record."""
        return cls(
            Kind.CONFLICT.value, f"record {row.id}", row.organization, ", ".join(comparison.after),
            _as_json(comparison.after), row.id, delivery.id,
        )  # fmt: skip

    @classmethod
    def charge(cls, row: CallRow) -> "Review":
        """A charge that was refused for good."""
        return cls(
            Kind.CHARGE.value, f"record {row.id}", row.organization, row.bill_error,
            json.dumps({"code": row.bill_error.partition(":")[0]}), row.id, row.delivery_id,
        )  # fmt: skip

    @classmethod
    def dead(cls, delivery: Delivery) -> "Review":
        """A delivery whose records could not be written, however often it was tried."""
        return cls(
            Kind.DEAD.value, f"delivery {delivery.id}", delivery.received.organization, "", "{}",
            delivery_id=delivery.id,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """A later delivery about a stored record, and how it differs."""

    record_id: int
    delivery_id: int
    kind: str
    comparison: Comparison


def _as_json(values: Mapping[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, default=str, sort_keys=True)


def record_changes(changes: Sequence[Change], *, at: datetime) -> None:
    """Append to the history of records."""
    CallDetail.objects.bulk_create(
        CallDetail(
            record_id=change.record_id, delivery_id=change.delivery_id, kind=change.kind, created_at=at,
            before=json.loads(_as_json(change.comparison.before)), after=json.loads(_as_json(change.comparison.after)),
        )
        for change in changes
    )  # fmt: skip


def record_reviews(reviews: Sequence[Review]) -> None:
    """Put items on the review list, each once."""
    if not reviews:
        return
    ReviewItem.objects.bulk_create(
        (
            ReviewItem(
                kind=review.kind, subject=review.subject, digest=sha256(review.content.encode()).hexdigest(),
                organization=review.organization, detail=review.detail[:300], content=json.loads(review.content),
                record_id=review.record_id, delivery_id=review.delivery_id,
            )
            for review in reviews
        ),
        ignore_conflicts=True,
    )  # fmt: skip


def record_decisions(decisions: Sequence[tuple[int, Decision]], *, at: datetime) -> None:
    """Why records are not charged; a record that is judged again replaces its decision."""
    if not decisions:
        return
    ids = [number for number, _decision in decisions]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM cdr_filterdecision WHERE record_id = ANY(%s)", [ids])
    copy_rows(
        "cdr_filterdecision", ("record_id", "rule", "version", "because", "decided_at"),
        [(number, made.rule, made.version, made.because[:200], at) for number, made in decisions],
    )  # fmt: skip


def record_settled(rows: Sequence[CallRow], decisions: Sequence[tuple[int, Decision]], *, at: datetime) -> None:
    """What follows from the states that these records have just been given, in the transaction that gives them."""
    record_reviews([Review.charge(row) for row in rows if row.state == REVIEW])
    record_decisions(decisions, at=at)
    _note_our_calls(rows)
    record_events(charged_events(rows))


def _note_our_calls(rows: Iterable[CallRow]) -> None:
    """Tell our own calls what became of them; what a call that is left free still holds is to be released."""
    ours = [row for row in rows if row.call_id and row.organization and row.state in _SETTLED and row.rule != OTHER_LEG]
    if not ours:
        return
    note_records([
        RecordNote(
            row.call_id, str(row.id), row.is_answered, row.start_time, row.answer_time, row.end_time,
            row.billable_seconds, row.hangup_cause, row.cost if row.billed else None, row.currency,
        )
        for row in ours
    ])  # fmt: skip
    free = [
        keep_release(row.accno, row.label, reference=row.charge_key, organization=row.organization)
        for row in ours
        if row.state == FILTERED
    ]
    for first in range(0, len(free), RELEASES_A_RING):
        transaction.on_commit(partial(ring, RELEASE_TASK, *free[first : first + RELEASES_A_RING]))


class _Wanted:
    """Which organisations have an endpoint for a topic: an event that nobody wants need not be written."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.organizations: dict[str, frozenset[str]] = {}
        self.believed_until = 0.0


_wanted = _Wanted()


def forget_listeners() -> None:
    """Drop what this process remembers (an endpoint was changed here)."""
    _wanted.believed_until = 0.0


def _organizations_wanting(topic: str) -> frozenset[str]:
    if time.monotonic() > _wanted.believed_until:
        rows = WebhookEndpoint.objects.filter(enabled=True).values_list("organization", "topics")
        found: dict[str, set[str]] = {CHARGED_TOPIC: set(), CONFLICT_TOPIC: set()}
        for organization, topics in rows:
            for known in found:
                if known in topics or EVERY_TOPIC in topics:
                    found[known].add(organization)
        with _wanted.lock:
            _wanted.organizations = {known: frozenset(names) for known, names in found.items()}
            _wanted.believed_until = time.monotonic() + WANTED_SECONDS
    return _wanted.organizations[topic]


def charged_events(rows: Iterable[CallRow]) -> list[NewEvent]:
    """`cdr.charged` of each charged record whose organisation listens."""
    wanted = _organizations_wanting(CHARGED_TOPIC)
    if not wanted:
        return []
    return [
        NewEvent(CHARGED_TOPIC, row.organization, str(row.id), _event_facts(row))
        for row in rows
        if row.state == CHARGED and row.organization in wanted
    ]


def record_conflicts(reviews: Sequence[Review], rows: Sequence[CallRow]) -> None:
    """These records were reported otherwise after their charge: the review list, and `cdr.conflict` to who listens."""
    if not rows:
        return
    record_reviews(reviews)
    wanted = _organizations_wanting(CONFLICT_TOPIC)
    record_events(
        [
            NewEvent(CONFLICT_TOPIC, row.organization, str(row.id), _event_facts(row))
            for row in rows
            if row.organization in wanted
        ]
    )


def _event_facts(row: CallRow) -> dict[str, object]:
    return {
        "cdr_id": str(row.id), "call_id": row.call_id or None, "provider_call_id": row.provider_call_id,
        "billable_seconds": row.billable_seconds, "cost": cost_text(row.cost), "currency": row.currency,
        "sequence": row.revision,
    }  # fmt: skip
