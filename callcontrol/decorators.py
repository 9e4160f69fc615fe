"""The charge gate on a handler: `@apiview_charge`, lowest of all decorators. (计费控制装饰器)

The gate runs in the wrapper itself, so nothing above it can lose it; `checks` proves at start-up that every route of a
gated handler leads through its wrapper.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from rest_framework.request import Request

from billing_platform.idempotency import idempotent
from callcontrol.charge_check import Terms, admit, check_of, context_of, release, settle
from callcontrol.checks import gated
from callcontrol.errors import GateRefused
from callcontrol.refusals import refused_answer

Handler = TypeVar("Handler", bound=Callable[..., Any])
NEVER_GATED = frozenset({"HEAD", "OPTIONS"})
OF_A_VIEW = ("cls", "view_class", "audience")  # what @api_view, as_view() and our door leave on a function


def apiview_charge(  # noqa: PLR0913, RUF100  the contract of its users
    service_key: str,
    before: bool = True,  # noqa: FBT001, FBT002  the contract of its users
    after: bool = False,  # noqa: FBT001, FBT002
    usable: bool = True,  # noqa: FBT001, FBT002
    application_service: bool = False,  # noqa: FBT001, FBT002
) -> Callable[[Handler], Handler]:
    """Gate a handler by a service of BILLING["SERVICE_ITEMS"]: check (`usable`) or hold before, charge after.

    Raises ImproperlyConfigured at import for what could not work; at the first request when the middleware is missing.
    """
    if not (before or after):
        raise ImproperlyConfigured("a gate with neither before nor after gates nothing")
    terms = Terms(check_of(service_key), before, after, usable, application_service)

    def wrap(handler: Handler) -> Handler:
        _require_plain(handler)

        @functools.wraps(handler)
        def through_gate(*args: Any, **kwargs: Any) -> Any:
            request = _request_of(args)
            context_of(request)
            if request.method in NEVER_GATED:
                return HttpResponseNotAllowed(["GET", "POST", "PUT", "PATCH", "DELETE"])
            try:
                charge = admit(request, terms, args[0])
            except GateRefused as refusal:
                return refused_answer(getattr(request, "_request", request), refusal)
            request.billing = charge
            response = None
            try:
                response = handler(*args, **kwargs)
            finally:
                if response is None:  # an exception, or a handler without an answer
                    release(charge)
            if response is not None:
                settle(charge, request, response, terms=terms)
            return response

        gated.add(through_gate)
        return cast("Handler", through_gate)

    return wrap


def answered_once(handler: Handler) -> Handler:
    """Above the gate: a repeat under the same Idempotency-Key gets the stored answer, and neither asks nor runs."""

    @functools.wraps(handler)
    def remembered(*args: Any, **kwargs: Any) -> HttpResponse:
        request = _request_of(args)
        plain = getattr(request, "_request", request)
        return idempotent(plain, lambda: handler(*args, **kwargs))

    return cast("Handler", remembered)


def _require_plain(handler: Any) -> None:
    """Above a view, or on a class, the gate would see raw requests, and OPTIONS; a coroutine would pass unheld."""
    named = getattr(handler, "cls", None) or getattr(handler, "view_class", None) or handler
    name = f"{named.__module__}.{named.__name__}"
    if inspect.isclass(handler):
        raise ImproperlyConfigured(f"{name}: put @apiview_charge on the handler, not on the class")
    if any(hasattr(handler, mark) for mark in OF_A_VIEW):
        raise ImproperlyConfigured(f"{name}: put @apiview_charge below the decorator that makes it a view")
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise ImproperlyConfigured(f"{name}: asynchronous handlers cannot be gated")


def _request_of(args: tuple[Any, ...]) -> Any:
    for argument in args[:2]:
        if isinstance(argument, HttpRequest | Request):
            return argument
    raise ImproperlyConfigured("a gated handler takes the request as its first argument")
