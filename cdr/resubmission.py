"""Charges that did not succeed at once: swept, resubmitted by hand, and records that wait for an owner or a leg.

A sweeper leases what is due with SKIP LOCKED, asks outside of any transaction, and writes what it learnt. While the
counter is away nothing is sent and no attempt is used up. Two sweepers, or a sweeper beside intake, do no harm: the
charge key is the same, and a row that changed meanwhile is left alone.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from billing_platform import clock
from callcontrol.matching import CallSought, find_call
from cdr import history
from cdr.charging import charge_records
from cdr.errors import RecordChanged
from cdr.figures import count_settled
from cdr.filters import Decision
from cdr.judging import current_terms, judge, next_orphan_look, send_to_review
from cdr.matching import dispute_window, take_from_our_call
from cdr.messages import quarantine_reason
from cdr.providers import find_provider
from cdr.records import (
    FILTERED,
    ORPHAN,
    PENDING,
    REVIEW,
    WAITING,
    CallRow,
    read_rows,
    record_columns,
    update_records,
)  # fmt: skip
from counter import client

BATCH = 200
SWEEP_SECONDS = 8.0  # then the next sweep goes on
ASK_SECONDS = 10.0
LEASE = timedelta(seconds=60)
LEGS_APART = timedelta(hours=2)
_log = logging.getLogger(__name__)


def sweep_charges(*, seconds: float = SWEEP_SECONDS) -> Counter[str]:
    """Settle what is due, batch by batch, for about `seconds`; how many records ended in which state."""
    until = time.monotonic() + seconds
    states = [WAITING, ORPHAN, *([PENDING] if client.ready_part().ok else [])]
    counts: Counter[str] = Counter()
    while rows := claim_due(states, limit=BATCH):
        counts += Counter(row.state for row in settle_records(rows))
        if len(rows) < BATCH or time.monotonic() > until:
            break
    return counts


def claim_due(states: Sequence[str], *, limit: int) -> list[CallRow]:
    """Lease due records in these states; another sweeper passes them by."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE call_records AS due SET next_bill_at = %(leased)s, revision = due.revision + 1
              FROM (SELECT id, start_time FROM call_records
                     WHERE NOT billed AND NOT state = 'filtered' AND state = ANY(%(states)s) AND next_bill_at <= %(at)s
                     ORDER BY next_bill_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS found
             WHERE due.id = found.id AND due.start_time = found.start_time
            RETURNING {record_columns("due")}
            """,  # noqa: S608  constant columns
            {"at": at, "leased": at + LEASE, "limit": limit, "states": [str(state) for state in states]},
        )
        return read_rows(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Selection:
    """Which uncharged records a person wants to be sent again; empty fields do not narrow."""

    since: datetime | None = None
    until: datetime | None = None
    provider: str = ""
    organization: str = ""
    records: tuple[int, ...] = ()
    include_review: bool = False

    def where(self) -> tuple[str, dict[str, Any]]:
        """The condition and its values."""
        states = [PENDING, *([REVIEW] if self.include_review else [])]
        parts = ["NOT billed AND NOT state = 'filtered' AND state = ANY(%(states)s)"]
        values: dict[str, Any] = {"states": states}
        narrowing = (
            ("start_time >= %(since)s", "since", self.since),
            ("start_time < %(until)s", "until", self.until),
            ("provider_id IN (SELECT id FROM cdr_provider WHERE code = %(provider)s)", "provider", self.provider),
            ("organization = %(organization)s", "organization", self.organization),
            ("id = ANY(%(records)s)", "records", list(self.records)),
        )
        for condition, name, value in narrowing:
            if value:
                parts.append(condition)
                values[name] = value
        return " AND ".join(parts), values


def find_selected(selection: Selection, *, limit: int) -> list[CallRow]:
    """The records that would be sent, oldest call first."""
    condition, values = selection.where()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {record_columns('call_records')} FROM call_records WHERE {condition}"  # noqa: S608  constants
            " ORDER BY start_time, id LIMIT %(limit)s",
            values | {"limit": limit},
        )
        return read_rows(cursor.fetchall())


def claim_rows(rows: Sequence[CallRow]) -> list[CallRow]:
    """Lease these records as pending; those that changed since they were read are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE call_records AS due
               SET state = 'pending', next_bill_at = %(leased)s, revision = due.revision + 1
              FROM unnest(%(ids)s::bigint[], %(starts)s::timestamptz[], %(revisions)s::int[])
                   AS found(id, start_time, revision)
             WHERE due.id = found.id AND due.start_time = found.start_time AND due.revision = found.revision
               AND NOT due.billed
            RETURNING {record_columns("due")}
            """,  # noqa: S608  constant columns
            {
                "leased": clock.now() + LEASE, "ids": [row.id for row in rows],
                "starts": [row.start_time for row in rows], "revisions": [row.revision for row in rows],
            },
        )  # fmt: skip
        return read_rows(cursor.fetchall())


def settle_records(rows: Sequence[CallRow]) -> list[CallRow]:
    """Look again at stored, uncharged records and write what became of them; those that changed meanwhile are left."""
    at = clock.now()
    decisions = _look_again(rows, at=at)
    for row in rows:
        if row.state == PENDING:
            row.next_bill_at = at  # due at once, unless the counter's answer says later
    charge_records(rows, at=at, seconds=ASK_SECONDS)
    written = list(rows)
    try:
        _write(rows, decisions, at=at)
    except RecordChanged:
        written = [row for row in rows if _write_alone(row, decisions, at=at)]
    count_settled(written)
    return written


@transaction.atomic(durable=True)  # the records and what follows from them
def _write(rows: Sequence[CallRow], decisions: Sequence[tuple[int, Decision]], *, at: datetime) -> None:
    update_records(rows)
    history.record_settled(rows, decisions, at=at)


def _write_alone(row: CallRow, decisions: Sequence[tuple[int, Decision]], *, at: datetime) -> bool:
    try:
        _write([row], [made for made in decisions if made[0] == row.id], at=at)
    except RecordChanged:
        _log.info("record %d changed while it was charged: its next sweep reads it again", row.id)
        return False
    return True


def _look_again(rows: Sequence[CallRow], *, at: datetime) -> list[tuple[int, Decision]]:
    """Owners of orphans, other legs of waiting ones, and what was sent back by hand: what are they now?"""
    terms, decisions = current_terms(at=at), []
    for row in rows:
        if row.state == WAITING:
            _end_waiting(row)
            continue
        if row.state == ORPHAN and not _find_owner(row, at=at):
            continue
        if row.state != PENDING or not row.label:
            quarantine = quarantine_reason(row, at=row.received_at, oldest=dispute_window(row.received_at))
            decision = judge(row, quarantine=quarantine, terms=terms)
            if decision is not None:
                decisions.append((row.id, decision))
    return decisions


def _find_owner(row: CallRow, *, at: datetime) -> bool:
    """Has a call of ours or an organisation appeared? If not, when to look again."""
    provider = find_provider(row.provider_id)
    call = find_call(CallSought(provider.code, row.call_id, row.provider_call_id)) if provider is not None else None
    if call is not None:
        take_from_our_call(row, call)
        return True
    if provider is not None and provider.organization:
        row.organization, row.call_id = provider.organization, ""
        return True
    row.bill_attempts += 1
    row.next_bill_at = next_orphan_look(row, at=at)
    if row.next_bill_at is None:
        send_to_review(row, "orphan", "no owner was found in seven days")
    return False


def _end_waiting(row: CallRow) -> None:
    """A leg that counts no talk has waited long enough: its call was settled by the talk record, or a person looks."""
    if row.call_id and _has_talk_record(row):
        row.state, row.rule, row.next_bill_at = FILTERED, history.OTHER_LEG, None
    else:
        send_to_review(row, "no_talk_record", "only a leg that counts ringing came")


def _has_talk_record(row: CallRow) -> bool:
    """Is another record of our call charged or filtered? Both name the same called number at about the same time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM call_records WHERE called = %s AND start_time BETWEEN %s AND %s"
            " AND call_id = %s AND id <> %s AND state IN ('charged', 'filtered'))",
            [row.called, row.start_time - LEGS_APART, row.start_time + LEGS_APART, row.call_id, row.id],
        )
        return bool(cursor.fetchone()[0])
