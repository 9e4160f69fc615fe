"""Notices: what a person is told under the bell. 通知.

A notice keeps a kind and its facts; the sentence is made when it is read, in the reader's language, from the wordings
that the rooms bring (`registry.NOTICE_WORDINGS`).
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_platform import clock, registry
from billing_platform.errors import NotFound
from billing_platform.models import Notice
from billing_platform.paging import Page, PageRequest

VIEW = "notices"
UNREAD_SHOWN = 99
KEPT = timedelta(days=90)
REMOVED_AT_ONCE = 5_000
WORDINGS = {
    "job.done": gettext_lazy("%(job)s is done: %(arguments)s"),
    "job.failed": gettext_lazy("%(job)s failed: %(arguments)s"),
    "job.interrupted": gettext_lazy("%(job)s was interrupted and can be resumed: %(arguments)s"),
}
PERSONS_AT_ONCE = 1_000
FACT_MAX = 200  # letters
MISSING = "–"
_OPTION = re.compile(r"(?<!\S)--[a-z-]+=")
_HERE = re.compile(r"/(?![/\\])[!-~]{0,499}")


def notify(usernames: Iterable[str], *, kind: str, facts: Mapping[str, str], path: str, key: str) -> None:
    """Tell these persons something, each once under one `key`; who is unknown or no longer active is left out.

    Joins the caller's transaction, so that what happened and its notice become true together. `path` leads to a page
    of this site. At most 1,000 persons. Raises ValueError for another kind of path.
    """
    if not _HERE.fullmatch(path):
        raise ValueError(f"{path!r} is no path of this site")
    told = User.objects.filter(username__in=set(usernames), is_active=True).values_list("id", flat=True)
    kept = {name: str(fact).replace("\x00", "")[:FACT_MAX] for name, fact in facts.items()}
    at = clock.now()
    Notice.objects.bulk_create(
        [
            Notice(user_id=person, key=key, kind=kind, facts=kept, path=path, created_at=at)
            for person in told.order_by("id")[:PERSONS_AT_ONCE]
        ],
        ignore_conflicts=True,
    )


@dataclass(frozen=True, slots=True)
class Unread:
    """How many notices wait; beyond 99 nobody counts."""

    count: int

    @property
    def shown(self) -> str:
        """As the badge has it; "" when there are none."""
        return f"{UNREAD_SHOWN}+" if self.count > UNREAD_SHOWN else str(self.count or "")


def unread_of(user_id: int) -> Unread:
    """What waits for the person."""
    return Unread(len(_unread(user_id).values_list("id", flat=True)[: UNREAD_SHOWN + 1]))


def notices_of(user_id: int, asked: PageRequest) -> Page[Notice]:
    """The person's notices, the latest first."""
    found = Notice.objects.filter(user_id=user_id)
    if asked.after is not None:
        found = found.filter(pk__lt=asked.after[0])
    return asked.page(list(found.order_by("-pk")[: asked.limit + 1]), lambda notice: [notice.pk], view=VIEW)


def read_notice(user_id: int, notice_id: int) -> Notice:
    """The person has seen it. Raises NotFound for one that is not theirs."""
    notice = Notice.objects.filter(user_id=user_id, pk=notice_id).first()
    if notice is None:
        raise NotFound
    _unread(user_id).filter(pk=notice_id).update(read_at=clock.now())
    return notice


def read_all(user_id: int, *, up_to: int) -> int:
    """The person has seen their notices up to this one; how many were new to them."""
    return _unread(user_id).filter(pk__lte=up_to).update(read_at=clock.now())


def remove_old_notices() -> int:
    """Delete what is older than 90 days, read or not, at most 5,000 a call; how many went."""
    old = Notice.objects.filter(created_at__lt=clock.now() - KEPT).order_by("created_at")
    return Notice.objects.filter(pk__in=old.values("pk")[:REMOVED_AT_ONCE]).delete()[0]


def sentence_of(notice: Notice) -> str:
    """The notice in the language in use; of a kind that no room words any more, its code."""
    wording = _wordings().get(notice.kind)
    return str(wording) % _Facts(_told(notice.facts)) if wording is not None else _("Notice: %s") % notice.kind


def _told(facts: Mapping[str, str]) -> Mapping[str, str]:
    """A run by its title, and with the values of its options alone."""
    if "job" not in facts:
        return facts
    arguments = _OPTION.sub("", facts.get("arguments", MISSING))
    return {**facts, "job": registry.title_of_job(facts["job"]), "arguments": arguments}


class _Facts(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return MISSING


@functools.cache
def _wordings() -> dict[str, object]:
    return {kind: words for name in registry.NOTICE_WORDINGS for kind, words in import_string(name).items()}


def _unread(user_id: int) -> QuerySet[Notice]:
    return Notice.objects.filter(user_id=user_id, read_at=None)
