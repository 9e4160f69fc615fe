"""The history of calls as files: rows for spreadsheets, JSON for programs; every call of the filter."""

import json
from collections.abc import Iterator

from django.utils.translation import gettext as _

from billing_platform.sheets import Figure
from callcontrol.history import RESULTS, CallFilter, stream_calls
from callcontrol.wishes import Placer
from callcontrol.wording import ShownCall


def json_lines(asked: CallFilter, placer: Placer) -> Iterator[str]:
    """Amounts as decimal text."""
    yield f'{{"zone":{json.dumps(str(asked.zone))},"from":"{asked.since}","to":"{asked.until}","items":['
    for place, call in enumerate(stream_calls(asked, placer)):
        item = {
            "id": call.reference, "agent_number": call.agent_number, "customer_number": call.customer_number,
            "status": call.state, "created_at": call.created_at.isoformat(), "seconds": call.billable_seconds,
            "cost": None if call.cost is None else f"{call.cost:f}", "currency": call.currency,
            "legs": [{"leg": leg.leg, "amount": f"{leg.amount:f}"} for leg in call.legs],
            "dispute": call.dispute or None, "record_id": call.record_id or None,
        }  # fmt: skip
        yield ("," if place else "") + json.dumps(item, ensure_ascii=False)
    yield "]}"


def sheet_rows(asked: CallFilter, placer: Placer) -> Iterator[list[str]]:
    """Zone and filter in the head; figures are numbers, telephone numbers text."""
    since, until = str(asked.since), str(asked.until)
    only = [str(RESULTS[asked.result][0])] if asked.result else []
    head = [_("Calls from %(since)s to %(until)s") % {"since": since, "until": until}, str(asked.zone), *only]
    yield [*head, asked.number] if asked.number else head
    yield [
        _("Call"), _("Agent"), _("Number"), _("Result"), _("Time"), _("Talked (s)"), _("Cost"), _("Currency"),
        _("Leg A"), _("Leg B"), _("Dispute"),
    ]  # fmt: skip
    for call in stream_calls(asked, placer):
        yield _cells(call, asked)


def _cells(call: ShownCall, asked: CallFilter) -> list[str]:
    charged, legs = call.cost is not None, {leg.leg: Figure(f"{leg.amount:f}") for leg in call.legs}
    return [
        call.reference, call.agent_number, call.customer_number, call.outcome,
        call.created_at.astimezone(asked.zone).isoformat(timespec="seconds"),
        "" if call.billable_seconds is None else Figure(call.billable_seconds),
        Figure(f"{call.cost:f}") if charged else "", call.currency if charged else "",
        legs.get("a", ""), legs.get("b", ""), call.dispute_label,
    ]  # fmt: skip
