"""Rates in the admin: a deck's live version is copied into a draft, edited there, and published as a new version."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin
from billing_platform.auth import caller_of_request
from rating.admin_acts import Act, act_page, detail_action
from rating.admin_forms import PublishForm, ReasonForm
from rating.admin_rates import RATE_READERS, RATE_WRITERS, RateAdmin, TimeBandAdmin
from rating.decks import (
    Publication,
    discard_draft,
    in_force_first,
    open_draft,
    publish_version,
    revert_deck,
    standing,
    withdraw_version,
)
from rating.imports import compare_versions
from rating.models import (
    CalendarDay,
    Carrier,
    Deck,
    DeckImport,
    DeckVersion,
    NumberSegment,
    Rate,
    TariffProfile,
    TimeBand,
)

State = DeckVersion.State
HEAD = ("currency", "zone", "numbering", "rounding", "decimals")


def rates_address(version_id: int) -> str:
    """The list of a version's rates."""
    return f"{reverse('admin:rating_rate_changelist')}?{urlencode({'version': version_id})}"


def version_address(version_id: int) -> str:
    """The page of a version."""
    return reverse("admin:rating_deckversion_change", args=[version_id])


@admin.register(Deck)
class DeckAdmin(RoleAdmin):
    """Decks; their head is fixed once a version is published. `Edit rates` opens a draft."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("code", "name_zh", "purpose", "family", "carrier", "currency", "numbering", "latest", "row_count")
    list_filter = ("purpose", "currency")
    list_select_related = ("carrier",)
    search_fields = ("code", "name_zh", "family")
    autocomplete_fields = ("carrier",)
    actions_detail = ("edit_rates", "show_versions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deck]:
        published = DeckVersion.objects.filter(deck=OuterRef("pk"), state=State.PUBLISHED).order_by("-number")
        number, rows = (Subquery(published.values(name)[:1]) for name in ("number", "row_count"))
        return Deck.objects.annotate(latest_number=number, latest_rows=rows)

    def get_readonly_fields(self, request: HttpRequest, obj: Deck | None = None) -> tuple[str, ...]:
        published = obj is not None and DeckVersion.objects.filter(deck=obj, state=State.PUBLISHED).exists()
        return ("code", *HEAD) if published else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a deck that ever priced a call stays

    @admin.display(description=_("latest version"))
    def latest(self, deck: Any) -> int | None:
        number: int | None = deck.latest_number
        return number

    @admin.display(description=_("rows"))
    def row_count(self, deck: Any) -> int | None:
        rows: int | None = deck.latest_rows
        return rows

    @detail_action(_("Edit rates"), path="edit-rates", permission="change")
    def edit_rates(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deck = Deck.objects.get(pk=object_id)
        caller = caller_of_request(request)

        def run(cleaned: Any) -> str:
            return rates_address(open_draft(deck, caller=caller, reason=cleaned["reason"]).pk)

        consequence = _("Opens a draft with the rates of the latest version. Prices change only when it is published.")
        act = Act(_("Edit rates"), deck.code, consequence, ReasonForm, run)
        return act_page(request, act, allowed=self.has_change_permission(request))

    @detail_action(_("Versions"), path="versions", permission="view")
    def show_versions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        versions = reverse("admin:rating_deckversion_changelist")
        return HttpResponseRedirect(f"{versions}?{urlencode({'deck__id__exact': object_id})}")


@admin.register(DeckVersion)
class DeckVersionAdmin(ReadOnlyAdmin):
    """The timeline of a deck; a version is moved by its acts, never edited."""

    readers, writers = RATE_READERS | RATE_WRITERS, RATE_WRITERS
    list_display = ("deck", "number", "standing", "effective_from", "row_count", "published_by", "reason")
    list_filter = ("state", "deck")
    list_select_related = ("deck",)
    search_fields = ("deck__code",)
    ordering = ("-id",)
    actions_detail = ("show_rates", "publish", "discard", "withdraw", "revert")

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.writers & caller_of_request(request).roles)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeckVersion]:
        in_force = in_force_first(DeckVersion.objects.filter(deck=OuterRef("deck")), clock.now())
        return DeckVersion.objects.annotate(in_force_id=Subquery(in_force.values("pk")[:1]))

    @admin.display(description=_("state"))
    def standing(self, version: Any) -> str:
        names = {"scheduled": _("scheduled"), "live": _("live"), "superseded": _("superseded")}
        now = standing(version, clock.now(), in_force_id=version.in_force_id)
        return str(names.get(now, version.get_state_display()))

    @detail_action(_("Rates"), path="rates", permission="view")
    def show_rates(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(rates_address(int(object_id)))

    @detail_action(_("Publish"), path="publish", permission="act")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        draft = _version(object_id)
        caller = caller_of_request(request)

        def run(cleaned: Any) -> str:
            publication = Publication(cleaned["effective_from"], cleaned["reason"], cleaned["correction"])
            publish_version(draft.pk, publication=publication, caller=caller)
            return version_address(draft.pk)

        base = DeckVersion.objects.filter(deck=draft.deck, number=draft.base).first()
        counts = compare_versions(base, draft) if base and draft.state == State.DRAFT else {}
        consequence = _("From its effective time on it prices every call. It can never be edited again.")
        act = Act(_("Publish"), str(draft), consequence, PublishForm, run, counts)
        return self._page(request, act)

    @detail_action(_("Discard the draft"), path="discard", permission="act")
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        draft = _version(object_id)

        def run(cleaned: Any) -> str:
            discard_draft(draft.pk, caller=caller_of_request(request))
            return reverse("admin:rating_deckversion_changelist")

        act = Act(_("Discard the draft"), str(draft), _("Its changes are lost."), ReasonForm, run)
        return self._page(request, act)

    @detail_action(_("Withdraw"), path="withdraw", permission="act")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = _version(object_id)

        def run(cleaned: Any) -> str:
            withdraw_version(version.pk, caller=caller_of_request(request), reason=cleaned["reason"])
            return version_address(version.pk)

        consequence = _("The version never takes effect. Possible only before its effective time.")
        return self._page(request, Act(_("Withdraw"), str(version), consequence, ReasonForm, run))

    @detail_action(_("Revert to this version"), path="revert", permission="act")
    def revert(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = _version(object_id)

        def run(cleaned: Any) -> str:
            publication = Publication(cleaned["effective_from"], cleaned["reason"], cleaned["correction"])
            caller = caller_of_request(request)
            receipt = revert_deck(version.deck.code, to=version.number, publication=publication, caller=caller)
            return version_address(receipt.version_id)

        consequence = _("Publishes a new version with exactly this content; nothing is deleted.")
        return self._page(request, Act(_("Revert to this version"), str(version), consequence, PublishForm, run))

    def _page(self, request: HttpRequest, act: Act) -> HttpResponse:
        return act_page(request, act, allowed=self.has_act_permission(request))


def _version(version_id: str | int) -> DeckVersion:
    return DeckVersion.objects.select_related("deck__carrier").get(pk=version_id)


admin.site.register(Rate, RateAdmin)
admin.site.register(TimeBand, TimeBandAdmin)


@admin.register(DeckImport)
class DeckImportAdmin(ReadOnlyAdmin):
    readers = RATE_READERS | RATE_WRITERS
    list_display = ("deck", "file_name", "mode", "version", "created_at", "created_by", "counts")
    list_select_related = ("deck", "version")
    ordering = ("-id",)


@admin.register(CalendarDay)
class CalendarDayAdmin(RoleAdmin):
    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("date", "day_class", "name_zh", "country", "provisional", "source")
    list_filter = ("day_class", "provisional")
    date_hierarchy = "date"
    search_fields = ("name_zh", "name_en")


@admin.register(Carrier)
class CarrierAdmin(RoleAdmin):
    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("code", "name_zh", "name_en", "parent")
    list_select_related = ("parent",)
    search_fields = ("code", "name_zh", "name_en")


@admin.register(NumberSegment)
class NumberSegmentAdmin(RoleAdmin):
    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("prefix", "carrier", "kind", "city_zh", "source", "confidence", "valid_from", "valid_to")
    list_filter = ("carrier", "confidence", "source")
    list_select_related = ("carrier",)
    autocomplete_fields = ("carrier",)
    search_fields = ("^prefix",)
    ordering = ("-id",)


@admin.register(TariffProfile)
class TariffProfileAdmin(RoleAdmin):
    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("tenant", "category", "subject", "family", "active_from", "fallback_subjects", "plan")
    list_filter = ("plan", "tenant", "category")
    search_fields = ("=subject", "=family")
    ordering = ("-id",)
