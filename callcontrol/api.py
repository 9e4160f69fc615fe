"""Callbacks over HTTP: place, list, read, cancel, price, history. Placing goes through the charge gate."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import cast

from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseNotModified, JsonResponse, StreamingHttpResponse
from django.urls import reverse
from rest_framework import viewsets
from rest_framework.request import Request

from billing_platform.api import CallerRequest, door
from billing_platform.auth import audience
from billing_platform.errors import Malformed, NotFound
from billing_platform.idempotency import idempotency_key
from billing_platform.models import Role, Scope
from billing_platform.paging import Key, page_request
from callcontrol import numbers
from callcontrol.calling import place_call, request_key_of
from callcontrol.cancelling import cancel_call
from callcontrol.charge_check import charge_of, context_of
from callcontrol.decorators import answered_once, apiview_charge
from callcontrol.errors import BodyInvalid
from callcontrol.live import LiveCall
from callcontrol.models import Callback, CallbackEvent
from callcontrol.models.calls import State
from callcontrol.quoting import quote_call
from callcontrol.screening import visible_calls
from callcontrol.shown import call_shown, event_shown, quote_shown
from callcontrol.wishes import Placer, placer_of, read_wish

SERVICE = "callback"
LIST = "callbacks"
EVENTS_MAX = 200
CALLERS = audience(roles=(Role.AGENT, Role.SUPERVISOR), scopes=(Scope.CALL_WRITE,))
READERS = audience(roles=(Role.AGENT, Role.SUPERVISOR, Role.AUDITOR), scopes=(Scope.CALL_READ, Scope.CALL_WRITE))


class CallbackViewSet(viewsets.ViewSet):
    """Calls that we place: two legs, joined by a platform."""

    application_service = False
    audience = {"POST": CALLERS, "GET": READERS}

    @answered_once
    @apiview_charge(service_key=SERVICE, before=True, after=False, usable=True)
    def create(self, request: Request) -> HttpResponse:
        """Place a call: 201, or 202 when the platform did not answer (it may still call; never repeat it)."""
        placer = placer_of(context_of(request))
        key = idempotency_key(request._request, context_of(request).caller)
        reference = place_call(
            read_wish(request.data), placer, charge=charge_of(request), call_type=SERVICE,
            request_key=request_key_of(placer, key),
        )  # fmt: skip
        call = Callback.objects.get(reference=reference)
        unheard = call.state == State.UNKNOWN
        return JsonResponse(
            call_shown(call, placer) | ({"code": "provider_timeout"} if unheard else {}),
            status=HTTPStatus.ACCEPTED if unheard else HTTPStatus.CREATED,
            headers={"Location": reverse("callback", args=[reference])},
        )

    def list(self, request: Request) -> HttpResponse:
        """Filters: `status`, `agent` (number), `from`, `to` (instants), `q` (number, its end, or a call id)."""
        placer = placer_of(context_of(request))
        page = page_request(request.query_params, view=LIST)
        calls = _filtered(Callback.objects.filter(visible_calls(placer)), request.query_params)
        if page.after:
            created_at, call_id = datetime.fromisoformat(str(page.after[0])), page.after[1]
            calls = calls.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=call_id))
        shown = page.page(list(calls.order_by("-created_at", "-id")[: page.limit + 1]), _sort_key, view=LIST)
        items = [call_shown(call, placer) for call in shown.items]
        return JsonResponse({"items": items, "next_cursor": shown.next_cursor})

    def retrieve(self, request: Request, reference: str) -> HttpResponse:
        """One call; with `If-None-Match` 304 while nothing changed."""
        placer = placer_of(context_of(request))
        call = _readable_call(reference, placer)
        tag = f'W/"{call.reference}-{call.updated_at.timestamp():.6f}"'
        if request.headers.get("If-None-Match") == tag:
            return HttpResponseNotModified(headers={"ETag": tag})
        return JsonResponse(call_shown(call, placer), headers={"ETag": tag})

    def cancel(self, request: Request, reference: str) -> HttpResponse:
        """Ask for the end of the call: 202, a request only."""
        placer = placer_of(context_of(request))
        cancel_call(reference, placer, policy=_policy(request.data))
        return JsonResponse(call_shown(_readable_call(reference, placer), placer), status=HTTPStatus.ACCEPTED)

    def quote(self, request: Request) -> HttpResponse:
        """What the call would cost and how long it may last, or the refusal that it would get."""
        placer = placer_of(context_of(request))
        return JsonResponse(quote_shown(quote_call(read_wish(request.data), placer, service_key=SERVICE)))


@door(READERS)
def events_view(request: CallerRequest, /, reference: str) -> HttpResponse:
    """The history of a call as JSON; asked for `text/event-stream`, the call itself whenever it changes."""
    placer = placer_of(context_of(request))
    call = _readable_call(reference, placer)
    if "text/event-stream" in request.headers.get("Accept", ""):
        live = StreamingHttpResponse(LiveCall(call.pk, placer), content_type="text/event-stream")
        live.headers["X-Accel-Buffering"] = "no"
        return cast("HttpResponse", live)
    events = CallbackEvent.objects.filter(callback_id=call.pk).order_by("id")[:EVENTS_MAX]
    return JsonResponse({"items": [event_shown(event) for event in events]})


def _readable_call(reference: str, placer: Placer) -> Callback:
    """Somebody else's call is answered as if it did not exist. Raises NotFound."""
    call = Callback.objects.filter(visible_calls(placer), reference=reference).first()
    if call is None:
        raise NotFound
    return call


def _sort_key(call: Callback) -> Key:
    return [call.created_at.isoformat(), call.pk]


def _policy(body: object) -> str:
    if not isinstance(body, Mapping) or set(body) - {"policy"} or not isinstance(body.get("policy", ""), str):
        raise BodyInvalid(errors={"policy": ["text"]})
    return str(body.get("policy", "always"))


def _filtered(calls: QuerySet[Callback], query: Mapping[str, str]) -> QuerySet[Callback]:
    if query.get("status"):
        calls = calls.filter(state=query["status"])
    if query.get("agent"):
        calls = calls.filter(agent_key=numbers.read(query["agent"]).key)
    if query.get("from"):
        calls = calls.filter(created_at__gte=_instant(query["from"]))
    if query.get("to"):
        calls = calls.filter(created_at__lt=_instant(query["to"]))
    return calls.filter(_matches(query["q"])) if query.get("q") else calls


def _matches(text: str) -> Q:
    if text.startswith("cb_"):
        return Q(reference=text[:32])
    key = numbers.read(text[:32]).key
    digits = "".join(letter for letter in text[:32] if letter.isdigit() and letter.isascii())
    by_end = Q(customer_key__endswith=digits) if digits else Q(pk__in=[])
    return by_end | Q(customer_key=key) if key else by_end


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("from and to are instants, such as 2026-03-02T10:00:00+08:00") from None
    if at.tzinfo is None:
        raise Malformed("from and to need an offset")
    return at
