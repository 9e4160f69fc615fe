"""The REST door of the public contract: a key always, its own error body, naive UTC text times, strict bodies.

Trouble of ours is 441, never 5xx: the contract's client turns 4xx into an exception of its own and crashes on 5xx.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from billing_platform import limits
from billing_platform.api import read_json
from billing_platform.auth import Audience, credential_of, remote_address
from billing_platform.errors import MethodNotAllowed, PlatformError
from counter.access import Access, access_of_key
from counter.errors import REFUSALS, CounterError, CounterUnavailable, Invalid, NotAuthenticated, counter_refusal
from counter.parsing import parse_count, parse_text

RETRY_AFTER_SECONDS = 2
TIME_FORM = "%Y-%m-%d %H:%M:%S"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_YEARS = range(2000, 2101)
Rest = ParamSpec("Rest")
View = Callable[Concatenate[HttpRequest, Access, Rest], object]


def contract(method: str, scope: str) -> Callable[[View[Rest]], Callable[Concatenate[HttpRequest, Rest], HttpResponse]]:
    """Wraps a view that answers a value for JSON: one method, a key with the scope.

    What is raised becomes `refusal_response` at the edge, as everything under the contract's prefixes does.
    """

    def wrap(view: View[Rest]) -> Callable[Concatenate[HttpRequest, Rest], HttpResponse]:
        @functools.wraps(view)
        def guarded(request: HttpRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
            access = _admitted(request, method, scope)
            return _json_response(view(request, access, *args, **kwargs))

        # The schema and the tests walk the routes and read these.
        guarded.audience, guarded.methods = Audience(scopes=frozenset({scope})), (method,)  # type: ignore[attr-defined]
        return csrf_exempt(guarded)

    return wrap


def _admitted(request: HttpRequest, method: str, scope: str) -> Access:
    if request.method != method:
        raise MethodNotAllowed(allowed=[method])
    credential = credential_of(request)
    if not credential:
        raise NotAuthenticated
    access = access_of_key(credential, address=remote_address(request))
    limits.check_pace(request.path, access.actor, access.organization)
    access.require(scope)
    return access


def _json_response(value: object, *, status: int = HTTPStatus.OK) -> HttpResponse:
    return HttpResponse(json.dumps(value, ensure_ascii=False), status=status, content_type="application/json")


def refusal_response(error: PlatformError, _: HttpRequest) -> HttpResponse:
    """`{"code", "detail", "reason"}`, with `fields` where single fields are wrong; trouble is 441 with Retry-After."""
    refusal = _refusal(error)
    body: dict[str, object] = {
        "code": refusal.billing_code,
        "detail": str(error if refusal.code != CounterUnavailable.code else refusal),
        "reason": refusal.code if error.code in REFUSALS or refusal.retryable else error.code,
    }
    if isinstance(refusal.fields.get("fields"), Mapping):
        body["fields"] = refusal.fields["fields"]
    is_ours = isinstance(error, CounterError) or error.code in REFUSALS or refusal.retryable
    response = _json_response(body, status=refusal.rest_status if is_ours else error.http_status)
    if refusal.retryable:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _refusal(error: PlatformError) -> CounterError:
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, CounterError):
        return CounterUnavailable()
    return counter_refusal(error)


# --- values -----------------------------------------------------------------------------------------------------------


def time_text(at: datetime) -> str:
    """An instant as the contract writes it: naive UTC, whole seconds."""
    return at.astimezone(UTC).strftime(TIME_FORM)


class Body:
    """A JSON object with known names; null equals absence. Every reader raises Invalid that names the field."""

    def __init__(self, request: HttpRequest, *names: str) -> None:
        given = read_json(request)
        if not isinstance(given, dict):
            raise Invalid("the body is not an object")
        unknown = sorted(given.keys() - set(names))
        if unknown:
            raise Invalid(f"unknown: {', '.join(unknown)[:200]}", fields=dict.fromkeys(unknown, "unknown field"))
        self._given: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    def text(self, name: str, *, bytes_max: int = 64) -> str:
        value = self._given.get(name, "")
        if not isinstance(value, str):
            raise _invalid(name, "not text")
        return parse_text(value, name, bytes_max=bytes_max)

    def needed_text(self, name: str, *, bytes_max: int = 64) -> str:
        value = self.text(name, bytes_max=bytes_max)
        if not value:
            raise _invalid(name, "missing")
        return value

    def cut_text(self, name: str, *, characters_max: int) -> str:
        """Long text is cut, not refused."""
        value = self._given.get(name, "")
        if not isinstance(value, str):
            raise _invalid(name, "not text")
        return parse_text(value[:characters_max], name, bytes_max=characters_max * 4)

    def count(self, name: str = "count") -> int:
        return parse_count(self.whole(name) or 0, name)

    def whole(self, name: str) -> int | None:
        """A whole number, 0 included; None when it is not given."""
        value = self._given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**31 - 1):
            raise _invalid(name, "not a whole number")
        return value

    def flag(self, name: str) -> bool:
        value = self._given.get(name, False)
        if not isinstance(value, bool):
            raise _invalid(name, "not true or false")
        return value

    def time(self, name: str) -> datetime | None:
        value = self._given.get(name, "")
        if not isinstance(value, str):
            raise _invalid(name, "not text")
        return _parse_time(value, name) if value else None


def _parse_time(text: str, name: str) -> datetime:
    if _TIME.fullmatch(text) is None:
        raise _invalid(name, "not YYYY-MM-DD HH:MM:SS in UTC")
    try:
        at = datetime.strptime(text, TIME_FORM).replace(tzinfo=UTC)
    except ValueError as error:
        raise _invalid(name, "no such time") from error
    if at.year not in _YEARS:
        raise _invalid(name, "between 2000 and 2100")
    return at


def _invalid(name: str, why: str) -> Invalid:
    return Invalid(f"{name}: {why}", fields={name: why})
