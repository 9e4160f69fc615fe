"""Webhooks of third-party platforms: proved on the raw bytes, stored, acknowledged in the platform's own words.

Once a push is proved and stored every outcome is acknowledged: a repeat would change nothing. Whatever is wrong with
the proof, the answer is the same 401.
"""

import json
from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponse, JsonResponse

from billing_platform import clock, metrics
from billing_platform.auth import EVERYBODY, remote_address
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Malformed, NotFound, ValidationFailed
from callcontrol import statuses
from cdr.adapters import ADAPTERS
from cdr.deliveries import Received
from cdr.errors import OriginUnproved
from cdr.intake import accept, keep_unreadable
from cdr.messages import Knock
from cdr.providers import ProviderFacts, find_hook, may_knock

KEPT_HEADERS = ("content-type", "user-agent", "x-request-id", "date")
STORED = "stored"  # what an acknowledgement says of a push that is no record


@door(EVERYBODY, methods=("POST",))  # the proof is in the path, the headers and the bytes
def hook_view(request: CallerRequest, code: str, hook_token: str, kind: str) -> HttpResponse:
    """One push of a platform."""
    provider = _proved_provider(request, code, hook_token)
    headers = {name: value[:300] for name, value in _headers(request).items() if name in KEPT_HEADERS}
    received = Received(
        kind, provider.platform, request.body, request.META.get("CONTENT_TYPE", "")[:100], provider.organization,
        provider, headers,
    )  # fmt: skip
    return KINDS[kind](provider, received)


def _proved_provider(request: HttpRequest, code: str, hook_token: str) -> ProviderFacts:
    """The provider that proves itself by token, address and signature. Raises OriginUnproved, always the same."""
    provider, at = find_hook(code), clock.now()
    known = may_knock(provider, hook_token, address=remote_address(request), at=at)
    if provider is None or not known:
        metrics.cdr_received.labels("none", "refused_token").inc()
        raise OriginUnproved
    knock = Knock(_headers(request), request.body)
    if not ADAPTERS[provider.platform].verify(knock, provider.key_name, provider.live_secrets(at), at):
        metrics.cdr_received.labels("none", "refused_signature").inc()
        raise OriginUnproved
    return provider


def _headers(request: HttpRequest) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _acknowledged(provider: ProviderFacts, result: str, cdr_id: str = "") -> HttpResponse:
    if provider.acknowledgement:
        return HttpResponse(provider.acknowledgement, content_type="text/plain; charset=utf-8")
    content_type, text = ADAPTERS[provider.platform].acknowledge(result, cdr_id)
    return HttpResponse(text, content_type=content_type)


def _take_record(provider: ProviderFacts, received: Received) -> HttpResponse:
    """A call record, or a recording that came later: both are the record again with what is new."""
    outcome = accept(received)[0]
    return _acknowledged(provider, outcome.result, outcome.cdr_id)


def _take_status(provider: ProviderFacts, received: Received) -> HttpResponse:
    try:
        statuses.accept_status(provider.code, _object(received.body))
    except (Malformed, ValidationFailed, NotFound) as unreadable:
        keep_unreadable(received, detail=f"{unreadable.code} {unreadable.detail}")
    return _acknowledged(provider, STORED)


def _answer_auth(provider: ProviderFacts, received: Received) -> HttpResponse:
    """May the call go on, and for how many seconds? What cannot be read is refused."""
    try:
        seconds = statuses.affordable_seconds(provider.code, _object(received.body))
    except (Malformed, ValidationFailed, NotFound):
        seconds = 0
    return JsonResponse({"allowed": seconds > 0, "max_seconds": seconds})


def _object(body: bytes) -> object:
    """Raises Malformed for what is no JSON in UTF-8."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None


KINDS: Mapping[str, Callable[[ProviderFacts, Received], HttpResponse]] = {
    "cdr": _take_record,
    "recording": _take_record,
    "status": _take_status,
    "auth": _answer_auth,
}
