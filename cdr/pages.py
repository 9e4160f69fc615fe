"""Pages of call records. They only read."""

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.models import Role
from callcontrol.charge_check import context_of
from callcontrol.disputes import disputes_about
from callcontrol.wishes import placer_of
from cdr import recording_api, wording
from cdr.rerating.pages import ASKERS
from cdr.rerating.question import Question
from cdr.schedule import CHINA
from cdr.story import SEES_ALL, SEES_COST, RecordStory, read_story

READERS = audience(roles=(Role.AGENT.value, *sorted(SEES_ALL)))
ACCOUNT_READERS = frozenset({Role.FINANCE.value, Role.OPS.value, Role.AUDITOR.value})


@door(READERS)
def record_page(request: CallerRequest, record_id: int) -> HttpResponse:
    """S8, `/cdr/<id>/`: one call, and why it cost what it cost."""
    story = read_story(record_id, caller=request.caller, placer=placer_of(context_of(request)))
    record, roles = story.record, request.caller.roles
    context = {
        "story": story,
        "record": record,
        "zone": CHINA,
        "badge": wording.BADGES.get(record.state, "bad"),
        "call_type": wording.word(wording.CALL_TYPES, record.call_type),
        "cause": wording.word(wording.CAUSES, record.hangup_cause),
        "leg_names": {leg: str(name) for leg, name in wording.LEG_NAMES.items()},
        "rule": wording.word(wording.RULES, record.rule),
        "warnings": [wording.word(wording.WARNINGS, word) for word in record.warnings.split(",") if word],
        "sees_cost": bool(SEES_COST & roles),
        "shows_deliveries": bool(SEES_ALL & roles),
        "account_link": reverse("finance_account", args=[record.accno])
        if record.accno and ACCOUNT_READERS & roles
        else "",
        "explain_link": _explain_link(story) if SEES_ALL & roles else "",
        "rerate_link": _rerate_link(story) if ASKERS.roles & roles else "",
        "disputes": disputes_about(record.call_id, organization=record.organization),
        "hears": bool(record.recording_url and recording_api.LISTENERS.roles & roles),
        "agent_link": reverse("agent_call", args=[record.call_id]) if record.call_id else "",
    }
    response = render(request, "cdr/record.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


def _explain_link(story: RecordStory) -> str:
    """The same question on the page that tests numbers: what the call would cost by the tariffs of then, asked anew."""
    record = story.record
    if record.answer_time is None or not record.label or story.called != record.called:
        return ""
    asked: dict[str, str | int] = {
        "number": record.called, "caller": record.caller, "category": f"{record.label}.b", "subject": record.accno,
        "at": record.answer_time.astimezone(CHINA).replace(microsecond=0).isoformat(),
        "duration": record.billable_seconds,
    }  # fmt: skip
    return f"{reverse('rating_explain')}?{urlencode(asked)}"


def _rerate_link(story: RecordStory) -> str:
    """The page of re-rating, asked about this charge alone: it counts in the month in which the talk began."""
    record = story.record
    if story.charge is None or record.answer_time is None or record.service_record_id is None:
        return ""
    month = f"{record.answer_time.astimezone(CHINA):%Y-%m}"
    return f"{reverse('cdr_rerate')}?{Question(month, use=str(record.service_record_id)).query}"
