"""The tables of rating in the admin. Decks have pages of their own; versions are moved by acts, never edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin
from rating.admin.decks import DeckAdmin, DeckImportAdmin, DeckVersionAdmin
from rating.admin.numbers import CalendarDayAdmin, CarrierAdmin, NumberSegmentAdmin, SelectionPrefixAdmin
from rating.admin.rates import RATE_READERS, RATE_WRITERS, RateAdmin, TimeBandAdmin
from rating.importing.plan_decks import LIVE
from rating.models import (
    CalendarDay,
    Carrier,
    Deck,
    DeckImport,
    DeckVersion,
    NumberSegment,
    Rate,
    SelectionPrefix,
    TariffPlan,
    TariffProfile,
    TimeBand,
)

admin.site.register(Deck, DeckAdmin)
admin.site.register(DeckVersion, DeckVersionAdmin)
admin.site.register(DeckImport, DeckImportAdmin)
admin.site.register(Rate, RateAdmin)
admin.site.register(TimeBand, TimeBandAdmin)
admin.site.register(CalendarDay, CalendarDayAdmin)
admin.site.register(Carrier, CarrierAdmin)
admin.site.register(NumberSegment, NumberSegmentAdmin)
admin.site.register(SelectionPrefix, SelectionPrefixAdmin)


@admin.register(TariffProfile)
class TariffProfileAdmin(RoleAdmin):
    """Assignments of the live plans are written here; those of another plan come with its folder and are only seen."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("tenant", "category", "subject", "family", "active_from", "fallback_subjects", "plan")
    list_filter = ("plan", "tenant", "category")
    search_fields = ("=subject", "=family")
    ordering = ("-id",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.plan in LIVE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.plan in LIVE)


@admin.register(TariffPlan)
class TariffPlanAdmin(ReadOnlyAdmin):
    """Plans that came as folders; what changes them is the next folder."""

    readers = RATE_READERS | RATE_WRITERS
    list_display = ("code", "currency", "zone", "counts", "applied_at", "applied_by")
    search_fields = ("code",)
    ordering = ("code",)
