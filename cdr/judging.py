"""What becomes of a record before money is asked for: quarantine, orphan, waiting, filtered, or to be charged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from django.conf import settings

from cdr.filters import Decision, Rule, filter_call
from cdr.records import FILTERED, ORPHAN, PENDING, QUARANTINED, REVIEW, WAITING, CallRow
from cdr.rules import current_rules

ORPHAN_RETRIES = (timedelta(minutes=1), timedelta(minutes=10))
ORPHAN_EVERY, ORPHAN_FOR = timedelta(hours=1), timedelta(days=7)
DETAIL_MAX = 300


Service = tuple[str, str, str | None]  # label, name and handler


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a batch is judged: the filter chain, the service of each call type, and the present instant."""

    rules: Sequence[Rule]
    services: Mapping[str, Service]
    at: datetime


def current_terms(*, at: datetime) -> Terms:
    """The terms in force."""
    return Terms(current_rules(), service_items(), at)


def service_items() -> Mapping[str, Service]:
    """The service that calls of each type use; types without one are missing."""
    return cast("Mapping[str, Service]", settings.BILLING["SERVICE_ITEMS"])


def judge(row: CallRow, *, quarantine: str, terms: Terms) -> Decision | None:
    """Set the row's state, rule and deadline; `pending` goes on to be charged. The decision of the filter, if one."""
    row.rule, row.bill_error, row.next_bill_at = "", "", None
    if quarantine:
        row.state, row.rule = QUARANTINED, quarantine
        return None
    if not row.organization:
        row.state, row.next_bill_at = ORPHAN, terms.at + ORPHAN_RETRIES[0]
        return None
    if row.is_answered and not row.is_talk:
        row.state, row.next_bill_at = WAITING, terms.at + timedelta(seconds=settings.CDR_MERGE_WAIT)
        return None
    decision = filter_call(row, terms.rules)
    if decision is not None:
        row.state, row.rule = FILTERED, decision.rule
        return decision
    _find_service(row, terms)
    return None


def _find_service(row: CallRow, terms: Terms) -> None:
    """The service that the call's type is charged as; our own call keeps the one under which its money is held."""
    service = terms.services.get(row.call_type)
    if not (row.call_id and row.label):
        row.label = service[0] if service is not None else ""
    if row.label:
        row.state, row.next_bill_at = PENDING, terms.at
    else:
        send_to_review(row, "service_unknown", f"no service item for calls of type {row.call_type}")


def send_to_review(row: CallRow, code: str, detail: str) -> None:
    """A person must decide; nothing is tried again by itself."""
    row.state, row.next_bill_at = REVIEW, None
    row.bill_error = f"{code}: {detail}"[:DETAIL_MAX]


def next_orphan_look(row: CallRow, *, at: datetime) -> datetime | None:
    """When to look for the owner again; None after seven days."""
    if at - row.received_at > ORPHAN_FOR:
        return None
    tried = row.bill_attempts
    return at + (ORPHAN_RETRIES[tried] if tried < len(ORPHAN_RETRIES) else ORPHAN_EVERY)
