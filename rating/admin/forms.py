"""Forms of the rating admin: a rate checked by the same rules as a row of a file, and the acts on versions."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from rating.errors import NotADraft
from rating.formats.directives import read_dates
from rating.formats.fields import FileContext, ParsedRow, read_row
from rating.formats.text import number_text
from rating.messages import message_of
from rating.models import Carrier, Deck, DeckVersion, Rate, TimeBand
from rating.terms import DAY_CLASSES
from rating.versions import CONTENT, rates_of

EDITED = tuple(name for name in CONTENT if name != "key")


class RateForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A rate of a draft. `draft` is set by the admin before the form is made."""

    draft: DeckVersion | None = None

    class Meta:
        model = Rate
        fields = EDITED

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        numbers = {name: value for name, value in self.initial.items() if isinstance(value, Decimal)}
        self.initial.update({name: number_text(value) for name, value in numbers.items()})  # 60, not 60.000
        if self.draft is not None and "band" in self.fields:
            bands = TimeBand.objects.filter(version=self.draft).order_by("name").values_list("name", flat=True)
            carriers = Carrier.objects.order_by("code").values_list("code", flat=True)
            self.fields["band"] = _choice(self.fields["band"], bands)
            self.fields["carrier"] = _choice(self.fields["carrier"], carriers)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.draft is None or self.errors:
            return cleaned
        cells = {name: _cell(cleaned.get(name)) for name in EDITED}
        parsed = read_row(cells, row=0, context=_context(self.draft.deck, cleaned))
        if not isinstance(parsed, ParsedRow):
            raise ValidationError({error.column: f"{message_of(error.code)} ({error.code})" for error in parsed})
        self.instance.key = parsed.key
        cleaned["reach"] = parsed.terms.reach
        self._check_alone(cleaned)
        return cleaned

    def _check_alone(self, cleaned: dict[str, Any]) -> None:
        """No other row of the draft may speak of the same calls from the same instant."""
        assert self.draft is not None
        same = {name: cleaned[name] for name in ("carrier", "reach", "kind", "band", "priority", "effective_from")}
        wanted = {name if value is not None else f"{name}__isnull": value if value is not None else True
                  for name, value in same.items()}  # fmt: skip
        if rates_of(self.draft).filter(key=self.instance.key, **wanted).exclude(pk=self.instance.pk).exists():
            raise ValidationError({"prefix": f"{message_of('E_DUPLICATE')} (E_DUPLICATE)"})


def _context(deck: Deck, cleaned: dict[str, Any]) -> FileContext:
    """As for a file; carrier and band were chosen from lists, so they exist."""
    carriers, bands = frozenset([cleaned["carrier"]]), frozenset([cleaned["band"]])
    return FileContext(ZoneInfo(deck.zone), deck.numbering, carriers, bands)


def _cell(value: Any) -> str:
    """The field as the cell of a file would hold it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, datetime) else str("" if value is None else value)


def _choice(field: forms.Field, names: "QuerySet[Any, str]") -> forms.ChoiceField:
    choices = [("", "---------"), *((name, name) for name in names)]
    return forms.ChoiceField(choices=choices, required=False, label=field.label, widget=UnfoldAdminSelectWidget)


class BandForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A time band of a draft."""

    class Meta:
        model = TimeBand
        fields = (
            "version", "name", "classes", "weekdays", "years", "months", "month_days", "dates", "start", "end",
            "priority",
        )  # fmt: skip

    def clean_version(self) -> DeckVersion:
        version: DeckVersion = self.cleaned_data["version"]
        if version.state != DeckVersion.State.DRAFT:
            raise ValidationError(NotADraft.title)
        return version

    def clean_classes(self) -> list[str]:
        classes: list[str] = self.cleaned_data["classes"] or []
        if set(classes) - set(DAY_CLASSES):
            raise ValidationError(_("One of: %(names)s"), params={"names": ", ".join(DAY_CLASSES)})
        return classes

    def clean_dates(self) -> list[str]:
        dates: list[str] = self.cleaned_data["dates"] or []
        try:
            for text in dates:
                read_dates(text)
        except ValueError as unreadable:
            raise ValidationError(message_of("E_DATE")) from unreadable
        return dates


class ReasonForm(forms.Form):
    """Why something is done; kept in the audit trail."""

    reason = forms.CharField(label=_("reason"), max_length=300, widget=forms.Textarea(attrs={"rows": 2}))


class ZonedDateTimeField(forms.DateTimeField):
    """A wall-clock time in one zone, given by the browser's own picker."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
    zone = ZoneInfo("UTC")

    def to_python(self, value: Any) -> Any:
        with timezone.override(self.zone):
            return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        with timezone.override(self.zone):
            return super().prepare_value(value)


class PublishForm(ReasonForm):
    """When a draft takes effect, on the deck's wall clock."""

    effective_from = ZonedDateTimeField(label=_("effective from"), required=False, help_text=_("empty = in 5 seconds"))
    correction = forms.BooleanField(
        label=_("correction: may lie in the past"),
        required=False,
        help_text=_("finance must approve what takes effect in the past"),
    )
    confirm = forms.CharField(label=_("confirmation"), required=False, max_length=40)
    field_order: tuple[str, ...] = ("effective_from", "reason", "correction", "confirm")

    def __init__(self, *args: Any, zone: ZoneInfo, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["effective_from"]
        assert isinstance(field, ZonedDateTimeField)  # declared above
        field.zone = zone
        field.label = f"{field.label} ({zone.key})"


class CloneForm(forms.Form):
    """The code of the new deck."""

    code = forms.CharField(label=_("code of the new deck"), max_length=128)
