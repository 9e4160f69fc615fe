"""What a REST door of any room needs: caller and audience for DRF, strict JSON, problem JSON, keyset pages.

`door` for plain views on the hot path, the DRF classes (defaults in settings) for the rest: a DRF view names
`audience = auth.Audience` or a dict of method -> Audience; without one it serves nobody.
"""

from collections.abc import Mapping
from typing import IO, Any

from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from billing_platform import limits
from billing_platform.auth import Audience, Caller, caller_of_request
from billing_platform.doors import SAFE, CallerRequest, check_csrf, door
from billing_platform.errors import (
    Forbidden,
    Malformed,
    MethodNotAllowed,
    NotFound,
    PlatformError,
    RateLimited,
    Unauthenticated,
    UnsupportedMedia,
    ValidationFailed,
)
from billing_platform.paging import Page, PageRequest, page_request
from billing_platform.problems import error_response, platform_error, problem_response
from billing_platform.strict_json import BYTES_MAX, parse_json

__all__ = [
    "AudiencePermission", "CallerAuthentication", "CallerRequest", "Page", "PageRequest", "StrictJSONParser",
    "StrictSerializer", "door", "error_response", "page_request", "problem_response", "read_json", "render_error",
]  # fmt: skip


class CallerAuthentication(BaseAuthentication):
    """`request.auth` is the Caller; `request.user` is Django's user for a person, the Caller itself for a program."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        caller = caller_of_request(request._request)
        if caller.kind == "anonymous":
            return None
        limits.check_pace(request.path, caller.actor, caller.organization)
        if caller.kind == "person" and request.method not in SAFE:
            check_csrf(request._request)
        return (request._request.user if caller.kind == "person" else caller), caller

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="billing"'


class AudiencePermission(BasePermission):
    """Deny is the default: a view without an audience for the method serves nobody."""

    def has_permission(self, request: Request, view: object) -> bool:
        audience = getattr(view, "audience", None)
        if isinstance(audience, Mapping):
            audience = audience.get(request.method)
        if not isinstance(audience, Audience):
            return False
        audience.admit(caller_of_request(request._request))
        return True


def _check_json_type(content_type: str) -> None:
    """`application/json`, with no charset but UTF-8. Raises UnsupportedMedia."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value.strip("\"' ") for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    if kind != "application/json" or any(charset not in {"utf-8", "utf8"} for charset in charsets):
        raise UnsupportedMedia("send application/json in UTF-8")


def read_json(request: HttpRequest, *, bytes_max: int = BYTES_MAX, depth_max: int = 8) -> Any:
    """The JSON body of a plain view's request, read strictly. Raises UnsupportedMedia, TooLarge, Malformed."""
    _check_json_type(request.META.get("CONTENT_TYPE", ""))
    return parse_json(request.body, bytes_max=bytes_max, depth_max=depth_max)


class StrictJSONParser(BaseParser):
    """DRF's face of `strict_json.parse_json`."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        _check_json_type(media_type or "")
        return parse_json(stream.read(BYTES_MAX + 1))


class StrictSerializer(Serializer[Any]):
    """Refuses fields that it does not declare, and anything that is not an object, with 422."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = {name: ["unknown field"] for name in data if name not in self.fields}
            if unknown:
                raise ValidationFailed(errors=unknown)
        return super().to_internal_value(data)


def _refusal(error: exceptions.APIException) -> PlatformError:
    """DRF's exceptions in our words."""
    if isinstance(error, exceptions.ValidationError):
        return ValidationFailed(errors=error.detail)
    if isinstance(error, exceptions.Throttled):
        return RateLimited(retry_after=int(getattr(error, "wait", None) or 1))
    for known, refusal in (
        (exceptions.NotAuthenticated, Unauthenticated),
        (exceptions.AuthenticationFailed, Unauthenticated),
        (exceptions.PermissionDenied, Forbidden),
        (exceptions.NotFound, NotFound),
        (exceptions.MethodNotAllowed, MethodNotAllowed),
        (exceptions.UnsupportedMediaType, UnsupportedMedia),
        (exceptions.NotAcceptable, Malformed),
        (exceptions.ParseError, Malformed),
    ):
        if isinstance(error, known):
            return refusal()
    return PlatformError()


def render_error(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's exception handler: refusals as answers, faults of ours as faults."""
    refusal = _refusal(error) if isinstance(error, exceptions.APIException) else platform_error(error)
    if refusal is None:
        return None
    request: Request = context["request"]
    return error_response(refusal, request._request)
