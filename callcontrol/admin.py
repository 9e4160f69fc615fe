"""Administration of calls: agents, numbers, lists, hours, policies, platforms; calls themselves are only seen."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin
from billing_platform.logs import masked_number
from billing_platform.models import Role
from billing_platform.webhooks import opened_secret
from callcontrol import numbers
from callcontrol.models import (
    Agent,
    BusinessHours,
    Callback,
    CallbackEvent,
    DisplayNumber,
    GatePolicy,
    NumberListEntry,
    PendingUse,
    PlatformAccount,
)
from callcontrol.platforms import ADAPTERS, sealed_credentials

OFFICE = frozenset({Role.OPS.value, Role.PLATFORM_ADMIN.value})
PLATFORM = frozenset({Role.PLATFORM_ADMIN.value})


class NumberForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A row with a number keeps its normalised key beside it."""

    def clean_number(self) -> str:
        typed: str = self.cleaned_data["number"]
        self.instance.key = self.key_of(typed)
        if not self.instance.key:
            raise ValidationError(_("This is not a telephone number."))
        return typed

    def key_of(self, typed: str) -> str:
        return numbers.read(typed).key


class DisplayNumberForm(NumberForm):
    def key_of(self, typed: str) -> str:
        return numbers.display_key(typed)


class ListEntryForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """An exact number may be typed in any way; a prefix is written in international form."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed = cleaned.get("key", "")
        if cleaned.get("match") == NumberListEntry.Match.EXACT:
            cleaned["key"] = numbers.read(typed).key
        if not cleaned.get("key", "").replace(".", "").isdigit():
            raise ValidationError({"key": _("This is not a telephone number.")})
        return cleaned


class PlatformForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Credentials go in and never come out: an empty field leaves what is stored."""

    adapter = forms.ChoiceField(label=_("adapter"), choices=[(name, name) for name in ADAPTERS])
    key = forms.CharField(label=_("key id"), required=False)
    secret = forms.CharField(label=_("secret"), required=False, widget=forms.PasswordInput(render_value=False))

    class Meta:
        model = PlatformAccount
        fields = ("code", "adapter", "organization", "base_url", "hook_base", "priority", "enabled", "max_seconds")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        stored = json.loads(opened_secret(bytes(self.instance.credentials))) if self.instance.pk else {}
        given = {name: cleaned[name] for name in ("key", "secret") if cleaned.get(name)}
        if not {"key", "secret"} <= {*stored, *given}:
            raise ValidationError(_("A new platform account needs a key id and a secret."))
        self.instance.credentials = sealed_credentials(stored | given)
        return cleaned


@admin.register(Agent)
class AgentAdmin(RoleAdmin):
    form = NumberForm
    writers = OFFICE
    list_display = ("number", "user", "organization", "created_at")
    list_select_related = ("user",)
    search_fields = ("number", "organization", "user__username")
    autocomplete_fields = ("user",)
    fields = ("organization", "user", "number")


@admin.register(DisplayNumber)
class DisplayNumberAdmin(RoleAdmin):
    form = DisplayNumberForm
    writers = OFFICE
    list_display = ("number", "organization", "verified_at", "is_default")
    search_fields = ("number", "organization")
    fields = ("organization", "number", "is_default", "verified_at")
    readonly_fields = ("verified_at",)
    actions = ("verify",)

    @admin.action(description=_("Ownership was verified"))
    def verify(self, request: HttpRequest, rows: QuerySet[DisplayNumber]) -> None:
        for row in rows.filter(verified_at__isnull=True):
            DisplayNumber.objects.filter(pk=row.pk).update(verified_at=clock.now())
            self.note(request, "verify", row)


@admin.register(NumberListEntry)
class NumberListEntryAdmin(RoleAdmin):
    form = ListEntryForm
    writers = OFFICE
    list_display = ("key", "kind", "match", "organization", "note", "created_at")
    list_filter = ("kind", "match")
    search_fields = ("key", "organization")
    fields = ("organization", "kind", "match", "key", "note")


@admin.register(BusinessHours)
class BusinessHoursAdmin(RoleAdmin):
    writers = OFFICE
    list_display = ("organization", "day", "opens", "closes")
    list_filter = ("day",)
    search_fields = ("organization",)


@admin.register(GatePolicy)
class GatePolicyAdmin(RoleAdmin):
    writers = PLATFORM
    list_display = ("organization", "policy", "live_calls_max", "live_calls_per_agent", "unchecked_since")
    list_filter = ("policy",)
    search_fields = ("organization",)
    readonly_fields = ("unchecked_since", "unchecked_calls", "unchecked_amount")


@admin.register(PlatformAccount)
class PlatformAccountAdmin(RoleAdmin):
    form = PlatformForm
    writers = PLATFORM
    list_display = ("code", "adapter", "organization", "base_url", "priority", "enabled")
    search_fields = ("code",)


class EventsInline(admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    model = CallbackEvent
    fields = readonly_fields = ("state", "source", "raised", "detail", "at", "received_at")
    extra = max_num = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


@admin.register(Callback)
class CallbackAdmin(ReadOnlyAdmin):
    readers = OFFICE
    list_display = (
        "reference", "organization", "customer", "state", "refusal", "review", "provider", "cost", "created_at",
    )  # fmt: skip
    list_filter = ("state", "review", "provider", "granted_unchecked")
    search_fields = ("reference", "provider_call_id", "organization")
    exclude = ("customer_number", "customer_key", "request_key", "unchecked_policy_id")
    inlines = (EventsInline,)

    @admin.display(description=_("customer's number"))
    def customer(self, call: Callback) -> str:
        return masked_number(call.customer_number)


@admin.register(PendingUse)
class PendingUseAdmin(ReadOnlyAdmin):
    readers = OFFICE
    list_display = ("reference", "action", "organization", "state", "attempts", "next_attempt_at", "last_error")
    list_filter = ("state", "action")
    search_fields = ("reference", "organization")
    actions = ("send_again",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.action(description=_("Send again"))
    def send_again(self, request: HttpRequest, rows: QuerySet[PendingUse]) -> None:
        """What a person has put right goes back into the queue."""
        for row in rows.filter(state=PendingUse.State.REVIEW):
            PendingUse.objects.filter(pk=row.pk, state=PendingUse.State.REVIEW).update(
                state=PendingUse.State.PENDING, next_attempt_at=clock.now()
            )
            self.note(request, "send_again", row)
