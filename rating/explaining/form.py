"""What stands in the form of the page that explains prices, and the questions that it means."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.auth import Caller
from rating.explaining.reading import read_duration
from rating.models import Carrier, Deck, TariffProfile
from rating.tariffs import ANYBODY, MAIN

NUMBERS_MAX = 100
TEXT_MAX = 128
CHOICES_MAX = 500
FIELDS = ("number", "deck", "version", "tenant", "category", "subject", "caller", "carrier", "at", "duration")


def page_zone() -> ZoneInfo:
    """The zone of times that carry none; the page names it."""
    return ZoneInfo(settings.TIME_ZONE)


class ExplainForm(forms.Form):
    """One question, or the same about many numbers. A deck asks that deck; else organisation, service and account."""

    number = forms.CharField(label=_("Number"), widget=forms.Textarea, max_length=NUMBERS_MAX * (TEXT_MAX + 2))
    deck = forms.CharField(label=_("Rate deck"), required=False, max_length=TEXT_MAX)
    version = forms.IntegerField(label=_("Version"), required=False, min_value=1, max_value=2**31 - 1)
    tenant = forms.CharField(label=_("Organisation"), required=False, max_length=64)
    category = forms.CharField(label=_("Service"), required=False, max_length=64)
    subject = forms.CharField(label=_("Account"), required=False, max_length=64)
    caller = forms.CharField(label=_("Caller"), required=False, max_length=TEXT_MAX)
    carrier = forms.CharField(label=_("Carrier"), required=False, max_length=20)
    at = forms.CharField(label=_("Answered at"), required=False, max_length=40)
    duration = forms.CharField(label=_("Duration"), required=False, max_length=20)

    def clean_number(self) -> list[str]:
        """The lines that hold something."""
        lines = [line.strip() for line in self.cleaned_data["number"].splitlines() if line.strip()]
        if len(lines) > NUMBERS_MAX:
            raise ValidationError(_("At most %(limit)d numbers at once."), params={"limit": NUMBERS_MAX})
        if any(len(line) > TEXT_MAX for line in lines):
            raise ValidationError(_("A number has at most %(limit)d characters."), params={"limit": TEXT_MAX})
        return lines

    def clean_at(self) -> datetime:
        """An instant; without an offset in the page's zone; empty = now."""
        text = str(self.cleaned_data["at"]).replace(" ", "+" if "T" in self.cleaned_data["at"] else "T")
        if not text:
            return clock.now().replace(microsecond=0)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError(_("Write a time like 2026-10-10T17:58:30.")) from None
        return at if at.tzinfo else at.replace(tzinfo=page_zone())

    def clean_duration(self) -> str:
        """Seconds, or 1m30s; empty = one minute."""
        text = str(self.cleaned_data["duration"]) or "60"
        try:
            read_duration(text)
        except ValueError:
            raise ValidationError(_("Write seconds, or a text like 1m30s.")) from None
        return text

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("version") and not cleaned.get("deck"):
            self.add_error("version", _("Choose the deck of this version."))
        if not cleaned.get("deck") and not cleaned.get("category"):
            self.add_error("deck", _("Choose a deck, or a service and an account."))
        return cleaned


def questions_of(cleaned: Mapping[str, Any], *, caller: Caller) -> list[dict[str, Any]]:
    """One question a number. A caller who is bound to an organisation asks about its tariffs only."""
    shared: dict[str, Any] = {
        "answer_time": cleaned["at"].astimezone(page_zone()).isoformat(), "duration": cleaned["duration"],
    }  # fmt: skip
    shared |= {name: cleaned[name] for name in ("caller", "carrier") if cleaned[name]}
    if cleaned["deck"]:
        shared |= {"deck": cleaned["deck"]} | ({"version": cleaned["version"]} if cleaned["version"] else {})
    else:
        shared |= {
            "tenant": caller.organization or cleaned["tenant"] or None, "category": cleaned["category"],
            "subject": cleaned["subject"] or ANYBODY,
        }  # fmt: skip
    return [{**shared, "destination": number} for number in cleaned["number"]]


def choices_for(caller: Caller, *, with_cost: bool) -> dict[str, list[str]]:
    """What the form suggests: decks, services with a tariff, carriers; at most 500 of each."""
    decks = Deck.objects.all() if with_cost else Deck.objects.filter(purpose=Deck.Purpose.SELL)
    profiles = TariffProfile.objects.filter(plan=MAIN)
    if caller.organization:
        profiles = profiles.filter(tenant=caller.organization)
    return {
        "decks": list(decks.order_by("code").values_list("code", flat=True)[:CHOICES_MAX]),
        "categories": list(
            profiles.order_by("category").values_list("category", flat=True).distinct()[:CHOICES_MAX]
        ),
        "carriers": list(Carrier.objects.order_by("code").values_list("code", flat=True)[:CHOICES_MAX]),
    }  # fmt: skip
