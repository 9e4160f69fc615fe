"""Handlers behind the charge gate, decorated in every way that works, and the routes to them."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework import viewsets
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from callcontrol.charge_check import ChargeCheck
from callcontrol.checks import gated
from callcontrol.decorators import answered_once, apiview_charge

RAN: list[Any] = []  # request.billing of every handler that ran


class PagesCheck(ChargeCheck):
    """Charged by the pages that the answer says it has."""

    def get_after_count(self, request: Any, response: Any, before_count: int) -> int:
        return int(response.headers.get("X-Pages", before_count))

    def get_summary(self, request: Any, response: Any = None) -> str:
        return "pages"


settings.BILLING["SERVICE_ITEMS"]["report"] = ("report", "Report", None)
settings.BILLING["SERVICE_ITEMS"]["pages"] = ("report", "Pages", "tests.callcontrol.gated_views.PagesCheck")
_before = set(gated)


def answer(request: Any) -> HttpResponse:
    """Runs, and goes as the query asks."""
    RAN.append(request.billing)
    if "raise" in request.GET:
        raise RuntimeError("the handler broke")
    return JsonResponse({"n": len(RAN)}, status=int(request.GET.get("status", 200)))


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
@apiview_charge("report")
def checked(request: Request) -> HttpResponse:
    return answer(request)


@csrf_exempt
@apiview_charge("report", before=True, after=True, usable=False)
def held(request: HttpRequest) -> HttpResponse:
    return answer(request)


@csrf_exempt
@answered_once
@apiview_charge("report", before=True, after=True, usable=False)
def remembered(request: HttpRequest) -> HttpResponse:
    return answer(request)


@csrf_exempt
@apiview_charge("report", before=True, after=False, usable=False)
def left_open(request: HttpRequest) -> HttpResponse:
    return answer(request)


@csrf_exempt
@apiview_charge("pages", before=False, after=True)
def counted(request: HttpRequest) -> HttpResponse:
    response = answer(request)
    response.headers["X-Pages"] = request.GET.get("pages", "1")
    return response


@csrf_exempt
@apiview_charge("report", before=True, after=True, usable=False)
def streamed(request: HttpRequest) -> StreamingHttpResponse:
    RAN.append(request.billing)  # type: ignore[attr-defined]

    def pieces() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    return StreamingHttpResponse(pieces())


class Reports(viewsets.ViewSet):
    permission_classes = (AllowAny,)

    @action(detail=False, methods=["post"])
    @apiview_charge(service_key="report", before=True, after=False, usable=True)
    def make(self, request: Request) -> Response:
        RAN.append(request.billing)
        return Response({})

    @apiview_charge(service_key="report")
    def list(self, request: Request) -> Response:
        RAN.append(request.billing)
        return Response({})


@method_decorator(csrf_exempt, name="dispatch")
class Plain(View):
    @method_decorator(csrf_exempt)
    @apiview_charge("report")
    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Programs(viewsets.ViewSet):
    permission_classes = (AllowAny,)
    application_service = True

    def list(self, request: Request) -> Response:
        RAN.append(None)
        return Response({})


@csrf_exempt
@apiview_charge("report", application_service=True)
def by_application(request: HttpRequest) -> HttpResponse:
    return answer(request)


GATES = set(gated) - _before
gated.difference_update(GATES)

urlpatterns = [
    path("api/v1/checked", checked),
    path("legacy/checked", checked),
    path("api/v1/held", held),
    path("legacy/held", held),
    path("api/v1/remembered", remembered),
    path("api/v1/left-open", left_open),
    path("api/v1/counted", counted),
    path("api/v1/streamed", streamed),
    path("api/v1/made", Reports.as_view({"post": "make"})),
    path("api/v1/listed", Reports.as_view({"get": "list"})),
    path("api/v1/plain", Plain.as_view()),
    path("api/v1/programs", Programs.as_view({"get": "list"})),
    path("api/v1/by-application", by_application),
]
