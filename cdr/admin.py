"""Admin of call records: everything is read only but providers, filter rules and the review list."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from billing_platform.admin import issued
from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin
from billing_platform.auth import caller_of_request, is_network
from billing_platform.models import Role
from cdr.filters import RULES
from cdr.models import CallRecord, FilterRule, OpenDelivery, Provider, ReviewItem
from cdr.providers import forget_providers, rotate_secret, rotate_token
from cdr.reviewing import finish_review
from cdr.rules import forget_rules

OPERATORS = frozenset({Role.OPS.value, Role.PLATFORM_ADMIN.value})
READERS = frozenset({Role.OPS.value, Role.FINANCE.value, Role.PLATFORM_ADMIN.value})
ROTATION = timedelta(hours=24)  # the old token or secret stays valid


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    class Meta:
        model = Provider
        fields = (
            "code", "platform", "organization", "zone", "enabled", "key_name", "networks", "acknowledgement",
        )  # fmt: skip

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"])
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValidationError(_("There is no such time zone.")) from None
        return zone

    def clean_networks(self) -> list[str]:
        networks: list[str] = self.cleaned_data["networks"] or []
        wrong = [network for network in networks if not is_network(network)]
        if wrong:
            raise ValidationError(_("Not a network: %(wrong)s"), params={"wrong": ", ".join(wrong)})
        return networks


@admin.register(Provider)
class ProviderAdmin(RoleAdmin):
    """Who may report calls. Tokens and secrets are made here, shown once, and rotated with an overlap of a day."""

    form = ProviderForm
    readers, writers = READERS, OPERATORS
    list_display = ("code", "platform", "organization", "zone", "enabled")
    list_filter = ("platform", "enabled")
    search_fields = ("code", "organization")
    readonly_fields = ("previous_token_until", "previous_secret_until", "created_at")
    actions = ("new_token", "new_secret")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # records name it for ever

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        forget_providers()

    @admin.action(description=_("New hook token; the old one stays valid for 24 hours"), permissions=["change"])
    def new_token(self, request: HttpRequest, queryset: "QuerySet[Provider]") -> HttpResponse | None:
        provider = self._one(request, queryset)
        if provider is None:
            return None
        token = rotate_token(provider.pk, overlap=ROTATION, caller=caller_of_request(request))
        return issued(request, title=_("The new hook token"), name=provider.code, secret=token)

    @admin.action(description=_("New signing secret; the old one stays valid for 24 hours"), permissions=["change"])
    def new_secret(self, request: HttpRequest, queryset: "QuerySet[Provider]") -> HttpResponse | None:
        provider = self._one(request, queryset)
        if provider is None:
            return None
        secret = rotate_secret(provider.pk, overlap=ROTATION, caller=caller_of_request(request))
        return issued(request, title=_("The new signing secret"), name=provider.code, secret=secret)

    def _one(self, request: HttpRequest, queryset: "QuerySet[Provider]") -> Provider | None:
        providers = list(queryset.exclude(platform=Provider.Platform.NATIVE)[:2])
        if len(providers) != 1:
            self.message_user(request, _("Choose exactly one provider with a webhook."), messages.WARNING)
            return None
        return providers[0]


@admin.register(FilterRule)
class FilterRuleAdmin(RoleAdmin):
    """The chain of filters; each change of parameters is a new version, and decisions name it."""

    readers, writers = READERS, OPERATORS
    list_display = ("code", "position", "parameters", "version", "enabled")
    readonly_fields = ("version",)
    ordering = ("position",)

    def get_readonly_fields(self, request: HttpRequest, obj: FilterRule | None = None) -> tuple[str, ...]:
        return ("version", "code") if obj else ("version",)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if "code" in form.base_fields:
            form.base_fields["code"].validators.append(_check_rule)
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if change and "parameters" in form.changed_data:
            obj.version += 1
        super().save_model(request, obj, form, change)
        forget_rules()


def _check_rule(code: str) -> None:
    if code not in RULES:
        raise ValidationError(_("There is no such rule; there are %(rules)s."), params={"rules": ", ".join(RULES)})


@admin.register(CallRecord)
class CallRecordAdmin(ReadOnlyAdmin):
    """Call records, latest first."""

    readers = READERS
    list_display = (
        "id", "start_time", "organization", "caller", "called", "billable_seconds", "state", "rule", "cost", "currency",
    )  # fmt: skip
    list_filter = ("state", "call_type")
    search_fields = ("=called", "=organization")
    ordering = ("-start_time",)


@admin.register(OpenDelivery)
class OpenDeliveryAdmin(ReadOnlyAdmin):
    """Deliveries whose records are not written yet: usually none."""

    readers = READERS
    list_display = ("delivery_id", "received_at", "due_at", "attempts")


@admin.register(ReviewItem)
class ReviewItemAdmin(ReadOnlyAdmin):
    """What a person must decide."""

    readers = READERS
    list_display = ("created_at", "kind", "subject", "organization", "detail", "state")
    list_filter = ("state", "kind")
    search_fields = ("=subject", "=organization")
    ordering = ("-created_at",)
    actions = ("mark_done",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return RoleAdmin.has_change_permission(_operators, request)

    @admin.action(description=_("Done"), permissions=["operate"])
    def mark_done(self, request: HttpRequest, queryset: "QuerySet[ReviewItem]") -> None:
        for item_id in list(queryset.values_list("pk", flat=True)[:200]):
            finish_review(item_id, caller=caller_of_request(request))
        self.message_user(request, _("Done."), messages.SUCCESS)


_operators = ProviderAdmin(Provider, admin.site)
