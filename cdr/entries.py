"""The records inside deliveries, one by one, and what is already decided about them when they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from billing_platform.errors import Malformed, TooLarge
from cdr.adapters import ADAPTERS
from cdr.deliveries import Delivery
from cdr.history import Review
from cdr.matching import foreign_claim
from cdr.messages import CallMessage, Parsed, Payload, Rejection
from cdr.receipts import REJECTED, RecordOutcome, rejected


@dataclass(slots=True)
class Entry:
    """One record of a delivery; `message` is None where it could not be taken in, `outcome` set when all is said."""

    delivery: Delivery
    message: CallMessage | None
    outcome: RecordOutcome | None = None


def read_entries(delivery: Delivery) -> tuple[list[Entry], list[Review]]:
    """The records of a delivery in order, and what people should see. An unreadable body is one rejected entry."""
    received = delivery.received
    try:
        parsed = received.parsed if received.parsed is not None else _parse(delivery)
    except (Malformed, TooLarge) as unreadable:
        unparsed = RecordOutcome(REJECTED, code="unparsed", detail=unreadable.detail, status=unreadable.http_status)
        return [Entry(delivery, None, unparsed)], [Review.unparsed(delivery, unreadable.detail)]
    entries, reviews = [], []
    for record in parsed:
        rejection = record if isinstance(record, Rejection) else foreign_claim(delivery, record)
        if rejection is None and isinstance(record, CallMessage):
            entries.append(Entry(delivery, record))
        elif rejection is not None:
            entries.append(Entry(delivery, None, rejected(rejection)))
            if rejection.for_review or received.provider is not None:  # a webhook does not repair what it sent
                reviews.append(Review.rejected(delivery, rejection))
    return entries, reviews


def _parse(delivery: Delivery) -> Sequence[Parsed]:
    received = delivery.received
    zone = received.provider.zone if received.provider is not None else UTC
    return ADAPTERS[received.adapter].parse(Payload(received.body, received.content_type, zone))
