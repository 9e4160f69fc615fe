"""The agents' pages: the desk from which calls are placed and watched, the history, one call. They only read."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from billing_platform.answers import rows_file
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Forbidden
from billing_platform.models import Role
from billing_platform.navigation import frame
from billing_platform.paging import page_request
from callcontrol import disputes, exports, history
from callcontrol.advice import ADVICE
from callcontrol.charge_check import context_of
from callcontrol.desk import read_desk
from callcontrol.wishes import Placer, placer_of

CALLERS = audience(roles=(Role.AGENT.value, Role.SUPERVISOR.value))
READERS = audience(roles=(Role.AGENT.value, Role.SUPERVISOR.value, Role.AUDITOR.value))
PEOPLE = audience(roles=tuple(role.value for role in Role))
FRAGMENT = "X-Fragment"  # a page asks for itself again, without the frame around it


@door(PEOPLE)
def home(request: CallerRequest) -> HttpResponse:
    """`/`: the desk for who calls; everybody else goes on to the first page of their own."""
    if not CALLERS.roles & request.caller.roles:
        entries = frame(request)["frame"].nav  # type: ignore[attr-defined]  # a lazy Frame
        elsewhere = next((entry.path for entry in entries if entry.path != "/"), None)
        if elsewhere is None:
            raise Forbidden
        return HttpResponseRedirect(elsewhere)
    return desk_page(request)


@door(CALLERS)
def desk_page(request: CallerRequest) -> HttpResponse:
    """S1. `?number=` stands in the box; `?redial=` is an earlier call whose number does."""
    number, redial_of = request.GET.get("number", ""), request.GET.get("redial", "")
    desk = read_desk(_placer(request), number=number, redial_of=redial_of)
    return page_of(request, "callcontrol/call.html", {"desk": desk, "words": _words()})


@door(READERS)
def history_page(request: CallerRequest) -> HttpResponse:
    """S2: calls by day, result and number; the totals are those of the whole filter."""
    placer = _placer(request)
    asked = history.read_filter(request.GET, placer)
    form = request.GET.get("format", "")
    if form:
        return _export(asked, placer, form=form)
    page = history.list_calls(asked, placer, page_request(request.GET, view=history.VIEW))
    context: dict[str, object] = {
        "filter": asked, "page": page, "totals": history.sum_calls(asked, placer), "zone": asked.zone,
        "results": [(key, str(label)) for key, (label, _rows) in history.RESULTS.items()],
        "shows_agent": placer.sees_organization, "may_call": bool(CALLERS.roles & request.caller.roles),
        "disputes_waiting": disputes.count_waiting(placer),
    }  # fmt: skip
    return page_of(request, "callcontrol/history.html", context)


@door(READERS)
def call_page(request: CallerRequest, reference: str) -> HttpResponse:
    """One call of the history; somebody else's is not there."""
    return story_page(request, reference)


def story_page(
    request: CallerRequest,
    reference: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """The page of a call; after a refused form with what was typed and what is wrong with it."""
    story, roles = history.read_story(reference, placer_of(context_of(request))), request.caller.roles
    context: dict[str, object] = {
        "story": story, "call": story.call, "errors": errors or {}, "typed": request.POST,
        "reasons": disputes.Reason.choices, "text_max": disputes.TEXT_MAX,
        "may_dispute": story.may_dispute and bool(CALLERS.roles & roles),
        "may_answer": Role.SUPERVISOR.value in roles, "may_withdraw": bool(CALLERS.roles & roles),
    }  # fmt: skip
    return page_of(request, "callcontrol/story.html", context, status=status)


def _placer(request: CallerRequest) -> Placer:
    return placer_of(context_of(request))


def page_of(
    request: CallerRequest, template: str, context: dict[str, object], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    """The whole page, or only its content for the page's own script."""
    context["layout"] = "callcontrol/bare.html" if request.headers.get(FRAGMENT) else "base.html"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, (FRAGMENT,))
    response.headers["Cache-Control"] = "no-store"  # numbers of people and balances
    return response


def _export(asked: history.CallFilter, placer: Placer, *, form: str) -> HttpResponse:
    """The whole filter as a file, every row of it."""
    name = f"calls-{asked.since}-{asked.until}"
    if form != "json":
        return rows_file(exports.sheet_rows(asked, placer), name=name, kind=form, title=_("Call history"))
    headers = {"Content-Disposition": f'attachment; filename="{name}.json"', "Cache-Control": "no-store"}
    lines = exports.json_lines(asked, placer)
    return cast("HttpResponse", StreamingHttpResponse(lines, content_type="application/json", headers=headers))


def _words() -> dict[str, object]:
    """What the page's script says by itself."""
    return {
        "advice": {code: str(text) for code, text in ADVICE.items()},
        "placed": _("The call is being placed."),
        "cancelling": _("The call is being cancelled."),
        "ending": _("The call ends in less than a minute."),
        "lost": _("No connection to the server. The call goes on; we keep trying."),
        "failed": _("The server could not be reached, and the call may have begun: look before you repeat."),
    }
