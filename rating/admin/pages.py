"""A deck's pages in the admin: its face and timeline, two versions side by side, what the check found, the file."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.admin_rules import RoleSet
from billing_platform.answers import CSV, XLSX, asked_format, rows_file, sent_file
from billing_platform.auth import caller_of_request
from billing_platform.errors import NotFound
from billing_platform.models import Role
from billing_platform.paging import page_request
from rating import comparisons, deck_pages
from rating.admin.acts import COUNT_NAMES
from rating.admin.rates import RATE_READERS, RATE_WRITERS
from rating.downloads import difference_rows
from rating.formats import native
from rating.formats.workbook_writing import deck_workbook
from rating.models import Deck, DeckVersion
from rating.versions import bands_of, export_head, exported_rates

READERS: RoleSet = RATE_READERS | RATE_WRITERS | {Role.AUDITOR.value}
DECIDERS: RoleSet = RATE_WRITERS | {Role.FINANCE.value}
STANDINGS: Mapping[str, Any] = {
    "draft": gettext_lazy("draft"),
    "proposed": gettext_lazy("waits for a second person"),
    "scheduled": gettext_lazy("scheduled"),
    "live": gettext_lazy("live"),
    "superseded": gettext_lazy("superseded"),
    "withdrawn": gettext_lazy("withdrawn"),
    "discarded": gettext_lazy("discarded"),
}
ACT_NAMES: Mapping[str, Any] = {
    "publish": gettext_lazy("Publish"),
    "discard": gettext_lazy("Discard"),
    "approve": gettext_lazy("Approve"),
    "decline": gettext_lazy("Decline"),
    "withdraw": gettext_lazy("Withdraw"),
    "revert": gettext_lazy("Revert to it"),
}


def deck_page(request: HttpRequest, deck_id: int) -> HttpResponse:
    """S3: one deck."""
    deck, at = read_deck(request, deck_id), clock.now()
    face = deck_pages.face_of(deck, at)
    page = deck_pages.timeline(deck, page_request(request.GET, view=deck_pages.VIEW), at)
    context = {
        "face": face,
        "lines": [_line(request, line) for line in page.items],
        "older": page.next_cursor,
        "choices": deck_pages.comparable(deck),
        "actions": deck_actions(deck) if may_write(request) else [],
        "now": at,
    }
    return deck_answer(request, "deck_page", deck, context)


def deck_actions(deck: Deck) -> list[tuple[str, Any, str]]:
    """(test id, label, address) of what a writer may start from the deck's page."""
    return [
        ("import", _("Import a file"), reverse("admin:rating_deck_import", args=[deck.pk])),
        ("edit", _("Bulk edit"), reverse("admin:rating_deck_edit", args=[deck.pk])),
        ("draft", _("Open a draft"), reverse("admin:rating_deck_edit_rates", args=[deck.pk])),
        ("clone", _("Clone"), reverse("admin:rating_deck_clone", args=[deck.pk])),
        ("head", _("Name and notice"), reverse("admin:rating_deck_change", args=[deck.pk])),
    ]


def figures_part(request: HttpRequest, version_id: int) -> HttpResponse:
    """The cards that take seconds on large decks, fetched by the page after it is shown."""
    version = read_version(request, version_id)
    context = {"version": version, "figures": deck_pages.figures_of(version)}
    return TemplateResponse(request, "admin/rating/_figures.html", context)


def findings_page(request: HttpRequest, version_id: int) -> HttpResponse:
    """What the check found in a version."""
    version = read_version(request, version_id)
    findings = deck_pages.figures_of(version).findings
    code = request.GET.get("code", "")
    shown = [finding for finding in findings.items if code in ("", finding.code)]
    return deck_answer(
        request, "deck_findings", version.deck, {"version": version, "findings": findings, "shown": shown, "code": code}
    )


def compare_page(request: HttpRequest, deck_id: int) -> HttpResponse:
    """Two versions: the counts of `deck_diff`, and the rows that differ."""
    deck = read_deck(request, deck_id)
    before, after = (_numbered(deck, request.GET.get(name, "")) for name in ("a", "b"))
    changes = comparisons.compare(before, after)
    filled = next((name for name in comparisons.TABS if changes.counts[name]), "raised")
    tab = request.GET.get("tab", filled)
    if tab not in comparisons.TABS:
        raise NotFound
    kind = asked_format(request)
    if kind:
        name = f"{deck.code}-v{before.number}-v{after.number}-{tab}"
        return rows_file(difference_rows(before, after, tab=comparisons.TABS[tab]), name=name, kind=kind)
    asked = page_request(request.GET, view=comparisons.VIEW)
    page = comparisons.differences(before, after, tab=tab, asked=asked)
    pair = {"a": before.number, "b": after.number}
    context = {
        "before": before,
        "after": after,
        "changes": changes,
        "tab": tab,
        "tabs": [(name, COUNT_NAMES[name], changes.counts[name], _query(pair, tab=name)) for name in comparisons.TABS],
        "rows": page.items,
        "more": _query(pair, tab=tab, cursor=page.next_cursor) if page.next_cursor else "",
        "files": [(kind, _query(pair, tab=tab, format=kind)) for kind in (CSV, XLSX)],
        "choices": deck_pages.comparable(deck),
    }
    return deck_answer(request, "deck_compare", deck, context)


def export_file(request: HttpRequest, version_id: int) -> HttpResponse:
    """The version as a native file, the same bytes as `deck_export` writes, or as a workbook."""
    version, kind = read_version(request, version_id), asked_format(request, otherwise=CSV)
    render = deck_workbook if kind == XLSX else native.render
    content = render(export_head(version), bands=bands_of(version), rates=exported_rates(version))
    return sent_file(content, name=f"{version.deck.code}-v{version.number}", kind=kind)


def read_deck(request: HttpRequest, deck_id: int) -> Deck:
    """The deck, for somebody who may look at decks. Raises PermissionDenied, NotFound."""
    check_reader(request)
    deck = Deck.objects.select_related("carrier").filter(pk=deck_id).first()
    if deck is None:
        raise NotFound
    return deck


def read_version(request: HttpRequest, version_id: int) -> DeckVersion:
    """The version, for somebody who may look at decks. Raises PermissionDenied, NotFound."""
    check_reader(request)
    version = DeckVersion.objects.select_related("deck__carrier").filter(pk=version_id).first()
    if version is None:
        raise NotFound
    return version


def check_reader(request: HttpRequest) -> None:
    """Raises PermissionDenied for everybody else."""
    if not READERS & caller_of_request(request).roles:
        raise PermissionDenied


def check_writer(request: HttpRequest) -> None:
    """Raises PermissionDenied for everybody else."""
    if not may_write(request):
        raise PermissionDenied


def may_write(request: HttpRequest) -> bool:
    """May this person change decks?"""
    return bool(RATE_WRITERS & caller_of_request(request).roles)


def may_decide(request: HttpRequest) -> bool:
    """May this person be the second one for a proposal? Which proposals, the room decides."""
    return bool(DECIDERS & caller_of_request(request).roles)


def deck_answer(
    request: HttpRequest, template: str, deck: Deck, context: Mapping[str, Any], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    """A page about a deck, with the frame of the admin around it."""
    shared = {
        **admin.site.each_context(request),
        "title": _("Rate deck"),
        "deck": deck,
        "deck_name": deck_name(deck),
        "zone": ZoneInfo(deck.zone),
        "may_write": may_write(request),
    }
    return TemplateResponse(request, f"admin/rating/{template}.html", {**shared, **context}, status=status)


def deck_name(deck: Deck) -> str:
    """The deck's name in the language in use, else the other one."""
    if (get_language() or "").startswith("zh"):
        return deck.name_zh or deck.name_en
    return deck.name_en or deck.name_zh


def _line(request: HttpRequest, line: deck_pages.VersionLine) -> dict[str, Any]:
    """A version of the timeline with the acts that are open to this person."""
    version = line.version
    allowed = {"approve": may_decide(request), "decline": may_decide(request)}
    acts = [
        (act, ACT_NAMES[act], reverse(f"admin:rating_deckversion_{act}", args=[version.pk]))
        for act in line.acts
        if allowed.get(act, may_write(request))
    ]
    return {
        "version": version,
        "standing": line.standing,
        "standing_name": STANDINGS[line.standing],
        "acts": acts,
        "by": (version.published_by or version.proposed_by or version.created_by).removeprefix("person:"),
        "rates": f"{reverse('admin:rating_rate_changelist')}?{urlencode({'version': version.pk})}",
    }


def _numbered(deck: Deck, number: str) -> DeckVersion:
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise NotFound
    version = DeckVersion.objects.select_related("deck__carrier").filter(deck=deck, number=int(number)).first()
    if version is None:
        raise NotFound
    return version


def _query(pair: Mapping[str, int], **more: str | None) -> str:
    return "?" + urlencode({**pair, **more})
