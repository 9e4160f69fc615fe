"""The middleware of the charge gate: every request knows who it is for, at the price of one attribute."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.functional import SimpleLazyObject

from billing_platform.errors import PlatformError
from billing_platform.problems import error_response
from callcontrol.charge_check import require_application
from callcontrol.context import read_context
from callcontrol.errors import GateRefused
from callcontrol.refusals import refused_answer


class BillingMiddleware:
    """Hangs a `billing_context` on each request; it is worked out when the gate first asks, once."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.billing_context = SimpleLazyObject(partial(read_context, request))  # type: ignore[attr-defined]  # ours
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        """A view class that says `application_service = True` is checked even where no handler is gated."""
        view_class = getattr(view, "cls", None) or getattr(view, "view_class", None)
        if view_class is None or not getattr(view_class, "application_service", False):
            return None
        try:
            require_application(request)
        except GateRefused as refusal:
            return refused_answer(request, refusal)
        except PlatformError as refusal:
            return error_response(refusal, request)
        return None
