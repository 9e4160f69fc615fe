"""Charges by deck as they are stored, line by line, for whoever wants to price them again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from billing_platform.money import amount_text
from counter.content import CONTENT_FIELDS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHUNK = 2_000

_NEWEST = """
    SELECT service_record_id, content, explanation, cost FROM counter_use_explanations
    WHERE starts_with(explanation, '{"mode":"by_deck"') ORDER BY service_record_id DESC LIMIT %s
"""


def stored_charges(at_most: int) -> Iterator[dict[str, Any]]:
    """The newest charges by deck, as `rating.explaining.again.read_charge` reads them."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:  # a cursor of the server lives in a transaction
        cursor.execute(_NEWEST, [at_most])
        while rows := cursor.fetchmany(CHUNK):
            for record_id, content, explanation, cost in rows:
                used = dict(zip(CONTENT_FIELDS, json.loads(content), strict=True))
                yield {
                    "ref": f"use {record_id}",
                    "cost": amount_text(cost),
                    "caller": used["caller"],
                    "called": used["called"],
                    "start_time": _text(used["start_time"]),
                    "finish_time": _text(used["finish_time"]),
                    "agent_answer_time": _text(used["agent_answer_time"]),
                    "explanation": json.loads(explanation),
                }


def _text(microseconds: int | None) -> str | None:
    return None if microseconds is None else (EPOCH + timedelta(microseconds=microseconds)).isoformat()
