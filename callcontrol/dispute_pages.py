"""Disputes as people meet them: the list that waits for an answer, and the acts on the page of a call."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.models import Role
from billing_platform.paging import page_request
from callcontrol import disputes, organizations
from callcontrol.charge_check import context_of
from callcontrol.errors import BodyInvalid, DisputeClosed, DisputeOpen
from callcontrol.pages import CALLERS, READERS, page_of, story_page
from callcontrol.wishes import placer_of

SUPERVISORS = audience(roles=(Role.SUPERVISOR.value,))


@door(READERS)
def disputes_page(request: CallerRequest) -> HttpResponse:
    """`/agent/disputes/`: what waits for an answer, what was answered: one's own, for a supervisor everybody's."""
    placer = placer_of(context_of(request))
    state = request.GET.get("state", "open")
    context: dict[str, object] = {
        "page": disputes.list_disputes(state, placer, page_request(request.GET, view=disputes.VIEW)),
        "state": state if state in disputes.FILTERS else "all",
        "states": [
            ("open", pgettext("dispute", "open")), ("answered", pgettext("dispute", "answered")),
            ("withdrawn", pgettext("dispute", "withdrawn")), ("all", _("all")),
        ],
        "zone": organizations.zone_of(placer.organization),
        "shows_agent": placer.sees_organization, "may_answer": Role.SUPERVISOR.value in request.caller.roles,
    }  # fmt: skip
    return page_of(request, "callcontrol/disputes.html", context)


@door(CALLERS, ("POST",))
def open_page(request: CallerRequest, reference: str) -> HttpResponse:
    """The form on the page of a call."""

    def act() -> str:
        complaint = disputes.read_complaint(request.POST.dict())
        disputes.open_dispute(reference, complaint, context_of(request))
        return _("The dispute was opened. You will be told when it is answered.")

    return _acted(request, reference, act)


@door(SUPERVISORS, ("POST",))
def answer_page(request: CallerRequest, dispute_id: int) -> HttpResponse:
    """The supervisor's answer."""
    reference = disputes.read_dispute(dispute_id, placer_of(context_of(request))).call_id

    def act() -> str:
        verdict = disputes.read_verdict(request.POST.dict())
        disputes.answer_dispute(dispute_id, verdict, context_of(request))
        return _("The dispute was answered, and the agent was told.")

    return _acted(request, reference, act)


@door(CALLERS, ("POST",))
def withdraw_page(request: CallerRequest, dispute_id: int) -> HttpResponse:
    """Who opened it takes it back."""
    reference = disputes.read_dispute(dispute_id, placer_of(context_of(request))).call_id

    def act() -> str:
        disputes.withdraw_dispute(dispute_id, context_of(request))
        return _("The dispute was withdrawn.")

    return _acted(request, reference, act)


def _acted(request: CallerRequest, reference: str, act: Callable[[], str]) -> HttpResponse:
    """The page of the call after the act, or again with what is wrong; who came second is told so."""
    try:
        messages.success(request, act())
    except BodyInvalid as refusal:
        errors = refusal.fields["errors"]
        assert isinstance(errors, dict)
        return story_page(request, reference, errors=errors, status=refusal.http_status)
    except (DisputeOpen, DisputeClosed) as late:
        messages.warning(request, str(late.title))
    return HttpResponseRedirect(f"{reverse('agent_call', args=[reference])}#dispute")
