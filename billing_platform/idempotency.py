"""Idempotency-Key: the first answer to a request is kept for 24 h and given again to the same request.

The claim commits before the work starts and the answer after it ended, so a crash in between leaves a claim without an
answer: after 60 s the same content may take it over. The work itself must therefore stand on a natural key of its own
(pass the Idempotency-Key down as the reference) when running it twice would matter.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from billing_platform import clock
from billing_platform.auth import Caller, caller_of_request
from billing_platform.errors import IdempotencyConflict, InProgress, PlatformError, ValidationFailed
from billing_platform.models import StoredAnswer
from billing_platform.problems import platform_error, problem_response

KEY_MAX = 255
PATH_MAX = 200
KEPT = timedelta(hours=24)
TAKEN_OVER_AFTER = timedelta(seconds=60)
REMOVED_AT_ONCE = 5000
_KEPT_HEADERS = ("Content-Type", "Location", "ETag")


class IdempotencyKeyInvalid(ValidationFailed):
    http_status = HTTPStatus.BAD_REQUEST


@dataclass(frozen=True, slots=True)
class _Claim:
    """The row that says that this request is running; `at` fences a run that was taken over."""

    id: int
    at: datetime


def idempotency_key(request: HttpRequest, caller: Caller) -> str:
    """The request's key; "" for a person who sent none. Raises IdempotencyKeyInvalid."""
    key = request.headers.get("Idempotency-Key", "")
    if not key and caller.kind == "key":
        raise IdempotencyKeyInvalid(errors={"Idempotency-Key": ["required"]})
    if len(key) > KEY_MAX or not all("!" <= letter <= "~" for letter in key):
        raise IdempotencyKeyInvalid(errors={"Idempotency-Key": [f"at most {KEY_MAX} visible ASCII letters"]})
    return key


def idempotent(request: HttpRequest, run: Callable[[], HttpResponse]) -> HttpResponse:
    """The answer of `run`, or the stored one of the first request with this key, caller and path.

    Refusals are answers too; what is retryable (429, 503) or a fault of ours is forgotten, so that a repeat runs.
    Raises IdempotencyConflict for other content under the same key, InProgress while the first one runs.
    """
    caller = caller_of_request(request)
    key = idempotency_key(request, caller)
    if not key:
        return run()
    content = _content_hash(request)
    claim = _claim(request, caller, key=key, content=content)
    if claim is None:
        return _stored(request, caller, key=key, content=content)
    return _run_claimed(claim, request, run)


def remove_old_answers() -> int:
    """Delete what is older than 24 h, at most 5,000 rows a call; how many went."""
    old = StoredAnswer.objects.filter(created_at__lt=clock.now() - KEPT).order_by("created_at")
    ids = list(old.values_list("id", flat=True)[:REMOVED_AT_ONCE])
    StoredAnswer.objects.filter(id__in=ids).delete()
    return len(ids)


def _content_hash(request: HttpRequest) -> bytes:
    digest = hashlib.sha256()
    for part in (str(request.method), request.META.get("QUERY_STRING", ""), request.META.get("CONTENT_TYPE", "")):
        digest.update(part.encode() + b"\0")
    digest.update(request.body)
    return digest.digest()


def _claim(request: HttpRequest, caller: Caller, *, key: str, content: bytes) -> _Claim | None:
    """One statement: the row is ours when it is new, or when the same content was left without an answer for 60 s."""
    at = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_platform_storedanswer AS stored
                   (organization, caller, path, key, body_hash, headers, created_at)
            VALUES (%(organization)s, %(caller)s, %(path)s, %(key)s, %(content)s, '{}', %(at)s)
            ON CONFLICT (organization, caller, path, key) DO UPDATE SET created_at = EXCLUDED.created_at
             WHERE stored.answered_at IS NULL AND stored.created_at < %(stale)s
               AND stored.body_hash = EXCLUDED.body_hash
            RETURNING id
            """,
            {
                "organization": caller.organization, "caller": caller.actor[:64], "path": request.path[:PATH_MAX],
                "key": key, "content": content, "at": at, "stale": at - TAKEN_OVER_AFTER,
            },
        )  # fmt: skip
        row = cursor.fetchone()
    return _Claim(row[0], at) if row else None


def _stored(request: HttpRequest, caller: Caller, *, key: str, content: bytes) -> HttpResponse:
    row = StoredAnswer.objects.filter(
        organization=caller.organization, caller=caller.actor[:64], path=request.path[:PATH_MAX], key=key
    ).first()
    if row is None:
        raise InProgress  # the first request just failed and gave the key back: the next repeat runs
    if bytes(row.body_hash) != content:
        raise IdempotencyConflict
    if row.answered_at is None:
        raise InProgress
    response = HttpResponse(bytes(row.body or b""), status=row.status, headers=row.headers)
    response.headers["Idempotent-Replay"] = "true"
    return response


def _run_claimed(claim: _Claim, request: HttpRequest, run: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        response = run()
    except PlatformError as refusal:
        response = problem_response(refusal, request)
    except Exception as fault:
        _forget(claim)
        known = platform_error(fault)
        if known is None:
            raise
        raise known from fault
    if _is_final(response):
        _keep(claim, response)
    else:
        _forget(claim)
    return response


def _is_final(response: HttpResponse) -> bool:
    return response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and not response.has_header("Retry-After")


def _rows(claim: _Claim) -> QuerySet[StoredAnswer]:
    return StoredAnswer.objects.filter(pk=claim.id, created_at=claim.at, answered_at__isnull=True)


def _keep(claim: _Claim, response: HttpResponse) -> None:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    _rows(claim).update(status=response.status_code, headers=headers, body=response.content, answered_at=clock.now())


def _forget(claim: _Claim) -> None:
    _rows(claim).delete()
