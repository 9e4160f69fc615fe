"""Deliveries left without call records (a process died between the two transactions): taken up and settled again."""

import json
import time
from collections.abc import Sequence

from django.db import connection, transaction

from billing_platform import clock
from cdr.deliveries import Claimed, Delivery, Received, claim_open, close_deliveries
from cdr.history import Review, record_reviews
from cdr.intake import settle_deliveries
from cdr.providers import find_provider

SWEEP_SECONDS = 8.0  # then the next sweep goes on
ATTEMPTS_MAX = 3
SETTLE_SECONDS = 10.0
_COLUMNS = "id, received_at, source, adapter, provider_id, organization, content_type, headers, body"


def take_up_deliveries(*, seconds: float = SWEEP_SECONDS) -> int:
    """Settle deliveries that nobody finished, for about `seconds`; how many. After three tries a person looks.

    They are claimed one by one: what one of them does to this process must not count as a try of the others.
    """
    until, taken = time.monotonic() + seconds, 0
    while time.monotonic() < until and (claimed := claim_open(at=clock.now(), limit=1)):
        for delivery in read_deliveries(claimed):
            if claimed[0].attempts > ATTEMPTS_MAX:
                _give_up(delivery)
            else:
                settle_deliveries([delivery], until=time.monotonic() + SETTLE_SECONDS)
        taken += 1
    return taken


def read_deliveries(claimed: Sequence[Claimed]) -> list[Delivery]:
    """The stored deliveries behind these, as they were received."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM call_deliveries WHERE id = ANY(%s) AND received_at = ANY(%s) ORDER BY id",  # noqa: S608
            [[one.id for one in claimed], [one.received_at for one in claimed]],
        )
        rows = cursor.fetchall()
    return [
        Delivery(
            number, received_at,
            Received(
                source, adapter, bytes(body), content_type, organization,
                find_provider(provider_id) if provider_id is not None else None, json.loads(headers or "{}"),
            ),
        )
        for number, received_at, source, adapter, provider_id, organization, content_type, headers, body in rows
    ]  # fmt: skip


@transaction.atomic(durable=True)  # it leaves the queue and enters the review list
def _give_up(delivery: Delivery) -> None:
    record_reviews([Review.dead(delivery)])
    close_deliveries([delivery.id])
