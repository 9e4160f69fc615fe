"""Guard rails (护栏): what makes a difference look like a mistake, and who must agree to it besides its author.

One function judges every draft before it is published, whoever drew it up and however; the token that lets it pass is
a hash of exactly this difference.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.models import Role
from billing_platform.runs import GuardRail
from rating.differences import DraftDifference, drawn_from, measure, sides_sql
from rating.formats.directives import render_band
from rating.models import Deck, DeckImport, DeckVersion
from rating.versions import CONTENT, bands_of, in_force_first, latest_version

NOTICE = timedelta(seconds=5)  # so that every process knows a version before it matters
CORRECTION_APPROVERS = (Role.FINANCE.value,)
LARGE_APPROVERS = (Role.FINANCE.value, Role.RATE_ADMIN.value)
TOKEN_LETTERS = 12
RISE_MAX = Decimal("0.2")
RAIL_NAMES = {
    "removed_rows": _("More than 10 % of the rows are removed."),
    "average_rise": _("The changed rates rise by more than 20 % on average."),
    "rate_jump": _("A rate rises above five times its old value, or becomes 0."),
    "below_cost": _("A rate is below its cost."),
    "short_notice": _("Rates rise with less notice than the rate deck promises."),
    "row_count": _("The number of rows changes by more than 30 %."),
    "error_rows": _("More than 1 % of the file's rows have errors."),
    "assignments": _("Assignments in force end or move to other rates."),
}


@dataclass(frozen=True, slots=True)
class Publication:
    """When a draft takes effect and why. `effective_from` None: as soon as the rules allow."""

    effective_from: datetime | None = None
    reason: str = ""
    correction: bool = False

    def is_late(self, at: datetime) -> bool:
        """Would it, published at `at`, take effect before every process knows it? Then it corrects what was charged."""
        return self.effective_from is not None and self.effective_from < at + NOTICE


@dataclass(frozen=True, slots=True)
class Rails:
    """The guard rails that a draft touches, the token that confirms them ("" when it touches none), and why.

    `approvers`: the roles of which a second person must agree; () when nobody need.
    """

    names: tuple[str, ...]
    token: str
    difference: DraftDifference
    approvers: tuple[str, ...]

    def check(self, confirm: str) -> None:
        """Raises GuardRail with the names and the token unless `confirm` is that token."""
        check_confirmed(self.names, token=self.token, confirm=confirm)


def check_confirmed(names: Sequence[str], *, token: str, confirm: str) -> None:
    """Raises GuardRail with the rails touched and their token, unless there are none or `confirm` is the token."""
    if names and confirm != token:
        raise GuardRail("; ".join(names), token=token, rails=list(names))


def token_of(told: object) -> str:
    """The short hash of whatever says exactly what is to be confirmed."""
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:TOKEN_LETTERS]


def rails_of(draft: DeckVersion, publication: Publication) -> Rails:
    """Judge a draft against the version that it takes over from at its instant. `draft.deck` must be loaded."""
    at = publication.effective_from or clock.now()
    before = in_force_first(DeckVersion.objects.filter(deck_id=draft.deck_id), at).first() or drawn_from(draft)
    difference = measure(draft, before)
    names = tuple(_names(draft, difference, publication))
    approvers = approvers_needed(draft, publication, touched=difference.touched, at=clock.now())
    return Rails(names, _token(draft, before, names) if names else "", difference, approvers)


def approvers_needed(draft: DeckVersion, publication: Publication, *, touched: int, at: datetime) -> tuple[str, ...]:
    """The roles of which one person must agree before the draft, published at `at`, counts; () when nobody need.

    `touched` counts rows that are not as before. A deck's first version needs nobody: it has no price to change.
    """
    if latest_version(draft.deck) is None:
        return ()
    if publication.is_late(at):
        return CORRECTION_APPROVERS
    return LARGE_APPROVERS if touched > settings.RATING_SECOND_PERSON_ROWS else ()


def approvers_of(proposal: DeckVersion) -> tuple[str, ...]:
    """The roles for which a proposal waits."""
    return CORRECTION_APPROVERS if proposal.correction else LARGE_APPROVERS


def _names(draft: DeckVersion, difference: DraftDifference, publication: Publication) -> Iterator[str]:
    before = difference.rows_before
    if difference.removed * 10 > before:
        yield "removed_rows"
    if difference.rise > RISE_MAX:
        yield "average_rise"
    if difference.jumps:
        yield "rate_jump"
    if difference.below_cost:
        yield "below_cost"
    if difference.raised and _is_short_notice(draft.deck, publication):
        yield "short_notice"
    if before and abs(difference.created - difference.removed) * 10 > before * 3:
        yield "row_count"
    counts = DeckImport.objects.filter(version=draft).values_list("counts", flat=True).first() or {}
    if counts.get("error", 0) * 100 > counts.get("read", 0):
        yield "error_rows"


def _is_short_notice(deck: Deck, publication: Publication) -> bool:
    at = clock.now()
    return deck.notice_days > 0 and (publication.effective_from or at) < at + timedelta(days=deck.notice_days)


def _token(draft: DeckVersion, before: DeckVersion | None, names: tuple[str, ...]) -> str:
    """A hash of the difference: another row, another rate or another version before it gives another token."""
    made, ended, params = sides_sql(draft, before)
    columns = ", ".join(CONTENT)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT md5(string_agg(md5(ROW({columns})::text), '' ORDER BY md5(ROW({columns})::text)))"  # noqa: S608  ours
            f" FROM ({made}) m), (SELECT md5(string_agg(id::text, ',' ORDER BY id)) FROM ({ended}) e)",
            params,
        )
        rows = cursor.fetchone()
    bands = sorted(render_band(band) for band in bands_of(draft))
    return token_of([draft.deck.code, before.number if before else 0, rows, bands, names])
