"""Decks and their versions in the admin: the list, the addresses of the decks' own pages, the acts on versions."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timesince import timeuntil
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin
from billing_platform.auth import caller_of_request
from billing_platform.errors import NotFound
from rating.admin.acts import Act, Done, act_page, detail_action
from rating.admin.edits import edit_page
from rating.admin.forms import ReasonForm
from rating.admin.imports import IMPORT_PAGES
from rating.admin.pages import (
    STANDINGS,
    compare_page,
    deck_name,
    deck_page,
    export_file,
    figures_part,
    findings_page,
    may_decide,
    may_write,
)
from rating.admin.publish import (
    approving,
    cloning,
    deck_address,
    declining,
    discarding,
    publishing,
    reverting,
    withdrawing,
)
from rating.admin.rates import RATE_READERS, RATE_WRITERS, refuse_published
from rating.deck_pages import acts_now, with_versions
from rating.decks import in_force_first, open_draft, standing
from rating.models import Deck, DeckImport, DeckVersion

State = DeckVersion.State
HEAD = ("currency", "zone", "numbering", "rounding", "decimals")


class DeckList(ChangeList):
    """The list leads to the decks' own pages, not to the form of their names."""

    def url_for_result(self, result: Model) -> str:
        return deck_address(result.pk)


class DeckAdmin(RoleAdmin):
    """Decks; their head is fixed once a version is published."""

    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("code", "name", "purpose", "family", "carrier", "currency", "live", "upcoming", "row_count")
    list_filter = ("purpose", "currency", "carrier")
    list_select_related = ("carrier",)
    search_fields = ("code", "name_zh", "name_en", "family")
    autocomplete_fields = ("carrier",)
    actions_detail = ("show_page", "edit_rates", "clone", "show_versions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deck]:
        return with_versions(Deck.objects.all(), clock.now())

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DeckList

    def get_urls(self) -> list[URLPattern]:
        pages: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (
            ("<int:deck_id>/", "page", deck_page),
            ("<int:deck_id>/edit/", "edit", edit_page),
            ("<int:deck_id>/compare/", "compare", compare_page),
            *IMPORT_PAGES,
        )
        own = [path(route, self.admin_site.admin_view(view), name=f"rating_deck_{name}") for route, name, view in pages]
        return [*own, *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Deck | None = None) -> tuple[str, ...]:
        published = obj is not None and DeckVersion.objects.filter(deck=obj, state=State.PUBLISHED).exists()
        return ("code", *HEAD) if published else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a deck that ever priced a call stays

    @admin.display(description=_("name"))
    def name(self, deck: Deck) -> str:
        return deck_name(deck)

    @admin.display(description=_("in force"))
    def live(self, deck: Any) -> str:
        return f"v{deck.live_number}" if deck.live_number else "–"

    @admin.display(description=_("next"))
    def upcoming(self, deck: Any) -> str:
        if deck.next_from is None:
            return "–"
        at = deck.next_from.astimezone(ZoneInfo(deck.zone))
        left = timeuntil(deck.next_from, clock.now())
        return format_html("v{} · {} <small>({})</small>", deck.next_number, f"{at:%Y-%m-%d %H:%M}", left)

    @admin.display(description=_("rows"))
    def row_count(self, deck: Any) -> int | None:
        rows: int | None = deck.live_rows
        return rows

    @detail_action(_("The deck's page"), path="show", permission="view")
    def show_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:rating_deck_page", args=[object_id]))

    @detail_action(_("Edit rates"), path="edit-rates", permission="change")
    def edit_rates(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deck = _deck(object_id)
        caller = caller_of_request(request)

        def run(cleaned: Any) -> Done:
            return Done(rates_address(open_draft(deck, caller=caller, reason=cleaned["reason"]).pk))

        consequence = _("Opens a draft with the rates of the latest version. Prices change only when it is published.")
        act = Act(_("Edit rates"), deck.code, consequence, ReasonForm, run, deck=deck)
        return act_page(request, act, allowed=self.has_change_permission(request))

    @detail_action(_("Clone"), path="clone", permission="change")
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        deck = _deck(object_id)
        return act_page(request, cloning(request, deck), allowed=self.has_change_permission(request))

    @detail_action(_("Versions"), path="versions", permission="view")
    def show_versions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        versions = reverse("admin:rating_deckversion_changelist")
        return HttpResponseRedirect(f"{versions}?{urlencode({'deck__id__exact': object_id})}")


class DeckVersionAdmin(ReadOnlyAdmin):
    """The timeline of all decks; a version is moved by its acts, never edited."""

    readers, writers = RATE_READERS | RATE_WRITERS, RATE_WRITERS
    list_display = ("deck", "number", "standing", "effective_from", "row_count", "published_by", "reason")
    list_filter = ("state", "deck")
    list_select_related = ("deck",)
    search_fields = ("deck__code",)
    ordering = ("-id",)
    actions_detail = ("show_rates", "publish", "approve", "decline", "discard", "withdraw", "revert")

    def get_urls(self) -> list[URLPattern]:
        pages: tuple[tuple[str, Callable[..., HttpResponse]], ...] = (
            ("figures", figures_part),
            ("findings", findings_page),
            ("export", export_file),
        )
        own = [
            path(f"<int:version_id>/{name}/", self.admin_site.admin_view(view), name=f"rating_deckversion_{name}")
            for name, view in pages
        ]
        return [*own, *super().get_urls()]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refuse_published(request)
        answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        return answer

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """The buttons of what can be done with this version, as it stands now."""
        open_acts = {f"rating_deckversion_{act}" for act in ("show_rates", *acts_now(_version(object_id), clock.now()))}
        actions: list[Any] = super().get_actions_detail(request, object_id)
        return [action for action in actions if action.action_name in open_acts]

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_write(request)

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_decide(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeckVersion]:
        in_force = in_force_first(DeckVersion.objects.filter(deck=OuterRef("deck")), clock.now())
        return DeckVersion.objects.annotate(in_force_id=Subquery(in_force.values("pk")[:1]))

    @admin.display(description=_("state"))
    def standing(self, version: Any) -> str:
        return str(STANDINGS[standing(version, clock.now(), in_force_id=version.in_force_id)])

    @detail_action(_("Rates"), path="rates", permission="view")
    def show_rates(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(rates_address(int(object_id)))

    @detail_action(_("Publish"), path="publish", permission="act")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._page(request, publishing(request, _version(object_id)))

    @detail_action(_("Approve"), path="approve", permission="decide")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return act_page(request, approving(request, _version(object_id)), allowed=may_decide(request))

    @detail_action(_("Decline"), path="decline", permission="decide")
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return act_page(request, declining(request, _version(object_id)), allowed=may_decide(request))

    @detail_action(_("Discard the draft"), path="discard", permission="act")
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._page(request, discarding(request, _version(object_id)))

    @detail_action(_("Withdraw"), path="withdraw", permission="act")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._page(request, withdrawing(request, _version(object_id)))

    @detail_action(_("Revert to this version"), path="revert", permission="act")
    def revert(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._page(request, reverting(request, _version(object_id)))

    def _page(self, request: HttpRequest, act: Act) -> HttpResponse:
        return act_page(request, act, allowed=may_write(request))


class DeckImportAdmin(ReadOnlyAdmin):
    """The receipts of files."""

    readers = RATE_READERS | RATE_WRITERS
    list_display = (
        "file_name", "deck", "state", "mode", "version_number", "rows_read", "row_errors", "created_at", "created_by",
    )  # fmt: skip
    list_select_related = ("deck", "version")
    ordering = ("-id",)

    @admin.display(description=_("version"))
    def version_number(self, story: DeckImport) -> str:
        return f"v{story.version.number}" if story.version else "–"

    @admin.display(description=_("rows read"))
    def rows_read(self, story: DeckImport) -> int:
        return int(story.counts.get("read", 0))

    @admin.display(description=_("errors"))
    def row_errors(self, story: DeckImport) -> int:
        return int(story.counts.get("error", 0))


def rates_address(version_id: int) -> str:
    """The list of a version's rates."""
    return f"{reverse('admin:rating_rate_changelist')}?{urlencode({'version': version_id})}"


def _version(version_id: str | int) -> DeckVersion:
    version = DeckVersion.objects.select_related("deck__carrier").filter(pk=_number(version_id)).first()
    if version is None:
        raise NotFound
    return version


def _deck(deck_id: str) -> Deck:
    deck = Deck.objects.filter(pk=_number(deck_id)).first()
    if deck is None:
        raise NotFound
    return deck


def _number(text: str | int) -> int:
    if not str(text).isdecimal():
        raise NotFound
    return int(text)
