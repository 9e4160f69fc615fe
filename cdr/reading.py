"""Call records for readers: one page, one record, and why it cost what it cost. An organisation sees its own only."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.errors import Malformed, ValidationFailed
from billing_platform.logs import masked_number
from billing_platform.models import Role
from billing_platform.paging import Page, PageRequest
from cdr.errors import RecordNotFound
from cdr.messages import BASES_OF_TALK, whole_seconds
from cdr.models import CallDetail, CallRecord, Delivery, FilterDecision
from cdr.providers import find_provider
from cdr.receipts import cost_text

DAYS_DEFAULT, DAYS_MAX = 31, 100  # a list is always bounded in time, so that it reads few partitions
DELIVERIES_MAX = 100
CLOCKS_APART = timedelta(minutes=1)  # those of two processes, at the very most
SEES_NUMBERS = frozenset({Role.SUPERVISOR.value, Role.FINANCE.value})
VIEW = "cdrs"
FILTERS = {
    "called": "called", "caller": "caller", "call_id": "call_id", "provider_call_id": "provider_call_id",
    "state": "state", "call_type": "call_type", "accno": "accno",
}  # fmt: skip
KNOWN = frozenset({*FILTERS, "from", "to", "limit", "cursor"})


@dataclass(frozen=True, slots=True)
class Period:
    """Half open, by start time of the call."""

    begin: datetime
    end: datetime


def read_period(query: Mapping[str, str]) -> Period:
    """`from` and `to` (ISO 8601 with offset); the last 31 days by default, at most 100. Raises ValidationFailed."""
    end = _instant(query, "to") or clock.now() + timedelta(minutes=5)
    begin = _instant(query, "from") or end - timedelta(days=DAYS_DEFAULT)
    if not timedelta(0) <= end - begin <= timedelta(days=DAYS_MAX):
        raise ValidationFailed(errors={"from": f"a period of at most {DAYS_MAX} days, from before to"})
    return Period(begin, end)


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name, "").replace(" ", "+")  # an unescaped + of the offset
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValidationFailed(errors={name: "ISO 8601 with offset: 2026-03-02T10:00:00+08:00"})
    return instant


def list_records(query: Mapping[str, str], page: PageRequest, *, caller: Caller) -> Page[CallRecord]:
    """A page of the caller's records, latest first. Raises Malformed for a filter that does not exist."""
    unknown = set(query) - KNOWN
    if unknown:
        raise Malformed(f"unknown filter: {', '.join(sorted(unknown))}")
    period = read_period(query)
    rows = _records_of(caller).filter(start_time__gte=period.begin, start_time__lt=period.end)
    rows = rows.filter(**{column: query[name] for name, column in FILTERS.items() if name in query})
    if page.after is not None:
        start, number = datetime.fromisoformat(str(page.after[0])), page.after[1]
        rows = rows.filter(Q(start_time__lt=start) | Q(start_time=start, id__lt=number), start_time__lte=start)
    found = list(rows.order_by("-start_time", "-id")[: page.limit + 1])
    return page.page(found, lambda row: [row.start_time.isoformat(), row.id], view=VIEW)


def read_record(record_id: int, *, caller: Caller) -> CallRecord:
    """One of the caller's records. Raises RecordNotFound."""
    record = _records_of(caller).filter(id=record_id).first()
    if record is None:
        raise RecordNotFound
    return record


def _records_of(caller: Caller) -> "QuerySet[CallRecord]":
    return CallRecord.objects.filter(organization=caller.organization)


def record_facts(record: CallRecord, *, caller: Caller) -> dict[str, Any]:
    """The canonical fields and the charge, as shown to this caller: numbers are masked for who need not see them."""
    provider = find_provider(record.provider_id)
    shown = _shown_to(caller)
    talk = record.answer_basis in BASES_OF_TALK and record.answer_time is not None
    return {
        "cdr_id": str(record.id), "provider": provider.code if provider is not None else None,
        "provider_call_id": record.provider_call_id, "leg": record.leg, "call_id": record.call_id or None,
        "call_type": record.call_type, "caller": shown(record.caller), "called": shown(record.called),
        "display_number": record.display_number or None, "organization_id": record.organization or None,
        "start_time": _utc(record.start_time), "a_answer_time": _utc(record.a_answer_time),
        "answer_time": _utc(record.answer_time), "end_time": _utc(record.end_time),
        "duration_seconds": record.duration_seconds, "billable_seconds": record.billable_seconds,
        "answer_basis": record.answer_basis, "hangup_cause": record.hangup_cause, "hangup_by": record.hangup_by or None,
        "recording_url": record.recording_url or None, "provider_cost": record.provider_cost or None,
        "complete": record.complete, "warnings": [word for word in record.warnings.split(",") if word],
        "talk_seconds": record.billable_seconds if talk else None, "a_leg_seconds": _a_leg_seconds(record),
        "state": record.state, "billed": record.billed, "cost": cost_text(record.cost) if record.billed else None,
        "currency": record.currency or None, "rule": record.rule or None,
    }  # fmt: skip


def _shown_to(caller: Caller) -> Callable[[str], str]:
    """How numbers are shown to this caller."""
    return str if caller.kind == "key" or SEES_NUMBERS & caller.roles else masked_number


def _a_leg_seconds(record: CallRecord) -> int | None:
    if record.a_answer_time is None or record.end_time is None:
        return None
    return whole_seconds(record.a_answer_time, record.end_time)


def _utc(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def record_details(record: CallRecord) -> list[dict[str, Any]]:
    """What later deliveries said about the record."""
    rows = CallDetail.objects.filter(record_id=record.id).order_by("id")[:100]
    return [
        {"kind": row.kind, "delivery_id": str(row.delivery_id), "before": row.before, "after": row.after,
         "at": _utc(row.created_at)}
        for row in rows
    ]  # fmt: skip


def explain_record(record: CallRecord, *, caller: Caller) -> dict[str, Any]:
    """Why it cost what it cost: its deliveries, the filter's decision, the charge and its attempts, the price."""
    return {
        "cdr_id": str(record.id), "state": record.state, "deliveries": _deliveries(record), "filter": _decision(record),
        "charge": {
            "key": record.charge_key, "service": record.label or None, "account": record.accno or None,
            "attempts": record.bill_attempts, "error": record.bill_error or None,
            "next_attempt_at": _utc(record.next_bill_at), "charged_at": _utc(record.billed_at),
            "svcno": record.svcno or None,
        },
        "details": record_details(record), "price": _price(record, shown=_shown_to(caller)),
    }  # fmt: skip


def deliveries_of(record: CallRecord, *, limit: int) -> QuerySet[Delivery]:
    """What made the record and at most `limit` later deliveries about it, in order; reads no month before it."""
    later = CallDetail.objects.filter(record_id=record.id).order_by("id").values_list("delivery_id", flat=True)
    since = record.received_at - CLOCKS_APART  # a later delivery may have come to a process whose clock is behind
    return Delivery.objects.filter(id__in=[record.delivery_id, *later[:limit]], received_at__gte=since).order_by("id")


def _deliveries(record: CallRecord) -> list[dict[str, Any]]:
    return [
        {"delivery_id": str(row.id), "received_at": _utc(row.received_at), "door": row.source, "adapter": row.adapter}
        for row in deliveries_of(record, limit=DELIVERIES_MAX).defer("body")
    ]


def _decision(record: CallRecord) -> dict[str, Any] | None:
    made = FilterDecision.objects.filter(record_id=record.id).first()
    if made is None or made.rule != record.rule:
        return {"rule": record.rule} if record.rule else None
    return {"rule": made.rule, "version": made.version, "because": made.because, "decided_at": _utc(made.decided_at)}


def _price(record: CallRecord, *, shown: Callable[[str], str]) -> dict[str, Any] | None:
    """The counter's own explanation of this use, of this organisation; numbers as this caller may see them."""
    if record.service_record_id is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT content, explanation, cost, deck_version FROM counter_use_explanations"
            " WHERE service_record_id = %s AND organization = %s",
            [record.service_record_id, record.organization],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    content, explanation, cost, deck_version = row
    why = json.loads(explanation) if explanation else None
    numbers = {record.caller, record.called}
    for line in (why or {}).get("lines", ()):
        number = line["number"]
        numbers |= {number["key"], number.get("dialled", "")}
        number |= {name: shown(number[name]) for name in ("key", "dialled") if number.get(name)}
    return {
        "asked": [shown(fact) if fact in numbers and fact else fact for fact in json.loads(content)],
        "explanation": why,
        "cost": cost_text(cost), "deck_version": deck_version or None,
    }  # fmt: skip
