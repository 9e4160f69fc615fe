"""Disputes over HTTP: open, list, read, answer, withdraw."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform.api import read_json
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Malformed
from billing_platform.idempotency import idempotent
from billing_platform.models import Role, Scope
from billing_platform.paging import page_request
from callcontrol import disputes
from callcontrol.charge_check import context_of
from callcontrol.disputes import ShownDispute
from callcontrol.errors import BodyInvalid
from callcontrol.shown import instant_shown
from callcontrol.wishes import Placer, placer_of

CALLERS = audience(roles=(Role.AGENT.value, Role.SUPERVISOR.value), scopes=(Scope.CALL_WRITE.value,))
READERS = audience(
    roles=(Role.AGENT.value, Role.SUPERVISOR.value, Role.AUDITOR.value),
    scopes=(Scope.CALL_READ.value, Scope.CALL_WRITE.value),
)
SUPERVISORS = audience(roles=(Role.SUPERVISOR.value,))


@door({"GET": READERS, "POST": CALLERS})
def disputes_view(request: CallerRequest) -> HttpResponse:
    """GET: newest first; `state` open, answered or withdrawn, `call` an id. POST: open one about a call: 201."""
    return idempotent(request, lambda: _open(request)) if request.method == "POST" else _list(request)


@door(READERS)
def dispute_view(request: CallerRequest, dispute_id: int) -> HttpResponse:
    """One dispute, with the charge as it stood when it was opened."""
    return JsonResponse(_shown(disputes.read_dispute(dispute_id, _placer(request))))


@door(SUPERVISORS, ("POST",))
def answer_view(request: CallerRequest, dispute_id: int) -> HttpResponse:
    """`decision` accepted or declined, `answer` in words; the agent is told. No charge moves."""
    disputes.read_dispute(dispute_id, _placer(request))  # somebody else's is not there, whatever the body says
    verdict = disputes.read_verdict(_fields(request, {"decision", "answer"}))
    disputes.answer_dispute(dispute_id, verdict, context_of(request))
    return JsonResponse(_shown(disputes.read_dispute(dispute_id, _placer(request))))


@door(CALLERS, ("POST",))
def withdraw_view(request: CallerRequest, dispute_id: int) -> HttpResponse:
    """Take back one's own."""
    disputes.withdraw_dispute(dispute_id, context_of(request))
    return JsonResponse(_shown(disputes.read_dispute(dispute_id, _placer(request))))


def _open(request: CallerRequest) -> HttpResponse:
    body = _fields(request, {"call_id", "reason", "text"})
    reference = body.get("call_id")
    if not isinstance(reference, str) or not reference or "\0" in reference:
        raise BodyInvalid(errors={"call_id": [_("required")]})
    dispute_id = disputes.open_dispute(reference, disputes.read_complaint(body), context_of(request))
    shown = _shown(disputes.read_dispute(dispute_id, _placer(request)))
    headers = {"Location": reverse("dispute", args=[dispute_id])}
    return JsonResponse(shown, status=HTTPStatus.CREATED, headers=headers)


def _list(request: CallerRequest) -> HttpResponse:
    state, call = request.GET.get("state", ""), request.GET.get("call", "")
    if (state and state not in disputes.FILTERS) or "\0" in call:
        raise Malformed(f"state is one of {', '.join(disputes.FILTERS)}")
    asked = page_request(request.GET, view=disputes.VIEW)
    page = disputes.list_disputes(state, _placer(request), asked, call=call)
    return JsonResponse({"items": [_shown(one) for one in page.items], "next_cursor": page.next_cursor})


def _placer(request: CallerRequest) -> Placer:
    return placer_of(context_of(request))


def _fields(request: CallerRequest, known: set[str]) -> Mapping[str, Any]:
    """The object in the body. Raises BodyInvalid for anything else, and for fields that nobody knows."""
    body = read_json(request)
    if not isinstance(body, Mapping):
        raise BodyInvalid(errors={"": [_("send one JSON object")]})
    if unknown := {str(name): [_("unknown field")] for name in body if name not in known}:
        raise BodyInvalid(errors=unknown)
    return body


def _shown(dispute: ShownDispute) -> dict[str, Any]:
    return {
        "id": dispute.id, "call_id": dispute.call_id, "customer_number": dispute.customer_number,
        "agent_number": dispute.agent_number, "state": dispute.state, "reason": dispute.reason,
        "text": dispute.text or None,
        "charge": {
            "cost": dispute.cost, "currency": dispute.currency, "billable_seconds": dispute.billable_seconds,
            "legs": [
                {"leg": leg.leg, "amount": f"{leg.amount:f}", "currency": leg.currency, "sentence": leg.sentence}
                for leg in dispute.legs
            ],
        },
        "opened_by": dispute.opened_by, "opened_at": instant_shown(dispute.opened_at),
        "answer": dispute.answer or None, "closed_by": dispute.closed_by or None,
        "closed_at": instant_shown(dispute.closed_at),
    }  # fmt: skip
