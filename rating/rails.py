"""Guard rails (护栏): what makes a difference look like a mistake, whoever drew it up and however.

One function judges every draft before it is published; the token that lets it pass is a hash of exactly this
difference.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.runs import GuardRail
from rating.differences import DraftDifference, drawn_from, measure, sides_sql
from rating.formats.directives import render_band
from rating.models import Deck, DeckImport, DeckVersion
from rating.versions import CONTENT, bands_of, in_force_first

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
}


@dataclass(frozen=True, slots=True)
class Publication:
    """When a draft takes effect and why. `effective_from` None: as soon as the rules allow."""

    effective_from: datetime | None = None
    reason: str = ""
    correction: bool = False


@dataclass(frozen=True, slots=True)
class Rails:
    """The guard rails that a draft touches, the token that confirms them ("" when it touches none), and why."""

    names: tuple[str, ...]
    token: str
    difference: DraftDifference

    def check(self, confirm: str) -> None:
        """Raises GuardRail with the names and the token unless `confirm` is that token."""
        if self.names and confirm != self.token:
            raise GuardRail("; ".join(self.names), token=self.token, rails=list(self.names))


def rails_of(draft: DeckVersion, publication: Publication) -> Rails:
    """Judge a draft against the version that it takes over from at its instant. `draft.deck` must be loaded."""
    at = publication.effective_from or clock.now()
    before = in_force_first(DeckVersion.objects.filter(deck_id=draft.deck_id), at).first() or drawn_from(draft)
    difference = measure(draft, before)
    names = tuple(_names(draft, difference, publication))
    return Rails(names, _token(draft, before, names) if names else "", difference)


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
    told = json.dumps([draft.deck.code, before.number if before else 0, rows, bands, names])
    return hashlib.sha256(told.encode()).hexdigest()[:TOKEN_LETTERS]
