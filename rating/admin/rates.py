"""The rates of a version in the admin: seen when published, edited while it is a draft."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from billing_platform.admin_rules import RoleAdmin, RoleSet
from billing_platform.auth import caller_of_request
from billing_platform.models import Role
from rating.admin.forms import BandForm, RateForm
from rating.decks import end_rates, remove_rates
from rating.errors import NotADraft
from rating.formats.text import number_text
from rating.models import DeckVersion, Rate, TimeBand
from rating.versions import rates_of

RATE_WRITERS: RoleSet = frozenset({Role.RATE_ADMIN.value, Role.PLATFORM_ADMIN.value})
RATE_READERS: RoleSet = frozenset({Role.OPS.value, Role.FINANCE.value})
State = DeckVersion.State
PRICE_FIELDS = ("rate", "rate_unit", "first_rate", "first_increment", "next_increment", "connect_fee")
SELECTOR_FIELDS = ("carrier", "reach", "kind", "band", "priority", "effective_from", "effective_to")
_PREFIX_SIGNS = str.maketrans("", "", ".+*#")
TERM_FIELDS = ("tiers", "free_kind", "free_seconds", "min_charge", "cap", "cap_kind", "rounding", "decimals")


def version_of_request(request: HttpRequest) -> DeckVersion | None:
    """The version whose rates are looked at: `?version=`, also when it is wrapped in the filters that are kept."""
    if not hasattr(request, "_rating_version"):
        request._rating_version = _read_version(request)  # type: ignore[attr-defined]  # one reading a request
    found: DeckVersion | None = request._rating_version  # type: ignore[attr-defined]
    return found


def _read_version(request: HttpRequest) -> DeckVersion | None:
    kept = parse_qs(request.GET.get("_changelist_filters", "")).get("version", [""])[0]
    named = request.GET.get("version", kept)
    if not (named.isascii() and named.isdigit() and len(named) < 18):
        return None
    return DeckVersion.objects.select_related("deck__carrier").filter(pk=int(named)).first()


class VersionFilter(admin.SimpleListFilter):
    """Which version is looked at; the queryset itself is chosen by the admin."""

    title, parameter_name = _("deck version"), "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = DeckVersion.objects.exclude(state=State.DISCARDED).select_related("deck").order_by("-id")[:20]
        return [(str(one.pk), f"{one.deck.code} v{one.number} {one.get_state_display()}") for one in recent]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class RateAdmin(RoleAdmin):
    """The rates of one version. Those of a draft can be added, changed and deleted; published ones are only seen.

    Changing an inherited row puts a copy into the draft and ends the original with it.
    """

    form = RateForm
    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = (
        "prefix", "destination", "band", "carrier", "rate", "increments", "connect_fee", "blocked", "enabled", "deck",
    )  # fmt: skip
    list_display_links = ("prefix", "destination")
    list_filter = (VersionFilter,)
    list_select_related = ("deck",)
    search_fields = ("key",)  # what is searched, get_search_results says
    search_help_text = _("prefix as dialled, key, or destination")
    ordering = ("deck_id", "key", "id")  # an index; the deck's own order would be a sort of all rows
    fieldsets = (
        (None, {"fields": ("prefix", "destination", "enabled", "blocked")}),
        (_("Price"), {"fields": PRICE_FIELDS}),
        (_("Which calls"), {"fields": SELECTOR_FIELDS}),
        (_("Special terms"), {"fields": TERM_FIELDS}),
        (_("Notes"), {"fields": ("cost_rate", "comment")}),
    )

    @admin.display(description=_("increments"), ordering="first_increment")
    def increments(self, rate: Rate) -> str:
        return f"{number_text(rate.first_increment)}/{number_text(rate.next_increment)}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rate]:
        version = version_of_request(request)
        return Rate.objects.filter(valid_to_version__isnull=True) if version is None else rates_of(version)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if _draft_of(request) is None:
            refuse_published(request)
        answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        return answer

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if _draft_of(request) is None:
            refuse_published(request)
        answer: HttpResponse = super().delete_view(request, *args, **kwargs)
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Rate], search_term: str
    ) -> tuple[QuerySet[Rate], bool]:
        """Digits are the beginning of a prefix, anything else that of a destination."""
        asked = search_term.strip()
        if not asked:
            return queryset, False
        if not asked.translate(_PREFIX_SIGNS).isdigit():
            return queryset.filter(destination__istartswith=asked), False
        begins = Q(key__startswith=asked) | Q(prefix__startswith=asked)
        return queryset.filter(begins), False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  Django's signature
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"draft": _draft_of(request)})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and _draft_of(request) is not None

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and _draft_of(request) is not None

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _draft_of(request) is not None

    def save_model(self, request: HttpRequest, obj: Rate, form: Any, change: Any) -> None:
        draft = _draft_of(request)  # Django's form page is one transaction: the copy and the end of the original
        assert draft is not None  # the permissions above
        if change and obj.valid_from_version != draft.number:
            end_rates(draft, [obj.pk])
            obj.pk, obj.valid_to_version = None, None
            obj._state.adding = True
        obj.deck, obj.valid_from_version = draft.deck, draft.number
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Rate) -> None:
        self._remove(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Rate]) -> None:
        self._remove(request, queryset)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        return [str(rate) for rate in objs[:100]], {}, set(), []

    def _remove(self, request: HttpRequest, rates: Iterable[Rate]) -> None:
        draft = _draft_of(request)
        assert draft is not None  # the permissions above
        remove_rates(draft, rates, caller=caller_of_request(request))


def refuse_published(request: HttpRequest) -> None:
    """What is published is never edited, whatever form was sent. Raises NotADraft for a writer's POST."""
    if request.method == "POST" and RATE_WRITERS & caller_of_request(request).roles:
        raise NotADraft


def _draft_of(request: HttpRequest) -> DeckVersion | None:
    version = version_of_request(request)
    return version if version is not None and version.state == State.DRAFT else None


class TimeBandAdmin(RoleAdmin):
    """Bands of drafts can be edited; published ones are only seen."""

    form = BandForm
    readers, writers = RATE_READERS, RATE_WRITERS
    list_display = ("name", "version", "classes", "weekdays", "start", "end", "priority")
    list_select_related = ("version__deck",)
    autocomplete_fields = ("version",)
    search_fields = ("name",)
    ordering = ("-version", "name")

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if object_id and TimeBand.objects.filter(pk=object_id).exclude(version__state=State.DRAFT).exists():
            refuse_published(request)
        answer: HttpResponse = super().changeform_view(request, object_id, *args, **kwargs)
        return answer

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.version.state == State.DRAFT)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.version.state == State.DRAFT)
