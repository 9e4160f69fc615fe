"""Acts on decks and versions in the admin: a page that says what will happen, and a POST that does it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing_platform.errors import PlatformError
from billing_platform.runs import GuardRail
from rating.errors import DraftOutdated
from rating.ladder import TermsRefused
from rating.models import Deck
from rating.rails import RAIL_NAMES
from rating.versions import latest_version

Method = TypeVar("Method", bound=Callable[..., HttpResponse])

COUNT_NAMES: Mapping[str, Any] = {
    "created": _("new"),
    "raised": _("dearer"),
    "lowered": _("cheaper"),
    "other": _("other changes"),
    "removed": _("removed"),
    "same": _("unchanged"),
}


@dataclass(frozen=True, slots=True)
class Done:
    """Where an act leads, and what to say there when it is not simply done."""

    address: str
    message: Any = ""


@dataclass(frozen=True, slots=True)
class Act:
    """One act: what the page says, the form it asks for, what it does with the cleaned form, where it leads.

    `deck` is the deck it is about: a conflict then names who was first, and `again` is where to begin anew.
    """

    title: Any
    subject: str
    consequence: Any
    form: Callable[[Any], forms.Form]  # a form class, or what makes a form of the data
    run: Callable[[Mapping[str, Any]], Done]
    counts: Mapping[str, int] = field(default_factory=dict)
    template: str = "act"
    more: Mapping[str, Any] = field(default_factory=dict)
    deck: Deck | None = None
    again: str = ""


def detail_action(description: Any, *, path: str, permission: str) -> Callable[[Method], Method]:
    """A button on an object's page; the typed face of unfold's decorator."""
    decorator = action(description=description, url_path=path, permissions=[permission])
    return cast("Callable[[Method], Method]", decorator)


def act_page(request: HttpRequest, act: Act, *, allowed: bool) -> HttpResponse:
    """GET shows the act, POST carries it out; a refusal is shown with its status and nothing was done."""
    if not allowed:
        raise PermissionDenied
    form = act.form(request.POST if request.method == "POST" else None)
    status: int = HTTPStatus.OK
    more: Mapping[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        try:
            done = act.run(form.cleaned_data)
        except DraftOutdated as outdated:
            return conflict_page(request, act.deck, outdated, again=act.again)
        except GuardRail as rail:
            names = cast("list[str]", rail.fields["rails"])
            status, more = rail.http_status, {"rails": named_rails(names), "token": rail.fields["token"]}
        except PlatformError as refused:
            form.add_error(None, f"{refused.title} {refused.detail}".strip())
            status = refused.http_status
        except TermsRefused as refused:
            form.add_error(None, str(refused))
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        else:
            messages.success(request, done.message or _("Done: %(title)s") % {"title": act.title})
            return HttpResponseRedirect(done.address)
    context = {**_context(request, act, form), **more}
    return TemplateResponse(request, f"admin/rating/{act.template}.html", context, status=status)


def named_rails(names: Iterable[str]) -> list[tuple[str, Any]]:
    """Guard rails with what they say to people."""
    return [(name, RAIL_NAMES[name]) for name in names]


def conflict_page(request: HttpRequest, deck: Deck | None, outdated: DraftOutdated, *, again: str) -> HttpResponse:
    """Somebody else published first: who, when, what they changed, and how to go on. Nothing was done."""
    first = latest_version(deck) if deck else None
    context = {
        **admin.site.each_context(request),
        "title": outdated.title,
        "deck": deck,
        "first": first,
        "who": first.published_by.removeprefix("person:") if first else "",
        "base": outdated.fields.get("base"),
        "again": again,
    }
    return TemplateResponse(request, "admin/rating/conflict.html", context, status=outdated.http_status)


def _context(request: HttpRequest, act: Act, form: forms.Form) -> dict[str, Any]:
    return {
        **admin.site.each_context(request),
        "title": act.title,
        "subject": act.subject,
        "consequence": act.consequence,
        "button": act.title,
        "deck": act.deck,
        "form": form,
        "counts": [(name, label, act.counts[name]) for name, label in COUNT_NAMES.items() if name in act.counts],
        **act.more,
    }
