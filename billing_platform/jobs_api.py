"""`GET /api/v1/jobs/{id}`: how far a run is."""

from django.http import HttpResponse, JsonResponse

from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import NotFound
from billing_platform.models import JobRun, Role, Scope

WATCHERS = audience(
    roles=(Role.OPS.value, Role.FINANCE.value, Role.RATE_ADMIN.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value),
    scopes=(Scope.RATE_WRITE.value, Scope.RATE_READ.value, Scope.FINANCE_READ.value),
)


@door(WATCHERS)
def job_view(request: CallerRequest, job_id: int) -> HttpResponse:
    """State, counts and exit code of one run. A run names no customer, so operators of every kind may watch it."""
    run = JobRun.objects.filter(pk=job_id).first()
    if run is None:
        raise NotFound
    return JsonResponse({
        "id": run.pk, "job": run.job, "state": run.state, "counts": run.counts, "exit_code": run.exit_code,
        "started_at": run.started_at, "finished_at": run.finished_at,
    })  # fmt: skip
