"""Who uses what at what price, and why a use cost what it cost. Prices and bindings are added, never rewritten."""

from typing import Any

import msgspec
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin, column
from billing_platform.models import Role
from counter.models import (
    AccountBinding,
    AccountService,
    Application,
    DefaultRateNotice,
    Organization,
    ResourceUsage,
    ServiceItem,
    ServicePrice,
    ServiceRecord,
    UnitPack,
)

PLATFORM = frozenset({Role.PLATFORM_ADMIN.value})
PRICES = frozenset({Role.RATE_ADMIN.value, Role.PLATFORM_ADMIN.value})
OFFICE = frozenset({Role.OPS.value, Role.FINANCE.value, Role.RATE_ADMIN.value, Role.PLATFORM_ADMIN.value})


class KeptAdmin(RoleAdmin):
    """Rows that uses were charged by: changed in what is open, never deleted."""

    readers = OFFICE

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Organization)
class OrganizationAdmin(KeptAdmin):
    writers = PLATFORM
    list_display = ("name", "code", "parent", "zone", "created_at")
    list_select_related = ("parent",)
    search_fields = ("name", "code")
    autocomplete_fields = ("parent",)
    readonly_fields = ("created_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("code", "created_at") if obj else ("created_at",)


@admin.register(Application)
class ApplicationAdmin(KeptAdmin):
    writers = PLATFORM
    list_display = ("name", "code")
    search_fields = ("name", "code")


@admin.register(AccountBinding)
class AccountBindingAdmin(KeptAdmin):
    """Which account pays. A binding ends by `valid_until`; the next one is another row."""

    writers = PLATFORM
    list_display = ("organization", "application", "account", "valid_from", "valid_until")
    list_select_related = ("organization", "application", "account")
    search_fields = ("=organization__code", "=account__accno")
    autocomplete_fields = ("organization", "application")
    raw_id_fields = ("account",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("organization", "application", "account", "valid_from") if obj else ()


class PriceInline(TabularInline):
    """The price versions: what a use was charged by stays; a new price is a new row with its instant."""

    model = ServicePrice
    extra = 0
    ordering = ("effective_from",)
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(admin.site.get_model_admin(ServiceItem).has_view_permission(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(admin.site.get_model_admin(ServiceItem).has_change_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ServiceItem)
class ServiceItemAdmin(KeptAdmin):
    writers = PRICES
    list_display = ("name", "label", "mode", "legs", "currency", "enabled", "is_application")
    list_filter = ("mode", "enabled", "is_application")
    search_fields = ("name", "label")
    inlines = (PriceInline,)
    readonly_fields = ("created_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("label", "mode", "currency", "created_at") if obj else ("created_at",)


@admin.register(AccountService)
class AccountServiceAdmin(KeptAdmin):
    """Openings; orders make most of them."""

    writers = PRICES
    list_display = ("account", "item", "opened_at", "closed_at", "price", "quota", "limits")
    list_select_related = ("account", "item")
    list_filter = ("item",)
    search_fields = ("=account__accno", "=item__label")
    autocomplete_fields = ("item",)
    raw_id_fields = ("account",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("account", "item", "opened_at", "price") if obj else ()


@admin.register(UnitPack)
class UnitPackAdmin(ReadOnlyAdmin):
    readers = OFFICE
    list_display = ("account", "meter", "unit", "granted", "remaining", "reserved", "valid_from", "valid_to", "source")
    list_select_related = ("account",)
    search_fields = ("=account__accno", "=source")
    ordering = ("-id",)


@admin.register(ResourceUsage)
class ResourceUsageAdmin(ReadOnlyAdmin):
    readers = OFFICE
    list_display = ("account", "item", "usage")
    list_select_related = ("account", "item")
    search_fields = ("=account__accno",)


@admin.register(DefaultRateNotice)
class DefaultRateNoticeAdmin(ReadOnlyAdmin):
    readers = OFFICE
    list_display = ("day", "organization", "accno", "head", "uses")
    search_fields = ("=accno", "=organization")
    ordering = ("-day", "-uses")


@admin.register(ServiceRecord)
class ServiceRecordAdmin(ReadOnlyAdmin):
    """Every use: its key, its times, its cost and the sum that led to it."""

    readers = OFFICE
    list_display = (
        "providerno",
        column("item", _("service item")),
        column("account", _("account")),
        "state",
        "start_at",
        "charged_count",
        "cost",
        "currency",
        "warnings",
    )
    list_select_related = ("item", "account")
    list_filter = ("state", "item")
    search_fields = ("=providerno", "=record_ref", "=account__accno")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("providerno", "item", "account", "organization", "application", "summary", "state")}),
        (_("Use"), {
            "fields": ("start_at", "finish_at", "count", "record_ref", "created_at", "ended_at", "expires_at")
        }),
        (_("Charge"), {
            "fields": (
                "cost", "currency", "charged_count", "charged_seconds", "pack_units", "deck_version", "warnings",
                "estimated", "refusal", "transfer_id", "why",
            )
        }),
    )  # fmt: skip

    @admin.display(description=_("explanation"))
    def why(self, record: ServiceRecord) -> SafeString | str:
        return rendered(msgspec.json.decode(record.explanation)) if record.explanation else "-"


def rendered(value: object) -> SafeString:
    """JSON as nested lists of names and values; its depth is that of our own explanations."""
    if isinstance(value, dict):
        rows = ((name, rendered(member)) for name, member in value.items())
        return format_html("<dl>{}</dl>", format_html_join("", "<dt><strong>{}</strong></dt><dd>{}</dd>", rows))
    if isinstance(value, list):
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}</li>", ((rendered(one),) for one in value)))
    return format_html("{}", "-" if value in {None, ""} else value)
