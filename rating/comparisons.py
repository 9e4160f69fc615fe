"""Two versions of a deck side by side, whichever they are: how many rows differ, and which, with all that changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import connection

from billing_platform.paging import Page, PageRequest
from rating.differences import PAIRED, TAB_OF, Tab, measure, sides_sql
from rating.formats.text import number_text
from rating.models import DeckVersion, Rate
from rating.versions import CONTENT, UNPUBLISHED, rates_of

TABS = {  # as an import counts them: as a draft's page calls them
    "raised": Tab.DEARER, "lowered": Tab.CHEAPER, "created": Tab.NEW, "removed": Tab.REMOVED, "other": Tab.OTHER,
}  # fmt: skip
VIEW = "deck comparison"
MINOR = Decimal("0.01")
_PAIRS = f"""
    SELECT coalesce(e.id, t.id) AS before_id, m.id AS after_id, coalesce(m.key, e.key) COLLATE "C" AS key,
           coalesce(m.id, e.id) AS place, {TAB_OF} AS tab
      FROM {PAIRED}
"""  # noqa: S608  names are ours
# Shown as facts of their own, or not a term at all.
_NOT_NAMED = frozenset({"key", "prefix", "rate"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """Counts of rows, and the average change of the raised and lowered rates in per cent (None: there are none)."""

    counts: Mapping[str, int]
    average: Decimal | None

    @property
    def average_text(self) -> str:
        """The average change for people; "" when there is none."""
        return percent_text(self.average)


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One row that differs. `percent` is the rate's change; `fields` names what else changed, as (name, old, new)."""

    what: str
    before: Rate | None
    after: Rate | None
    percent: Decimal | None
    fields: tuple[tuple[str, str, str], ...]

    @property
    def row(self) -> Rate:
        """The row as it is now, or was last."""
        found = self.after or self.before
        assert found is not None  # a difference has at least one side
        return found

    @property
    def percent_text(self) -> str:
        """The rate's change for people."""
        return percent_text(self.percent)


def percent_text(percent: Decimal | None) -> str:
    """+5.00 %, −0.50 %, 0.00 %; "" for none. Half up, like everything that people see."""
    if percent is None:
        return ""
    shown = percent.quantize(MINOR, ROUND_HALF_UP)
    sign = "+" if shown > 0 else "−" if shown < 0 else ""
    return f"{sign}{abs(shown):f} %"


def compare(before: DeckVersion, after: DeckVersion) -> Comparison:
    """What changed, counted as an import counts: created, raised, lowered, other, removed, same."""
    found = measure(after, before)
    rows_before = rates_of(before).count() if before.state in UNPUBLISHED else found.rows_before
    counts = {name: int(getattr(found, name)) for name in TABS}
    counts["same"] = rows_before - found.changed - found.removed
    return Comparison(counts, found.average)


def differences(before: DeckVersion, after: DeckVersion, *, tab: str, asked: PageRequest) -> Page[RowDifference]:
    """The rows of one tab of `TABS`, by key."""
    made, ended, params = sides_sql(after, before)
    key, place = asked.after or ["", 0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT before_id, after_id, key, place FROM ({_PAIRS.format(made=made, ended=ended)}) p"  # noqa: S608  ours
            " WHERE tab = %(tab)s AND (key, place) > (%(key)s, %(place)s) ORDER BY key, place LIMIT %(limit)s",
            {**params, "tab": TABS[tab].value, "key": key, "place": place, "limit": asked.limit + 1},
        )
        page = asked.page(cursor.fetchall(), lambda row: [row[2], row[3]], view=VIEW)
    rates = Rate.objects.in_bulk([rate_id for row in page.items for rate_id in row[:2] if rate_id])
    shown = [_difference(tab, rates.get(before_id), rates.get(after_id)) for before_id, after_id, *_ in page.items]
    return Page(shown, page.next_cursor)


def _difference(what: str, before: Rate | None, after: Rate | None) -> RowDifference:
    if before is None or after is None:
        return RowDifference(what, before, after, None, ())
    old, new = before.rate * after.rate_unit, after.rate * before.rate_unit
    percent = (new - old) * 100 / old if old else None
    pairs = [
        (str(Rate._meta.get_field(name).verbose_name), _text(getattr(before, name)), _text(getattr(after, name)))  # type: ignore[union-attr]
        for name in CONTENT
        if name not in _NOT_NAMED
    ]
    return RowDifference(what, before, after, percent, tuple(pair for pair in pairs if pair[1] != pair[2]))


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return number_text(value)
    return "" if value is None else str(value)
