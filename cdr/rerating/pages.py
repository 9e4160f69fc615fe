"""`/cdr/rerate/`: what would change, by account and in total; and, once that was seen, the charges anew."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from billing_platform import clock
from billing_platform.answers import tagged_json
from billing_platform.auth import audience, remote_address
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import NotFound, PlatformError, ValidationFailed
from billing_platform.models import JobRun, Role
from billing_platform.watching import TONES, watched
from cdr.rerating import runs
from cdr.rerating.files import result_file
from cdr.rerating.question import REASON_MAX, QuestionForm, asked_in
from cdr.rerating.runs import Rerate
from cdr.rerating.wording import BY, COLUMNS, FAILED, FAILED_OTHERWISE, KINDS
from cdr.schedule import CHINA
from rating.explaining.form import choices_for

READERS = audience(  # all of them see what suppliers ask, so that margins may stand here
    roles=(Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value)
)
ASKERS = audience(roles=(Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value))
APPLIERS = audience(roles=tuple(runs.APPLIERS))


@door({"GET": READERS, "POST": ASKERS})
def rerate_page(request: CallerRequest) -> HttpResponse:
    """The question, the run that answers it, and what that told; a POST starts the dry run or the what-if."""
    if request.method == "POST":
        return _ask(request)
    asked = _asked_run(request)
    if asked is None:
        query = asked_in(request.GET)
        form = QuestionForm(query if any(query.values()) else None, organization=request.caller.organization)
        return _page(request, {"form": form, "values": query | {"period": query["period"] or _this_month()}})
    if request.GET.get("format") == "progress":
        row = asked.row
        return tagged_json(request, {"state": row.state, "step": row.step, "done": row.done, "percent": row.per_cent})
    if "format" in request.GET:
        return result_file(asked, request.GET["format"])
    return _shown(request, asked)


@door(APPLIERS, ("POST",))
def apply_page(request: CallerRequest) -> HttpResponse:
    """Charges anew what a dry run showed, when its month was typed below it."""
    asked = _asked_run(request)
    if asked is None:
        raise NotFound
    typed, reason = request.POST.get("confirm", ""), request.POST.get("reason", "")[:REASON_MAX]
    try:
        run_id = runs.apply_dry_run(
            asked.row.pk, typed=typed, reason=reason, caller=request.caller, address=remote_address(request)
        )
    except ValidationFailed as refused:
        return _shown(request, asked, wrong=refused)
    return HttpResponseRedirect(runs.read_rerate(run_id, caller=request.caller).address)


def _ask(request: CallerRequest) -> HttpResponse:
    query = asked_in(request.POST)
    form = QuestionForm(query, organization=request.caller.organization)
    if not form.is_valid():
        return _page(request, {"form": form, "values": query}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        run_id = runs.start_dry_run(form.question, caller=request.caller, address=remote_address(request))
    except PlatformError as refused:
        messages.error(request, f"{refused.title} {refused.detail}")
        return _page(request, {"form": form, "values": query}, status=refused.http_status)
    address = runs.read_rerate(run_id, caller=request.caller).address
    told = urlencode({"reason": form.question.reason}) if form.question.reason else ""
    return HttpResponseRedirect(f"{address}&{told}" if told else address)


def _asked_run(request: CallerRequest) -> Rerate | None:
    """The run that the address names. Raises RerateNotFound."""
    named = request.GET.get("run", "") or request.POST.get("run", "")
    if not named:
        return None
    number = int(named) if named.isascii() and named.isdigit() and len(named) < 18 else 0
    return runs.read_rerate(number, caller=request.caller)


def _shown(request: CallerRequest, asked: Rerate, *, wrong: ValidationFailed | None = None) -> HttpResponse:
    run = watched(asked.row, caller=request.caller)
    values = asked_in({name: _text(getattr(asked.question, name)) for name in asked.question.__slots__})
    told_reason = request.GET.get("reason", "")[:REASON_MAX]
    context: dict[str, object] = {
        "form": QuestionForm(values, organization=request.caller.organization),
        "values": values | {"reason": values["reason"] or told_reason},
        "asked": asked,
        "run": run,
        "watch": f"{reverse('cdr_rerate')}?run={asked.row.pk}&format=progress",
        "heading": KINDS[asked.kind],
        "failure": FAILED.get(asked.row.exit_code or 0, FAILED_OTHERWISE) if run.state == "failed" else "",
        "applied": runs.find_applied(asked, caller=request.caller) if asked.kind == runs.DRY_RUN else None,
        "may_apply": bool(APPLIERS.roles & request.caller.roles),
        "is_own": asked.is_of(request.caller),
        "wrong": wrong.fields["errors"] if wrong else {},
        "typed": request.POST,
    }
    if run.state == "done":
        context |= _told(asked)
    return _page(request, context, status=wrong.http_status if wrong else HTTPStatus.OK)


def _told(asked: Rerate) -> dict[str, object]:
    """The sums, the tables below them, and how much more the files hold."""
    if asked.kind == runs.WHAT_IF:
        kinds = ("account", "destination", "carrier")
        tables = [(by, BY[by], asked.items(by), asked.rows_of(by)) for by in kinds]
        return {"totals": asked.items("total"), "tables": tables, "columns": COLUMNS}
    calls, skipped = (
        [{**one, "start_at": datetime.fromisoformat(one["start"])} for one in asked.items(by)]
        for by in ("call", "skipped")
    )
    return {
        "totals": asked.items("total"), "accounts": asked.items("account"), "calls": calls, "skipped": skipped,
        "in_all": asked.rows_of("account"), "columns": COLUMNS,
    }  # fmt: skip


def _page(request: CallerRequest, context: Mapping[str, Any], *, status: int = HTTPStatus.OK) -> HttpResponse:
    caller = request.caller
    around = {
        "may_ask": bool(ASKERS.roles & caller.roles),
        "recent": [
            (one, KINDS[one.kind], TONES.get(JobRun.State(one.row.state), ""))
            for one in runs.recent(caller.organization)
        ],
        "choices": choices_for(caller, with_cost=True),
        "zone": CHINA,
    }
    response = render(request, "cdr/rerate.html", around | dict(context), status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _this_month() -> str:
    return f"{clock.now().astimezone(CHINA):%Y-%m}"


def _text(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)
