"""The doors of call records for programs: intake (hot, plain), lists, one record, its explanation."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from billing_platform.auth import audience, remote_address
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import MethodNotAllowed, UnsupportedMedia
from billing_platform.models import Role, Scope
from billing_platform.paging import page_request
from billing_platform.problems import error_response
from cdr import reading
from cdr.adapters import native
from cdr.deliveries import Received
from cdr.errors import RecordRejected
from cdr.intake import accept
from cdr.matching import NATIVE_DOOR
from cdr.messages import CallMessage, Parsed, Payload
from cdr.receipts import REJECTED, RecordOutcome, cost_text, rejected

JSON, NDJSON = "application/json", native.NDJSON
SENDERS = audience(scopes=(Scope.CDR_WRITE.value,))
READERS = audience(
    roles=(Role.SUPERVISOR.value, Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value),
    scopes=(Scope.CDR_READ.value,),
)
View = Callable[[HttpRequest], HttpResponse]
_encode = msgspec.json.Encoder().encode


def by_method(views: Mapping[str, View]) -> View:
    """One path, a door for each method."""

    @csrf_exempt  # each door checks its own callers
    def chosen(request: HttpRequest) -> HttpResponse:
        view = views.get("GET" if request.method == "HEAD" else str(request.method))
        if view is None:
            return error_response(MethodNotAllowed(allowed=sorted(views)), request)
        return view(request)

    chosen.audience = {method: view.audience for method, view in views.items()}  # type: ignore[attr-defined]
    return chosen


@door(SENDERS, methods=("POST",))
def take_in(request: CallerRequest) -> HttpResponse:
    """Native records: one object, an array, or NDJSON; each is answered in the form in which it came."""
    kind = media_type(request.META.get("CONTENT_TYPE", ""))
    body = request.body
    parsed = native.parse(Payload(body, kind, UTC))
    outcomes = _accept_parsed(request, kind, parsed)
    if kind == NDJSON:
        return HttpResponse(b"".join([_encode(_told(one)) + b"\n" for one in outcomes]), content_type=NDJSON)
    if body[:64].lstrip(b" \t\r\n")[:1] == b"[":
        counts = Counter(outcome.result for outcome in outcomes)
        return HttpResponse(_encode({"items": [_told(one) for one in outcomes], "counts": counts}), content_type=JSON)
    (outcome,) = outcomes
    if outcome.result == REJECTED:
        raise RecordRejected(outcome.code, outcome.detail, outcome.status)
    return HttpResponse(_encode(_told(outcome)), content_type=JSON)


def _accept_parsed(request: CallerRequest, kind: str, parsed: Sequence[Parsed]) -> Sequence[RecordOutcome]:
    """Store and settle, unless there is nothing in the body that anybody would ever want to see again."""
    if not any(isinstance(record, CallMessage) or record.for_review for record in parsed):
        return [rejected(record) for record in parsed if not isinstance(record, CallMessage)]
    headers = {"caller": request.caller.actor, "address": remote_address(request)}
    return accept(
        Received(NATIVE_DOOR, "native", request.body, kind, request.caller.organization, headers=headers, parsed=parsed)
    )


def media_type(content_type: str) -> str:
    """`application/json` or `application/x-ndjson`, in UTF-8. Raises UnsupportedMedia."""
    if content_type == JSON:
        return JSON
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.removeprefix("charset=").strip("\"' ") for part in parameters if part.startswith("charset=")]
    if kind not in {JSON, NDJSON} or any(charset not in {"utf-8", "utf8"} for charset in charsets):
        raise UnsupportedMedia(f"send {JSON} or {NDJSON} in UTF-8")
    return kind


def _told(outcome: RecordOutcome) -> dict[str, str | None]:
    return {
        "result": outcome.result, "cdr_id": outcome.cdr_id or None, "state": outcome.state or None,
        "cost": cost_text(outcome.cost) if outcome.cost is not None else None, "currency": outcome.currency or None,
        "rule": outcome.rule or None, "code": outcome.code or None, "detail": outcome.detail or None,
    }  # fmt: skip


@door(READERS)
def list_view(request: CallerRequest) -> HttpResponse:
    """A page of call records, latest first."""
    query = request.GET.dict()
    page = reading.list_records(query, page_request(query, view=reading.VIEW), caller=request.caller)
    items = [reading.record_facts(record, caller=request.caller) for record in page.items]
    return JsonResponse({"items": items, "next_cursor": page.next_cursor})


@door(READERS)
def record_view(request: CallerRequest, record_id: int) -> HttpResponse:
    """One call record with its history."""
    record = reading.read_record(record_id, caller=request.caller)
    facts: dict[str, Any] = reading.record_facts(record, caller=request.caller)
    return JsonResponse(facts | {"details": reading.record_details(record)})


@door(READERS)
def explain_view(request: CallerRequest, record_id: int) -> HttpResponse:
    """Why it cost what it cost."""
    record = reading.read_record(record_id, caller=request.caller)
    return JsonResponse(reading.explain_record(record, caller=request.caller))


cdrs_view = by_method({"POST": take_in, "GET": list_view})
