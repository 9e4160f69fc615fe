"""Bulk edit in the admin (S6): which rows and what becomes of them, a preview in the address, then a draft."""

from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing_platform.auth import caller_of_request
from billing_platform.errors import PlatformError
from rating.admin.acts import conflict_page
from rating.admin.pages import check_writer, deck_answer, read_deck
from rating.decks import latest_version
from rating.edits import RateChange, RateSelection, Step, edit_rates, preview_edit
from rating.errors import DraftOutdated
from rating.formats.fields import PRICE_MAX, SECONDS_MAX
from rating.messages import message_of
from rating.models import Carrier, Deck, DeckVersion, Rate, TimeBand

ANY, NONE = "", "-"
SELECTED = ("begins", "destination", "carrier", "band", "kind", "rate_min", "rate_max")
CHANGED = ("step", "amount", "decimals", "first_increment", "next_increment", "new_band")
COUNTS: Mapping[str, Any] = {
    "matched": _("rows found"),
    "raised": _("dearer"),
    "lowered": _("cheaper"),
    "other": _("other changes"),
    "same": _("unchanged"),
}


def _price(label: Any, **options: Any) -> forms.DecimalField:
    return forms.DecimalField(label=label, required=False, max_digits=18, decimal_places=8, **options)


def _increment(label: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, required=False, min_value=Decimal("0.001"), max_value=SECONDS_MAX - 1, decimal_places=3
    )


class EditForm(forms.Form):
    """The rows, and the change. Lists of names are those of the version that is edited."""

    begins = forms.CharField(
        label=_("prefix begins with"), required=False, max_length=40, help_text=_("as dialled, or as key: 021, 8621")
    )
    destination = forms.CharField(label=_("destination contains"), required=False, max_length=120)
    carrier = forms.ChoiceField(label=_("carrier"), required=False)
    band = forms.ChoiceField(label=_("time band"), required=False)
    kind = forms.ChoiceField(
        label=_("kind"), required=False, choices=[(ANY, _("any")), (NONE, _("names none")), *Rate.CallKind.choices]
    )
    rate_min = _price(_("rate from"), min_value=0, max_value=PRICE_MAX)
    rate_max = _price(_("rate to"), min_value=0, max_value=PRICE_MAX)
    step = forms.ChoiceField(label=_("price"), choices=Step.choices, initial=Step.PERCENT)
    amount = _price(_("amount, or per cent"), max_value=PRICE_MAX, min_value=-PRICE_MAX)
    decimals = forms.IntegerField(
        label=_("round to decimals"), required=False, min_value=0, max_value=8, help_text=_("half up; empty = exact")
    )
    first_increment = _increment(_("first increment, seconds"))
    next_increment = _increment(_("next increment, seconds"))
    new_band = forms.ChoiceField(label=_("new time band"), required=False)

    def __init__(self, *args: Any, version: DeckVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bands = list(TimeBand.objects.filter(version=version).order_by("name").values_list("name", flat=True))
        carriers = list(Carrier.objects.order_by("code").values_list("code", flat=True))
        self._choose("carrier", {ANY: _("any"), NONE: _("names none")}, carriers)
        self._choose("band", {ANY: _("any"), NONE: _("always")}, bands)
        self._choose("new_band", {ANY: _("leave as it is"), NONE: _("always")}, bands)

    def _choose(self, name: str, first: Mapping[str, Any], names: list[str]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # declared above
        field.choices = [*first.items(), *((name, name) for name in names)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("step") not in (None, Step.KEEP) and cleaned.get("amount") is None and "amount" in cleaned:
            self.add_error("amount", forms.ValidationError(_("Say how much."), code="required"))
        return cleaned

    def selection(self) -> RateSelection:
        """The rows that the form means."""
        asked = self.cleaned_data
        named = {name: _named(asked[name]) for name in ("carrier", "band", "kind")}
        return RateSelection(
            prefix=asked["begins"], destination=asked["destination"], rate_min=asked["rate_min"],
            rate_max=asked["rate_max"], **named,
        )  # fmt: skip

    def change(self) -> RateChange:
        """What becomes of them."""
        asked = self.cleaned_data
        return RateChange(
            step=Step(asked["step"]), amount=asked["amount"] or Decimal(0), decimals=asked["decimals"],
            first_increment=asked["first_increment"], next_increment=asked["next_increment"],
            band=_named(asked["new_band"]),
        )  # fmt: skip

    def parts(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields in two groups, for the page."""
        return [
            (_("Which rows"), [self[name] for name in SELECTED]),
            (_("What becomes of them"), [self[name] for name in CHANGED]),
        ]


def _named(choice: str) -> str | None:
    """None for any, "" for none, else the name."""
    return None if choice == ANY else "" if choice == NONE else choice


def edit_page(request: HttpRequest, deck_id: int) -> HttpResponse:
    """S6. GET shows the form and, when it is filled in, what would change; POST makes the draft that was shown."""
    deck = read_deck(request, deck_id)
    check_writer(request)
    version = latest_version(deck)
    if version is None:
        return deck_answer(request, "deck_edit", deck, {"version": None})
    if request.method == "POST":
        return _draw_up(request, deck, version)
    form = EditForm(request.GET if "step" in request.GET else None, version=version)
    context: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        try:
            shown = preview_edit(deck, form.selection(), form.change())
            counts = [(name, COUNTS[name], shown.counts[name]) for name in COUNTS]
            context = {"shown": shown, "counts": counts, "fields": request.GET}
        except PlatformError as refused:
            return _page(request, deck, version, form, refused=refused)
    return _page(request, deck, version, form, **context)


def _draw_up(request: HttpRequest, deck: Deck, version: DeckVersion) -> HttpResponse:
    form = EditForm(request.POST, version=version)
    base = request.POST.get("base", "")
    if not (form.is_valid() and base.isascii() and base.isdigit() and len(base) < 10):
        return _page(request, deck, version, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        draft = edit_rates(
            deck, form.selection(), form.change(), caller=caller_of_request(request), base=int(base),
            reason=request.POST.get("reason", "").strip()[:300],
        )  # fmt: skip
    except DraftOutdated as outdated:
        return conflict_page(request, deck, outdated, again=reverse("admin:rating_deck_edit", args=[deck.pk]))
    except PlatformError as refused:
        return _page(request, deck, version, form, refused=refused)
    return HttpResponseRedirect(reverse("admin:rating_deckversion_publish", args=[draft.pk]))


def _page(
    request: HttpRequest, deck: Deck, version: DeckVersion, form: EditForm, *, refused: PlatformError | None = None,
    **context: Any,
) -> HttpResponse:  # fmt: skip
    status = context.pop("status", refused.http_status if refused else HTTPStatus.OK)
    faults = [(fault, message_of(fault.code)) for fault in refused.fields.get("faults", ())] if refused else []  # type: ignore[attr-defined]
    shared = {"version": version, "form": form, "refused": refused, "faults": faults, "names": [*SELECTED, *CHANGED]}
    return deck_answer(request, "deck_edit", deck, {**shared, **context}, status=status)
