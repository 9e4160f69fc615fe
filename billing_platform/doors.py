"""The door of a plain Django view: methods, caller, audience, CSRF for people, refusals as answers. Nothing else."""

import functools
from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt

from billing_platform import limits
from billing_platform.auth import Audience, Caller, caller_of_request
from billing_platform.errors import Forbidden, MethodNotAllowed
from billing_platform.problems import error_response, platform_error

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
Rest = ParamSpec("Rest")


class CallerRequest(HttpRequest):
    """What a view behind a door receives: a request whose caller is known and admitted."""

    caller: Caller


View = Callable[Concatenate[CallerRequest, Rest], HttpResponseBase]


class CsrfFailed(Forbidden):
    code = "csrf_failed"


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _unused(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the check never calls a view")


def check_csrf(request: HttpRequest) -> None:
    """A person's unsafe request must carry the CSRF token. Raises CsrfFailed."""
    check = _CsrfCheck(_unused)
    check.process_request(request)
    reason = check.process_view(request, _unused, (), {})
    if reason:
        raise CsrfFailed(str(reason))


def admitted_caller(request: HttpRequest, audience: Audience) -> Caller:
    """Who calls, when the audience admits them. Raises Unauthenticated, Forbidden, CsrfFailed."""
    caller = caller_of_request(request)
    if caller.kind != "anonymous":
        limits.check_pace(request.path, caller.actor, caller.organization)
    audience.admit(caller)
    if caller.kind == "person" and request.method not in SAFE:
        check_csrf(request)
    return caller


def _audience_of(request: HttpRequest, audiences: Mapping[str, Audience]) -> Audience:
    method = "GET" if request.method == "HEAD" else str(request.method)
    if method not in audiences:
        raise MethodNotAllowed(allowed=sorted(audiences))
    return audiences[method]


def door(
    audience: Audience | Mapping[str, Audience], methods: tuple[str, ...] = ("GET",)
) -> Callable[
    [Callable[Concatenate[CallerRequest, Rest], HttpResponse]], Callable[Concatenate[HttpRequest, Rest], HttpResponse]
]:
    """Wraps a view: only these methods (HEAD comes with GET), only this audience; `request.caller` is set.

    A mapping of method to Audience serves each method to its own callers.
    """
    audiences = dict.fromkeys(methods, audience) if isinstance(audience, Audience) else dict(audience)

    def wrap(
        view: Callable[Concatenate[CallerRequest, Rest], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, Rest], HttpResponse]:
        @functools.wraps(view)
        def guarded(request: HttpRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
            try:
                known = cast("CallerRequest", request)
                known.caller = admitted_caller(request, _audience_of(request, audiences))
                return view(known, *args, **kwargs)
            except Exception as exception:
                error = platform_error(exception)
                if error is None:
                    raise
                return error_response(error, request)

        # The schema and the tests walk the routes and read these.
        guarded.audience, guarded.methods = audience, tuple(audiences)  # type: ignore[attr-defined]
        return csrf_exempt(guarded)

    return wrap
