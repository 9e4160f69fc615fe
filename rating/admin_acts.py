"""Acts on decks and versions in the admin: a page that says what will happen, and a POST that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing_platform.errors import PlatformError
from rating.ladder import TermsRefused

Method = TypeVar("Method", bound=Callable[..., HttpResponse])

COUNT_NAMES = {
    "created": _("new"),
    "raised": _("dearer"),
    "lowered": _("cheaper"),
    "other": _("other changes"),
    "removed": _("removed"),
    "same": _("unchanged"),
}


@dataclass(frozen=True, slots=True)
class Act:
    """One act: what the page says, the form it asks for, what it does with the cleaned form, where it leads."""

    title: Any
    subject: str
    consequence: Any
    form: type[forms.Form]
    run: Callable[[Mapping[str, Any]], str]  # gives the address to go to
    counts: Mapping[str, int] = field(default_factory=dict)


def detail_action(description: Any, *, path: str, permission: str) -> Callable[[Method], Method]:
    """A button on an object's page; the typed face of unfold's decorator."""
    decorator = action(description=description, url_path=path, permissions=[permission])
    return cast("Callable[[Method], Method]", decorator)


def act_page(request: HttpRequest, act: Act, *, allowed: bool) -> HttpResponse:
    """GET shows the act, POST carries it out; a refusal is shown on the page and nothing was done."""
    if not allowed:
        raise PermissionDenied
    form = act.form(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            address = act.run(form.cleaned_data)
        except PlatformError as refused:
            form.add_error(None, f"{refused.title} {refused.detail}".strip())
        except TermsRefused as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("Done: %(title)s") % {"title": act.title})
            return HttpResponseRedirect(address)
    context = {
        **admin.site.each_context(request),
        "title": act.title,
        "subject": act.subject,
        "consequence": act.consequence,
        "button": act.title,
        "form": form,
        "counts": [(label, act.counts[name]) for name, label in COUNT_NAMES.items() if name in act.counts],
    }
    return TemplateResponse(request, "admin/rating/act.html", context)
