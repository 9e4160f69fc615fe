"""`/bench/free` and `/bench/gated`: one view, twice."""

from django.urls import include, path
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from billing_platform.auth import Audience
from callcontrol.decorators import apiview_charge

AUDIENCE = Audience(scopes=frozenset({"cdr:write"}))


@api_view(["POST"])
def free(request: Request) -> Response:
    return Response({"ok": True})


@api_view(["POST"])
@apiview_charge(service_key="callback", before=True, after=False, usable=True)
def gated(request: Request) -> Response:
    return Response({"ok": True})


for view in (free, gated):
    view.cls.audience = AUDIENCE

urlpatterns = [path("bench/free", free), path("bench/gated", gated), path("", include("billing_platform.urls"))]
