"""`/ops/jobs/`: runs found again, watched, stopped and resumed; `GET /api/v1/jobs/{id}`: how far one is."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from billing_platform import registry, watching
from billing_platform.answers import own_page, tagged_json
from billing_platform.auth import audience, remote_address
from billing_platform.doors import CallerRequest, door
from billing_platform.models import JobRun, Scope
from billing_platform.paging import page_request

WATCHERS = audience(roles=(*watching.ALL_WATCHERS, *watching.OWN_WATCHERS))
READERS = audience(
    roles=(*watching.ALL_WATCHERS, *watching.OWN_WATCHERS),
    scopes=(Scope.RATE_WRITE.value, Scope.RATE_READ.value, Scope.FINANCE_READ.value),
)
ACTORS = audience(roles=tuple(watching.ACTORS))


@door(WATCHERS)
def home_page(request: CallerRequest) -> HttpResponse:
    """`/ops/` leads to the jobs."""
    return HttpResponseRedirect(reverse("jobs_page"))


@door(WATCHERS)
def jobs_page(request: CallerRequest) -> HttpResponse:
    """S16. The runs that the caller may see, by filter."""
    asked = watching.read_filter(request.GET)
    context = {
        "filter": asked,
        "page": watching.watched_runs(request.caller, asked, page_request(request.GET, view=watching.VIEW)),
        "states": JobRun.State.choices,
        "jobs": [(name, registry.title_of_job(name)) for name in watching.job_names()],
        "sees_all": bool(watching.ALL_WATCHERS & request.caller.roles),
        "webhooks": watching.watched_webhooks(request.caller),
    }
    return own_page(request, "billing_platform/jobs.html", context)


@door(WATCHERS)
def job_page(request: CallerRequest, job_id: int) -> HttpResponse:
    """One run: how far it is, what it counted, its last lines, and the command that does the same."""
    context = {"run": watching.watch_run(job_id, caller=request.caller)}
    return own_page(request, "billing_platform/job.html", context)


@door(ACTORS, ("POST",))
def cancel_page(request: CallerRequest, job_id: int) -> HttpResponse:
    """Asks the run to stop at its next safe point."""
    watching.cancel_run(job_id, caller=request.caller, address=remote_address(request))
    return _back(request, job_id)


@door(ACTORS, ("POST",))
def resume_page(request: CallerRequest, job_id: int) -> HttpResponse:
    """Sends a worker to an interrupted run."""
    watching.resume_run(job_id, caller=request.caller, address=remote_address(request))
    return _back(request, job_id)


@door(READERS)
def job_view(request: CallerRequest, job_id: int) -> HttpResponse:
    """State, rows, per cent, counts and exit code of one run; with `If-None-Match` 304 while nothing changed."""
    run = watching.watch_run(job_id, caller=request.caller)
    row = run.row
    return tagged_json(request, {
        "id": row.pk, "job": row.job, "state": run.state, "step": row.step, "done": row.done, "total": row.total,
        "per_cent": run.per_cent, "rows_per_second": row.rate, "seconds_left": run.left_seconds, "counts": row.counts,
        "exit_code": row.exit_code, "cancel_asked": row.cancel_asked_at is not None, "started_at": row.started_at,
        "finished_at": row.finished_at,
    })  # fmt: skip


def _back(request: HttpRequest, job_id: int) -> HttpResponse:
    """To the page of this site where the button was, else to the run's own."""
    here = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(here, allowed_hosts=None)
    return HttpResponseRedirect(here if is_ours else reverse("job_page", args=[job_id]))
