"""What a deck's pages show, as the rows of files: every row of a question, not only those of its first page."""

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain

from django.utils.translation import gettext as _

from billing_platform.sheets import Figure
from rating.comparisons import MINOR
from rating.differences import ChangedRow, Tab, every_difference
from rating.formats.fields import RowError
from rating.formats.text import number_text
from rating.messages import message_of
from rating.models import DeckImport, DeckVersion, Rate

Cells = Sequence[str]


def difference_rows(before: DeckVersion | None, after: DeckVersion, *, tab: Tab) -> Iterator[Cells]:
    """One tab of a difference below a head that names deck, versions, tab, currency and zone."""
    deck, number = after.deck, before.number if before else 0
    head = [deck.code, f"v{number} → v{after.number}", str(tab.label), deck.currency, deck.zone]
    unit = str(Rate._meta.get_field("rate_unit").verbose_name)
    titles = [
        _("prefix"), _("destination"), _("carrier"), _("time band"), _("before"), _("after"), unit, "%",
        _("supplier's rate"),
    ]  # fmt: skip
    return chain([head, titles], map(_cells, every_difference(after, before, tab)))


def error_rows(story: DeckImport) -> list[Cells]:
    """The row errors and warnings of an import as far as they are kept, the first 10,000 of each."""
    errors = (RowError(**kept) for kept in chain(story.errors, story.warnings))
    return [
        ["row", "column", "value", "code", "message"],
        *([Figure(one.row), one.column, one.value, one.code, str(message_of(one.code))] for one in errors),
    ]


def _cells(row: ChangedRow) -> Cells:
    return [
        row.prefix, row.destination, row.carrier, row.band, _figure(row.old_rate), _figure(row.new_rate),
        _figure(row.rate_unit), _figure(row.change and row.change.quantize(MINOR, ROUND_HALF_UP)),
        _figure(row.cost_rate),
    ]  # fmt: skip


def _figure(number: Decimal | None) -> str:
    return "" if number is None else Figure(number_text(number))
