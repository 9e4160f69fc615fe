"""REST of rating: thin. Parse, call one function, show the answer."""

from django.http import HttpResponse, JsonResponse

from billing_platform.api import read_json
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import NotFound
from billing_platform.models import Role, Scope
from billing_platform.paging import page_request
from rating.costs import COST_PLAN
from rating.decks import latest_version
from rating.explain import explain
from rating.models import Deck

EXPLAINERS = audience(
    roles=(
        Role.SUPERVISOR.value, Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value,
        Role.PLATFORM_ADMIN.value,
    ),
    scopes=(Scope.RATE_READ.value, Scope.RATE_WRITE.value),
)  # fmt: skip
DECK_READERS = audience(
    roles=(Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value),
    scopes=(Scope.RATE_READ.value, Scope.RATE_WRITE.value),
)


# What suppliers ask is not shown to everybody who may see what customers pay.
COST_READERS = audience(
    roles=(Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value),
    scopes=(Scope.RATE_WRITE.value,),
)


@door(EXPLAINERS, ("POST",))
def explain_view(request: CallerRequest) -> HttpResponse:
    """Why does this call cost that? The asker's organisation is the tenant unless it is bound to none."""
    question = read_json(request)
    if not isinstance(question, dict):
        return JsonResponse(explain(question))
    of_supplier = Deck.objects.filter(code=str(question.get("deck")), purpose=Deck.Purpose.COST).exists()
    if of_supplier or question.get("plan") == COST_PLAN:
        COST_READERS.admit(request.caller)
    tenant = request.caller.organization or question.get("tenant")
    answer = explain({**question, "tenant": tenant})
    return JsonResponse(answer, json_dumps_params={"ensure_ascii": False})  # to the byte what the command prints


@door(DECK_READERS)
def decks_view(request: CallerRequest) -> HttpResponse:
    """The decks, by code."""
    asked = page_request(request.GET, view="decks")
    decks = Deck.objects.select_related("carrier").order_by("code")
    if asked.after is not None:
        decks = decks.filter(code__gt=asked.after[0])
    page = asked.page(list(decks[: asked.limit + 1]), lambda deck: [deck.code], view="decks")
    return JsonResponse({"items": [_deck(deck) for deck in page.items], "next_cursor": page.next_cursor})


@door(DECK_READERS)
def deck_view(request: CallerRequest, deck_id: int) -> HttpResponse:
    """One deck and its latest published version."""
    deck = Deck.objects.select_related("carrier").filter(pk=deck_id).first()
    if deck is None:
        raise NotFound
    latest = latest_version(deck)
    version = None
    if latest is not None:
        version = {
            "number": latest.number,
            "effective_from": latest.effective_from,
            "content_hash": latest.content_hash,
            "rows": latest.row_count,
        }
    return JsonResponse({**_deck(deck), "latest_version": version})


def _deck(deck: Deck) -> dict[str, object]:
    return {
        "id": deck.pk,
        "code": deck.code,
        "name_zh": deck.name_zh,
        "name_en": deck.name_en,
        "purpose": deck.purpose,
        "family": deck.family,
        "carrier": deck.carrier.code if deck.carrier else None,
        "currency": deck.currency,
        "zone": deck.zone,
        "numbering": deck.numbering,
        "rounding": deck.rounding,
        "decimals": deck.decimals,
    }
