"""Whose call is it, and which row does it make? Never by the payload alone: our own row, the key, or the provider."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from callcontrol.matching import CallSought, PlacedCall, find_calls
from cdr.deliveries import Delivery
from cdr.messages import CallMessage, Rejection
from cdr.providers import find_senders
from cdr.records import CallRow, call_key
from cdr.repeats import START_ASSUMED
from rating.numbers import dialling
from rating.segments import read_number

NATIVE_DOOR = "cdrs"


def find_our_calls(asked: Sequence[tuple[Delivery, CallMessage]]) -> list[PlacedCall | None]:
    """The calls that we placed behind these messages, in their order.

    A webhook's record is looked for by our reference, its call id, and its numbers; one at our API by reference only.
    """
    found: list[PlacedCall | None] = [None] * len(asked)
    named = [place for place, (delivery, message) in enumerate(asked) if message.call_id or delivery.received.provider]
    for place, call in zip(named, find_calls([_sought(*asked[place]) for place in named]), strict=True):
        found[place] = call
    return found


def _sought(delivery: Delivery, message: CallMessage) -> CallSought:
    provider = delivery.received.provider
    if provider is None:
        return CallSought(message.provider, message.call_id)
    return CallSought(
        provider.code, message.call_id, message.provider_call_id, _key(message.caller),
        _key(message.called), message.start_time,
    )  # fmt: skip


def _key(number: str) -> str:
    return read_number(number, dialling.anywhere()).key


def find_providers(messages: Sequence[tuple[Delivery, CallMessage]]) -> list[int | None]:
    """Who sent each: the webhook's provider, or the organisation's own sender of that name; None: one too many."""
    senders = (_sender(*one) for one in messages if one[0].received.provider is None)
    own = find_senders(list(dict.fromkeys(senders)))  # in their order: the first ones named are taken
    return [
        own.get(_sender(delivery, message)) if delivery.received.provider is None else delivery.received.provider.id
        for delivery, message in messages
    ]


def _sender(delivery: Delivery, message: CallMessage) -> tuple[str, str]:
    return delivery.received.organization, message.provider


def foreign_claim(delivery: Delivery, message: CallMessage) -> Rejection | None:
    """The body of an API caller may not name another organisation than the key's."""
    received = delivery.received
    if received.source == NATIVE_DOOR and message.organization not in {"", received.organization}:
        return Rejection("organization_mismatch", "organization_id is not the one of the key")
    return None


def row_of(
    message: CallMessage, delivery: Delivery, provider_id: int, *, number: int, call: PlacedCall | None
) -> CallRow:
    """The row that the message makes, before it is judged. Our own call brings what only we know, and its key."""
    known = (message.start_time, message.a_answer_time, message.answer_time, message.end_time)
    start = next((time for time in known if time is not None), delivery.received_at)
    warnings = message.warnings if message.start_time is not None else (*message.warnings, START_ASSUMED)
    row = CallRow(
        id=number, start_time=start, provider_id=provider_id, provider_call_id=message.provider_call_id,
        leg=message.leg, part=message.part, call_type=message.call_type or "unknown", caller=message.caller,
        called=message.called, display_number=message.display_number, organization=delivery.received.organization,
        a_answer_time=message.a_answer_time, answer_time=message.answer_time, end_time=message.end_time,
        duration_seconds=message.duration_seconds, billable_seconds=message.billable_seconds,
        answer_basis=message.answer_basis, hangup_cause=message.hangup_cause, hangup_by=message.hangup_by,
        recording_url=message.recording_url, provider_cost=message.provider_cost, complete=message.complete,
        version=message.version, trunk=message.trunk, carrier=message.carrier, user_data=message.user_data,
        warnings=",".join(warnings), delivery_id=delivery.id, received_at=delivery.received_at,
    )  # fmt: skip
    row.charge_key = call_key(row.provider_id, row.provider_call_id, row.leg, row.part)
    if call is not None and _is_theirs(call, delivery):
        take_from_our_call(row, call)
    elif not row.organization:
        row.call_id = message.call_id  # nobody's call yet: its owner is looked for by what the sender said
    return row


def _is_theirs(call: PlacedCall, delivery: Delivery) -> bool:
    """May this sender report on the call? A webhook on calls placed with it, a key on its organisation's."""
    received = delivery.received
    return received.provider is not None or call.organization == received.organization


def take_from_our_call(row: CallRow, call: PlacedCall) -> None:
    """Our own call: whose it is, who pays, what it is charged as, and the key under which its money is held."""
    row.call_id = row.charge_key = call.call_id
    row.organization, row.accno, row.label = call.organization, call.accno, call.label
    row.call_type = call.call_type
    row.caller, row.called = row.caller or call.agent_number, row.called or call.customer_number
    row.display_number = row.display_number or call.display_number


def dispute_window(received_at: datetime) -> datetime:
    """Calls that began before this are too old to be charged."""
    return received_at - timedelta(days=settings.CDR_MAX_AGE_DAYS)
