"""Who serves a number, how it is dialled, and what kind of day a date is, in the admin."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing_platform.admin_rules import RoleAdmin
from billing_platform.auth import caller_of_request
from rating.admin.rates import RATE_READERS, RATE_WRITERS
from rating.calendar import days_that_count
from rating.calendar_edits import BY_HAND, DayEntry, enter_days
from rating.models import CalendarDay, NumberSegment
from rating.numbers.ported import SOURCE as PORTED


class CalendarDayAdmin(RoleAdmin):
    """The days that count now. Saving enters a new revision; what was known before stays stored."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("date", "day_class", "name_zh", "name_en", "provisional", "source", "revision", "created_at")
    list_filter = ("day_class", "provisional")
    date_hierarchy = "date"
    search_fields = ("name_zh", "name_en")
    fields = ("date", "day_class", "name_zh", "name_en", "provisional")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[CalendarDay]:
        return days_that_count()

    def get_readonly_fields(self, request: HttpRequest, obj: CalendarDay | None = None) -> tuple[str, ...]:
        return ("date",) if obj is not None else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a day that was wrong is entered again

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        entry = DayEntry(obj.date, obj.day_class, BY_HAND, obj.name_zh, obj.name_en, obj.provisional)
        enter_days([entry], caller=caller_of_request(request))
        obj.pk = days_that_count().get(country=obj.country, date=obj.date).pk


class CarrierAdmin(RoleAdmin):
    """Telephone companies; a virtual operator names the company whose network it uses."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("code", "name_zh", "name_en", "parent")
    list_select_related = ("parent",)
    search_fields = ("code", "name_zh", "name_en")
    autocomplete_fields = ("parent",)


class SourceFilter(admin.SimpleListFilter):
    """By where a row came from, without reading all rows for their sources."""

    title, parameter_name = _("source"), "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return (
            (PORTED, _("ported numbers")),
            ("phonenumbers", _("shipped")),
            ("supplement", _("supplement")),
            (BY_HAND, _("entered by hand")),
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[NumberSegment]) -> QuerySet[NumberSegment]:
        return queryset.filter(source=self.value()) if self.value() else queryset


class NumberSegmentAdmin(RoleAdmin):
    """Blocks of numbers and ported numbers; a row entered here goes before a shipped one on the same prefix."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("prefix", "carrier", "kind", "city_zh", "source", "confidence", "valid_from", "valid_to")
    list_filter = ("carrier", "confidence", SourceFilter)
    list_select_related = ("carrier",)
    autocomplete_fields = ("carrier",)
    search_fields = ("prefix__startswith",)  # the index on prefix serves it
    ordering = ("-id",)


class SelectionPrefixAdmin(RoleAdmin):
    """Access codes that are cut off in front of complete numbers."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("prefix", "name")
    search_fields = ("prefix__startswith", "name")
