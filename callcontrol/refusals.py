"""How the gate says no: problem JSON to our own API, the public client's form everywhere else."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from billing_platform.problems import problem_response
from callcontrol.errors import GateRefused

OWN_API = "/api/v1/"
FORBIDDEN = 403


def refused_answer(request: HttpRequest, refusal: GateRefused) -> HttpResponse:
    """The refusal in the words of whoever asks."""
    if request.path.startswith(OWN_API):
        return problem_response(refusal, request)
    status = refusal.http_status if refusal.retryable else FORBIDDEN
    response = JsonResponse({"code": refusal.billing_code, "detail": str(refusal)}, status=status)
    if refusal.retryable:
        response.headers["Retry-After"] = "2"
    return response
