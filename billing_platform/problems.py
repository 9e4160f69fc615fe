"""Refusals as answers: problem JSON for programs, a designed page for people. The one place that renders them."""

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils.http import urlencode
from django.utils.module_loading import import_string

from billing_platform import logs, registry
from billing_platform.errors import (
    Forbidden,
    Malformed,
    NotFound,
    PlatformError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

RETRY_AFTER_SECONDS = 2  # where the error does not name its own
_log = logging.getLogger(__name__)

_NAMES: Sequence[tuple[type[BaseException], type[PlatformError]]] = (  # the more special class first
    (RequestDataTooBig, TooLarge),
    (SuspiciousOperation, Malformed),
    (UnreadablePostError, Malformed),
    (MultiPartParserError, Malformed),
    (Http404, NotFound),
    (PermissionDenied, Forbidden),
    (OperationalError, Unavailable),  # lost connection, lock or statement timeout, deadlock, disk full
    (InterfaceError, Unavailable),
)


def platform_error(error: BaseException) -> PlatformError | None:
    """The refusal behind an exception of Django or of the database; None when it is a fault of ours."""
    if isinstance(error, PlatformError):
        return error
    for known, refusal in _NAMES:
        if isinstance(error, known):
            return refusal()
    return None


def is_program(path: str) -> bool:
    """Does this path answer programs (problem JSON) rather than people (pages)?"""
    return path.startswith(("/api/", "/onlyuser/", "/metrics")) and not path.startswith("/api/docs/")


def problem_response(error: PlatformError, request: HttpRequest | None = None) -> HttpResponse:
    """`application/problem+json` with type, title, status, detail, code, retryable and the error's own fields."""
    problem: dict[str, object] = {
        **error.fields,
        "type": f"urn:problem:{error.code}",
        "title": str(error.title),
        "status": error.http_status,
        "detail": error.detail or str(error.title),
        "code": error.code,
        "retryable": error.retryable,
    }
    response = HttpResponse(
        json.dumps(problem, ensure_ascii=False, default=str),
        status=error.http_status,
        content_type="application/problem+json",
    )
    if error.retryable:
        response.headers["Retry-After"] = str(error.fields.get("retry_after", RETRY_AFTER_SECONDS))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="billing"'
    return response


def error_page(error: PlatformError, request: HttpRequest) -> HttpResponse:
    """A page that says what happened, its code, and what to do next; a stranger is sent to the login."""
    if isinstance(error, Unauthenticated):
        return HttpResponseRedirect(f"/login/?{urlencode({'next': request.get_full_path()})}")
    # A page about trouble of ours must not need the database or the session, which may be the trouble.
    frame = None if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR else request
    context = {"error": error, "request_id": logs.request_id.get()}
    response = HttpResponse(render_to_string("error.html", context, frame), status=error.http_status)
    if error.retryable:
        response.headers["Retry-After"] = str(error.fields.get("retry_after", RETRY_AFTER_SECONDS))
    return response


def error_response(error: PlatformError, request: HttpRequest) -> HttpResponse:
    """Problem JSON, a page, or the body of an older contract, by who asks."""
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("refused with %s: %s %s", error.code, request.method, request.path)
    for prefix, renderer in registry.ERROR_BODIES.items():
        if request.path.startswith(prefix):
            answer: HttpResponse = import_string(renderer)(error, request)
            return answer
    return problem_response(error, request) if is_program(request.path) else error_page(error, request)
