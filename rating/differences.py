"""What a stored draft changes: its rows beside those of the version before it, counted and shown page by page.

A draft stores only its differences, so a small change of a large deck is found at once. A row is the same row when
prefix, selectors, band, priority and the start of its period agree; rates are compared per second.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from billing_platform.paging import Key, Page, page_request
from rating.drafts import ids_sql
from rating.models import Deck, DeckVersion
from rating.versions import CONTENT, UNPUBLISHED, rates_of


class Tab(TextChoices):
    """How a draft's rows are told apart; a row below cost stands in another tab as well."""

    NEW = "new", _("new")
    DEARER = "dearer", _("dearer")
    CHEAPER = "cheaper", _("cheaper")
    OTHER = "other", _("other changes")
    SAME = "same", _("unchanged")
    REMOVED = "removed", _("removed")
    BELOW_COST = "below_cost", _("below cost")


@dataclass(frozen=True, slots=True)
class Difference:
    """How many rows are new, changed or the same, and how many of before are gone."""

    created: int
    raised: int
    lowered: int
    other: int
    same: int
    removed: int

    @property
    def changed(self) -> int:
        return self.raised + self.lowered + self.other

    @property
    def touched(self) -> int:
        """Rows that are not as before."""
        return self.created + self.changed + self.removed

    @property
    def counts(self) -> dict[str, int]:
        """By the names that receipts and pages use."""
        return {
            "created": self.created, "raised": self.raised, "lowered": self.lowered, "other": self.other,
            "same": self.same, "removed": self.removed,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class DraftDifference(Difference):
    """What a draft changes, and what that means for those who pay."""

    rows_before: int
    rise: Decimal  # average of new / old over the raised and lowered rows, minus 1
    jumps: int  # rates above five times their old value, or newly 0
    below_cost: int  # new or changed rows of a deck that sells

    @property
    def average(self) -> Decimal | None:
        """The average change of the raised and lowered rates in per cent; None when there are none."""
        return self.rise * 100 if self.raised + self.lowered else None


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """One row of a tab. Rates in the deck's currency per `rate_unit` seconds; `change` in per cent, None without one.

    `rate_id` is the row as it will be, or the one that goes.
    """

    rate_id: int
    prefix: str
    destination: str
    carrier: str
    band: str
    old_rate: Decimal | None
    new_rate: Decimal | None
    rate_unit: Decimal
    cost_rate: Decimal | None
    change: Decimal | None


def together(differences: Iterable[DraftDifference]) -> DraftDifference:
    """Several decks' differences as one: counts added up, the average taken over all rows that rise or fall."""
    found = list(differences)
    moved = sum(one.raised + one.lowered for one in found)
    rises = sum((one.rise * (one.raised + one.lowered) for one in found), Decimal(0))
    return DraftDifference(
        **{name: sum(one.counts[name] for one in found) for name in Difference.__slots__},
        rows_before=sum(one.rows_before for one in found),
        rise=rises / moved if moved else Decimal(0),
        jumps=sum(one.jumps for one in found),
        below_cost=sum(one.below_cost for one in found),
    )


def same_calls(one: str, other: str) -> str:
    """The SQL condition under which two rows speak of the same calls, whatever their periods."""
    return " AND ".join(
        [f"{one}.{name} = {other}.{name}" for name in ("key", "carrier", "reach", "kind", "band")]
        + [f"coalesce({one}.priority, -1) = coalesce({other}.priority, -1)"]
    )


def same_row(one: str, other: str) -> str:
    """The SQL condition under which two rows speak of the same calls from the same instant."""
    starts = (f"coalesce({table}.effective_from, '-infinity')" for table in (one, other))
    return f"{same_calls(one, other)} AND {' = '.join(starts)}"


def takes_over(one: str, other: str) -> str:
    """The SQL condition under which the first row begins while the other one, for the same calls, is in force."""
    start = f"coalesce({one}.effective_from, '-infinity')"
    return (
        f"{same_calls(one, other)} AND coalesce({other}.effective_from, '-infinity') <= {start}"
        f" AND coalesce({other}.effective_to, 'infinity') > {start}"
    )


_COLUMNS = ", ".join(CONTENT)
_MADE, _ENDED = (f"ROW({', '.join(f'{table}.{name}' for name in CONTENT)})" for table in "me")
_OLD_RATE, _OLD_UNIT = "coalesce(e.rate, t.rate)", "coalesce(e.rate_unit, t.rate_unit)"
_NEW, _OLD = f"m.rate * {_OLD_UNIT}", f"{_OLD_RATE} * m.rate_unit"
# The rows that only the later side has (m) beside those that only the earlier one had: the same row (e), else the one
# that a new period takes over from (t). Rows of a tariff plan that compete by price alone are told apart as twins.
PAIRED = f"""
    ({{made}}) m FULL JOIN ({{ended}}) e ON {same_row("m", "e")} AND m.twin = e.twin
    LEFT JOIN ({{ended}}) t ON e.id IS NULL AND m.effective_from IS NOT NULL AND {takes_over("m", "t")}
"""
TAB_OF = f"""
    CASE WHEN coalesce(e.id, t.id) IS NULL THEN 'new' WHEN m.id IS NULL THEN 'removed'
         WHEN {_NEW} > {_OLD} THEN 'dearer' WHEN {_NEW} < {_OLD} THEN 'cheaper'
         WHEN {_MADE} IS DISTINCT FROM {_ENDED} THEN 'other' ELSE 'same' END
"""
_CHANGES = f"""
    SELECT coalesce(m.id, e.id) AS id, coalesce(m.key, e.key) COLLATE "C" AS key,
           coalesce(m.prefix, e.prefix) AS prefix, coalesce(m.destination, e.destination) AS destination,
           coalesce(m.carrier, e.carrier) AS carrier, coalesce(m.band, e.band) AS band,
           {_OLD_RATE} AS old_rate, m.rate AS new_rate, coalesce(m.rate_unit, e.rate_unit) AS rate_unit, m.cost_rate,
           CASE WHEN {_OLD_RATE} > 0 THEN {_NEW} / ({_OLD}) - 1 END AS change, {TAB_OF} AS tab,
           NOT m.blocked AND ({_NEW} > 5 * {_OLD} OR m.rate = 0) AND {_NEW} <> {_OLD} AS jumps,
           %(sells)s AND NOT m.blocked AND m.rate < m.cost_rate AND {_MADE} IS DISTINCT FROM {_ENDED} AS below_cost
      FROM {PAIRED}
"""  # noqa: S608  names are ours
_TWIN = """
    row_number() OVER (PARTITION BY key, carrier, reach, kind, band, priority, effective_from
                       ORDER BY rate / rate_unit, id)
"""
_RANKS = {
    Tab.DEARER: "round(coalesce(-change, -1e9), 8)",  # what cost nothing before comes first
    Tab.CHEAPER: "round(change, 8)",
    Tab.BELOW_COST: "round(coalesce(-change, 1e9), 8)",
}


def measure(draft: DeckVersion, before: DeckVersion | None) -> DraftDifference:
    """The difference between a version and the one before it; everything is new when there was none."""
    changes, params = _changes(draft, before)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE tab = 'new'), count(*) FILTER (WHERE tab = 'dearer'),"  # noqa: S608  ours
            " count(*) FILTER (WHERE tab = 'cheaper'), count(*) FILTER (WHERE tab = 'other'),"
            " count(*) FILTER (WHERE tab = 'removed'),"
            " coalesce(avg(change) FILTER (WHERE tab IN ('dearer', 'cheaper')), 0),"
            f" count(*) FILTER (WHERE jumps), count(*) FILTER (WHERE below_cost) FROM ({changes}) c",
            params,
        )
        created, raised, lowered, other, removed, rise, jumps, below_cost = cursor.fetchone()
    rows_before = before.row_count if before else 0
    return DraftDifference(
        created=created, raised=raised, lowered=lowered, other=other, removed=removed,
        same=max(rows_before - raised - lowered - other - removed, 0), rows_before=rows_before,
        rise=Decimal(rise), jumps=jumps, below_cost=below_cost,
    )  # fmt: skip


def difference_counts(draft: DeckVersion) -> Mapping[str, int]:
    """How many rows each tab has, against the version that the draft was drawn from."""
    found = measure(draft, drawn_from(draft))
    return {
        Tab.NEW.value: found.created, Tab.DEARER.value: found.raised, Tab.CHEAPER.value: found.lowered,
        Tab.OTHER.value: found.other, Tab.SAME.value: found.same, Tab.REMOVED.value: found.removed,
        Tab.BELOW_COST.value: found.below_cost,
    }  # fmt: skip


def difference_page(draft: DeckVersion, tab: str, cursor: str = "", limit: int = 50) -> Page[ChangedRow]:
    """One page of a tab, the largest changes first, by key where there is none.

    `cursor` is the `next_cursor` of the page before; 1 to 200 rows. Raises Malformed, ValueError for an unknown tab.
    """
    wanted, before = Tab(tab), drawn_from(draft)
    view = f"difference {draft.pk} {wanted}"
    query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    asked = page_request(query, view=view)
    found = _rows(draft, before, wanted, after=asked.after, limit=asked.limit + 1)
    page = asked.page(found, lambda row: row[0], view=view)
    return Page([row for _key, row in page.items], page.next_cursor)


def drawn_from(draft: DeckVersion) -> DeckVersion | None:
    """The version whose rows a draft is compared with: the latest one published before it."""
    published = DeckVersion.objects.filter(deck_id=draft.deck_id, state=DeckVersion.State.PUBLISHED)
    return published.filter(number__lt=draft.number).order_by("-number").first()


def sides_sql(draft: DeckVersion, before: DeckVersion | None) -> tuple[str, str, dict[str, Any]]:
    """Queries for the rows that only the draft has and for those that only the version before had.

    Rows for the same calls stand side by side only in a tariff plan's decks; there `twin` numbers them, the cheapest
    first.
    """
    twin = _TWIN if draft.deck.plan_id is not None else "1"
    select = f"SELECT id, {_COLUMNS}, {twin} AS twin FROM rating_rate"  # noqa: S608  names are ours
    ids = {"draft": draft.pk, "deck": draft.deck_id, "number": draft.number}
    if draft.state in UNPUBLISHED and draft.base == (before.number if before else 0):
        ended = f"{select} WHERE id IN (SELECT rate_id FROM rating_rateend WHERE draft_id = %(draft)s)"  # noqa: S608
        return f"{select} WHERE deck_id = %(deck)s AND valid_from_version = %(number)s", ended, ids
    new, new_params = _named(*ids_sql(draft), name="new")
    old, old_params = _named(*_ids_before(before), name="old")
    return (
        f"{select} WHERE id IN ({new} EXCEPT {old})",
        f"{select} WHERE id IN ({old} EXCEPT {new})",
        new_params | old_params,
    )


def every_difference(draft: DeckVersion, before: DeckVersion | None, tab: str) -> Iterator[ChangedRow]:
    """All rows of a tab against any version before, in the order of pages, read from the server as they are taken.

    ValueError for an unknown tab.
    """
    sql, params, order = _tab_sql(draft, before, Tab(tab))
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"{sql} ORDER BY {order}", params)
        for _rank, _key, row_id, *row in cursor:
            yield ChangedRow(row_id, *row)


def _rows(
    draft: DeckVersion, before: DeckVersion | None, tab: Tab, *, after: Key | None, limit: int
) -> list[tuple[Key, ChangedRow]]:
    sql, params, order = _tab_sql(draft, before, tab)
    if after is not None:
        sql += f" AND ({order}) > (%(rank)s, %(key)s, %(id)s)"
        params |= dict(zip(("rank", "key", "id"), [Decimal(after[0]), *after[1:]], strict=True))
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} ORDER BY {order} LIMIT %(limit)s", {**params, "limit": limit})
        return [([str(rank), key, row_id], ChangedRow(row_id, *row)) for rank, key, row_id, *row in cursor.fetchall()]


def _tab_sql(draft: DeckVersion, before: DeckVersion | None, tab: Tab) -> tuple[str, dict[str, Any], str]:
    """A query for a tab's rows, its parameters, and the order of its pages, whose columns come first."""
    changes, params = _unchanged(draft, before) if tab == Tab.SAME else _changes(draft, before)
    condition = "below_cost" if tab == Tab.BELOW_COST else "tab = %(tab)s"
    order = f"{_RANKS.get(tab, '0::numeric')}, key, id"
    sql = (
        f"SELECT {order}, prefix, destination, carrier, band, old_rate, new_rate, rate_unit, cost_rate, change * 100"  # noqa: S608  names are ours
        f" FROM ({changes}) c WHERE {condition}"
    )
    return sql, {**params, "tab": tab.value}, order


def _changes(draft: DeckVersion, before: DeckVersion | None) -> tuple[str, dict[str, Any]]:
    """The rows that only one of the two has, brought together where they speak of the same calls."""
    made, ended, params = sides_sql(draft, before)
    sells = Deck.objects.filter(pk=draft.deck_id, purpose=Deck.Purpose.SELL).exists()
    return _CHANGES.format(made=made, ended=ended), {**params, "sells": sells}


def _ids_before(before: DeckVersion | None) -> tuple[str, Sequence[Any]]:
    return ids_sql(before) if before else ("SELECT 0::bigint WHERE false", ())


def _named(sql: str, params: Sequence[Any], *, name: str) -> tuple[str, dict[str, Any]]:
    """The query with named parameters in place of positional ones, so that it can stand in a statement twice."""
    names = [f"{name}_{place}" for place in range(len(params))]
    return sql % tuple(f"%({one})s" for one in names), dict(zip(names, params, strict=True))


def _unchanged(draft: DeckVersion, before: DeckVersion | None) -> tuple[str, dict[str, Any]]:
    """The rows that the draft shares with the version before, and those that it only wrote again."""
    changes, params = _changes(draft, before)
    shared, shared_params = _named(*_shared_sql(draft), name="shared")
    old, old_params = _named(*_ids_before(before), name="before")
    columns = "id, key, prefix, destination, carrier, band, old_rate, new_rate, rate_unit, cost_rate, change, tab"
    return (
        f"SELECT {columns} FROM ({changes}) paired WHERE tab = 'same' UNION ALL"  # noqa: S608  names are ours
        ' SELECT id, key COLLATE "C", prefix, destination, carrier, band, rate, rate, rate_unit, cost_rate,'
        " NULL, 'same'"
        f" FROM ({shared}) shared WHERE id IN ({old})",
        params | shared_params | old_params,
    )


def _shared_sql(draft: DeckVersion) -> tuple[str, Sequence[Any]]:
    wanted = ("id", "key", "prefix", "destination", "carrier", "band", "rate", "rate_unit", "cost_rate")
    rows = rates_of(draft).exclude(valid_from_version=draft.number).order_by().values(*wanted)
    sql, params = rows.query.sql_with_params()
    return sql, tuple(params)
