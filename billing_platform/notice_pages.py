"""The bell: what a person is told, as a page and for the badge in the header."""

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform import notices
from billing_platform.answers import own_page, tagged_json
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.models import Role
from billing_platform.paging import Page, page_request

PEOPLE = audience(roles=tuple(Role.values))


@door(PEOPLE)
def notices_page(request: CallerRequest) -> HttpResponse:
    """`/notices/`: the person's notices, the latest first."""
    page = notices.notices_of(_person(request), page_request(request.GET, view=notices.VIEW))
    shown = [(notice, notices.sentence_of(notice)) for notice in page.items]
    context = {"page": Page(shown, page.next_cursor), "unread": notices.unread_of(_person(request))}
    return own_page(request, "billing_platform/notices.html", context)


@door(PEOPLE, ("POST",))
def notice_page(request: CallerRequest, notice_id: int) -> HttpResponse:
    """Marks one notice as read; leads to what it is about, or back to the list."""
    notice = notices.read_notice(_person(request), notice_id)
    return HttpResponseRedirect(notice.path if request.POST.get("then") == "open" else reverse("notices"))


@door(PEOPLE, ("POST",))
def all_read_page(request: CallerRequest) -> HttpResponse:
    """Marks everything up to the latest notice that was shown as read."""
    latest = request.POST.get("latest", "")
    if latest.isascii() and latest.isdigit() and len(latest) < 19:
        notices.read_all(_person(request), up_to=int(latest))
    return HttpResponseRedirect(reverse("notices"))


@door(PEOPLE)
def notices_view(request: CallerRequest) -> HttpResponse:
    """The person's notices, the latest first, and how many are unread; with `If-None-Match` 304."""
    page = notices.notices_of(_person(request), page_request(request.GET, view=notices.VIEW))
    unread = notices.unread_of(_person(request))
    items = [
        {"id": notice.pk, "kind": notice.kind, "text": notices.sentence_of(notice), "path": notice.path,
         "created_at": notice.created_at, "read_at": notice.read_at}
        for notice in page.items
    ]  # fmt: skip
    label = _("Notices, %(count)s unread") % {"count": unread.shown} if unread.shown else _("Notices")
    body = {"unread": unread.count, "unread_shown": unread.shown, "label": label, "items": items}
    return tagged_json(request, body | {"next_cursor": page.next_cursor})


def _person(request: CallerRequest) -> int:
    assert request.caller.user_id is not None  # the doors serve roles, and only persons have them
    return request.caller.user_id
