"""S5, the page that tests numbers: why does a call cost that? One question in full, or up to a hundred in a table."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing_platform.auth import Caller, audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Malformed, PlatformError
from billing_platform.sheets import BOM, Figure, csv_row
from rating.admin.rates import RATE_WRITERS
from rating.api import COST_READERS, EXPLAINERS
from rating.errors import DeckUnknown
from rating.expected import drop_expectation, keep_expectation
from rating.explain import Answer, explain
from rating.explaining.form import FIELDS, ExplainForm, choices_for, page_zone, questions_of
from rating.explaining.sentence import money
from rating.explaining.shown import (
    LoserShown,
    StepShown,
    days_shown,
    losers_shown,
    number_shown,
    price_shown,
    steps_shown,
)
from rating.margin import SupplierPrice, supplier_price
from rating.models import Deck, DeckVersion, ExpectedPrice

READERS = audience(roles=tuple(EXPLAINERS.roles))
WRITERS = audience(roles=tuple(RATE_WRITERS))
NAME_MAX = 80
KEPT_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer, ready for the page. `link` leads to this very question, `deck_code` is the deck to be mended."""

    question: dict[str, Any]
    answer: Answer
    link: str
    steps: list[StepShown]
    losers: list[LoserShown]
    number: str
    supplier: SupplierPrice | None

    @property
    def amount(self) -> str:
        """With its sign of currency and every digit; "" without a price."""
        amount = self.answer["amount"]
        return money(amount, self.answer["currency"]) if amount is not None else ""

    @property
    def sentence(self) -> str:
        """In the reader's language."""
        return str(self.answer[f"sentence_{_suffix()}"] or "")

    @property
    def refusal(self) -> str:
        """The pricing error in the reader's language; "" when there is a price."""
        error = self.answer["error"]
        return str(error[f"message_{_suffix()}"]) if error else ""

    @property
    def days(self) -> Any:
        return days_shown(self.answer["day_classes"])

    @property
    def deck_code(self) -> str:
        chain = self.answer["chain"]
        return str(chain[0]["deck"]) if chain else str(self.question.get("deck", ""))

    @property
    def policy_amount(self) -> str:
        policy = self.answer["policy"] or {}
        return money(policy["amount"], self.answer["currency"]) if "amount" in policy else ""

    @property
    def change_at(self) -> datetime | None:
        change = self.answer["next_change"]
        return datetime.fromisoformat(change["at"]).astimezone(page_zone()) if change else None

    @property
    def change_price(self) -> str:
        begins = (self.answer["next_change"] or {}).get("winner")
        return price_shown(begins["price"], begins["per"], self.answer["currency"]) if begins else ""


def _suffix() -> str:
    return "zh" if (get_language() or "").startswith("zh") else "en"


@door(READERS)
def explain_page(request: CallerRequest) -> HttpResponse:
    """`/admin/rating/explain/`: everything stands in the query string, so that an address is a question."""
    form = ExplainForm(request.GET) if "number" in request.GET else ExplainForm()
    if not form.is_bound or not form.is_valid():
        return _page(request, {"form": form})
    sees_cost = bool(COST_READERS.roles & request.caller.roles)
    try:
        if _is_cost_deck(form.cleaned_data["deck"]):
            COST_READERS.admit(request.caller)
        answers = [_shown(question, sees_cost=sees_cost) for question in _questions(form, request.caller)]
    except DeckUnknown as unknown:
        form.add_error("deck", str(unknown.title))
        return _page(request, {"form": form}, status=unknown.http_status)
    except PlatformError as refused:
        form.add_error(None, f"{refused.title} {_details(refused)}".strip())
        return _page(request, {"form": form}, status=refused.http_status)
    if request.GET.get("format") in _FILES:
        return _FILES[request.GET["format"]](answers, sees_cost)
    one = answers[0] if len(answers) == 1 else None
    return _page(request, {"form": form, "one": one, "answers": answers, "sees_cost": sees_cost, **_mending(one)})


@door(WRITERS, ("POST",))
def keep_page(request: CallerRequest) -> HttpResponse:
    """Save the question of the page as a test case of its deck."""
    form = ExplainForm(request.POST)
    name, deck = request.POST.get("name", "").strip()[:NAME_MAX], request.POST.get("kept_with", "")
    if not form.is_valid() or len(form.cleaned_data["number"]) != 1 or not name:
        raise Malformed("one number, and a name for the test case")
    (question,) = _questions(form, request.caller)
    try:
        kept = keep_expectation(deck, question, name=name, caller=request.caller)
    except PlatformError as refused:
        messages.error(request, str(refused.title))
    else:
        messages.success(request, _("Saved as test case: %(name)s") % {"name": kept.name})
    return HttpResponseRedirect(_link(request.POST))


@door(WRITERS, ("POST",))
def drop_page(request: CallerRequest, expectation_id: int) -> HttpResponse:
    """Remove a test case."""
    drop_expectation(expectation_id, caller=request.caller)
    messages.success(request, _("The test case was removed."))
    return HttpResponseRedirect(_link(request.POST))


def _questions(form: ExplainForm, caller: Caller) -> list[dict[str, Any]]:
    return questions_of(form.cleaned_data, caller=caller)


def _is_cost_deck(code: str) -> bool:
    return bool(code) and Deck.objects.filter(code=code, purpose=Deck.Purpose.COST).exists()


def _shown(question: dict[str, Any], *, sees_cost: bool) -> Shown:
    answer = explain(question)
    supplier = supplier_price(question, answer) if sees_cost else None
    steps, losers = steps_shown(answer), losers_shown(answer["candidates"])
    return Shown(question, answer, _link_to(question), steps, losers, number_shown(answer["number"]), supplier)


def _link_to(question: dict[str, Any]) -> str:
    """The address of one question: its instant stands in it, also where none was given."""
    asked = {"number": question["destination"], "at": question["answer_time"]}
    asked |= {name: question[name] for name in FIELDS if question.get(name) not in (None, "")}
    return _link(asked)


def _link(values: Any) -> str:
    pairs = [(name, str(values[name])) for name in FIELDS if values.get(name)]
    return f"{reverse('rating_explain')}?{urlencode(pairs)}" if pairs else reverse("rating_explain")


def _mending(one: Shown | None) -> dict[str, object]:
    """What leads on from one answer: the deck behind it, its open draft, its test cases."""
    deck = Deck.objects.filter(code=one.deck_code).first() if one else None
    if deck is None:
        return {}
    drafts = DeckVersion.objects.filter(deck=deck, state=DeckVersion.State.DRAFT).order_by("-number")
    kept = ExpectedPrice.objects.filter(deck=deck).order_by("-id")[:KEPT_SHOWN]
    return {"deck": deck, "draft": drafts.first(), "kept": kept}


def _details(refused: PlatformError) -> str:
    errors = refused.fields.get("errors", {})
    return "; ".join(f"{name}: {text}" for name, text in errors.items()) if isinstance(errors, dict) else refused.detail


def _page(request: CallerRequest, context: dict[str, object], *, status: int = HTTPStatus.OK) -> HttpResponse:
    roles = request.caller.roles
    form = context["form"]
    assert isinstance(form, ExplainForm)  # made above
    page = {
        **admin.site.each_context(request),
        "title": _("Test a number"),
        "layout": "admin/base_site.html" if admin.site.has_permission(request) else "base.html",
        "zone": page_zone().key,
        "values": {name: request.GET.get(name, "") for name in FIELDS},
        "choices": choices_for(request.caller, with_cost=bool(COST_READERS.roles & roles)),
        "bound_to": request.caller.organization,
        "may_write": bool(RATE_WRITERS & roles),
        **context,
    }
    response = TemplateResponse(request, "rating/explain.html", page, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response.render()


def _as_json(answers: list[Shown], _sees_cost: object) -> HttpResponse:
    return JsonResponse({"items": [one.answer for one in answers]}, json_dumps_params={"ensure_ascii": False})


def _as_csv(answers: list[Shown], sees_cost: object) -> HttpResponse:
    """Numbers as numbers, prefixes and phone numbers as text; cost and margin for those who may see them."""
    head = ["number", "key", "answered_at", "duration", "deck", "version", "prefix", "band", "amount", "currency"]
    head += ["cost", "margin"] if sees_cost else []
    rows = [csv_row([_("Test a number"), page_zone().key]), csv_row([*head, "error"])]
    for one in answers:
        winner, error = one.answer["winner"] or {}, one.answer["error"] or {}
        cells = [
            str(one.question["destination"]), one.answer["number"]["key"], one.question["answer_time"],
            Figure(one.question["duration"]), winner.get("deck", ""), Figure(winner.get("version", "")),
            winner.get("prefix", ""), winner.get("band") or "", Figure(one.answer["amount"] or ""),
            one.answer["currency"],
        ]  # fmt: skip
        if sees_cost:
            cost, margin = (one.supplier.amount, one.supplier.margin) if one.supplier else (None, None)
            cells += [Figure("" if figure is None else f"{figure:f}") for figure in (cost, margin)]
        rows.append(csv_row([*cells, error.get("code", "")]))
    headers = {"Content-Disposition": 'attachment; filename="explain.csv"', "Cache-Control": "no-store"}
    return HttpResponse(BOM + "".join(rows), content_type="text/csv; charset=utf-8", headers=headers)


_FILES = {"json": _as_json, "csv": _as_csv}
