"""Bulk edit (批量调价): one change to many rates of a deck, shown in full before it becomes a draft.

The rows are read, changed and judged by the database in one statement; preview and edit are the same statement. Prices
are exact: nothing is rounded unless the change says so (half up), and what does not fit eight decimals is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from billing_platform.auth import Caller
from billing_platform.trail import record_act
from rating.comparisons import percent_text
from rating.decks import latest_version, open_draft
from rating.drafts import end_found
from rating.errors import DeckUnknown, DraftOutdated, EditRefused, NothingChanges
from rating.formats.fields import PRICE_DECIMALS, PRICE_MAX, SECONDS_MAX
from rating.formats.text import number_text
from rating.models import Deck, DeckVersion, Rate
from rating.versions import CONTENT, bands_of, rates_of

SHOWN_MAX = 100
DECIMALS_MAX = 8
AMOUNT_DECIMALS_MAX = 12
_EDITED = ("rate", "first_rate", "tiers", "first_increment", "next_increment", "band")
_IDENTITY = ("key", "carrier", "reach", "kind", "band", "priority", "effective_from")
_TIERS = "regexp_matches(tiers, '([0-9.]+):([0-9.]+)(/[0-9.]+)?', 'g') WITH ORDINALITY t(m, n)"
_CHANGED = (
    f"({', '.join(f'new_{name}' for name in _EDITED)}) IS DISTINCT FROM ({', '.join(f'e.{name}' for name in _EDITED)})"
)


class Step(models.TextChoices):
    """What happens to prices."""

    KEEP = "keep", _("leave as it is")
    SET = "set", _("set to")
    ADD = "add", _("add (negative: subtract)")
    PERCENT = "percent", _("change by per cent")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSelection:
    """Which rows: all that fit every field given. `prefix` is how the prefix begins, as dialled or as key.

    In carrier, band and kind None is any and "" means rows that name none.
    """

    prefix: str = ""
    destination: str = ""  # contains
    carrier: str | None = None
    band: str | None = None
    kind: str | None = None
    rate_min: Decimal | None = None
    rate_max: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """What becomes of the rows. `amount` is a price (set, add) or per cent; `decimals` rounds half up.

    Set touches the rate alone; add, per cent and rounding move the prices of the first increment and of tiers along.
    Connect fees, minimums and caps stay. None leaves a field as it is; band "" means always.
    """

    step: Step = Step.KEEP
    amount: Decimal = Decimal(0)
    decimals: int | None = None
    first_increment: Decimal | None = None
    next_increment: Decimal | None = None
    band: str | None = None


@dataclass(frozen=True, slots=True)
class EditedRow:
    """One row before and after; texts as in a deck file. `percent` is the rate's change."""

    prefix: str
    destination: str
    carrier: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    percent: Decimal | None

    @property
    def percent_text(self) -> str:
        """The rate's change for people."""
        return percent_text(self.percent)


@dataclass(frozen=True, slots=True)
class RowsAtFault:
    """Why an edit is refused: the row error's code, how many rows (0: the change itself), and the first one's key."""

    code: str
    count: int
    key: str


@dataclass(frozen=True, slots=True)
class EditPreview:
    """What the edit would change in version `base`: matched = raised + lowered + other + same. Shows 100 rows."""

    base: int
    counts: Mapping[str, int]
    rows: tuple[EditedRow, ...]


def preview_edit(deck: Deck, selection: RateSelection, change: RateChange) -> EditPreview:
    """What would change; nothing stays behind. Raises DeckUnknown, NothingChanges, EditRefused."""
    latest = latest_version(deck)
    if latest is None:
        raise DeckUnknown(deck=deck.code)
    with transaction.atomic():  # the temporary table goes with it
        return EditPreview(latest.number, _draw_up(latest, selection, change), _shown_rows())


@transaction.atomic(durable=True)  # the draft and its audit rows appear together
def edit_rates(
    deck: Deck, selection: RateSelection, change: RateChange, *, caller: Caller, base: int, reason: str = ""
) -> DeckVersion:
    """A draft with the change, drawn from the version `base` that the preview was about.

    Raises DraftOutdated when another version was published since, NothingChanges, EditRefused.
    """
    draft = open_draft(deck, caller=caller, reason=reason)  # locks the deck
    latest = latest_version(deck)
    if latest is None or latest.number != base:
        raise DraftOutdated(deck=deck.code, base=base, latest=latest.number if latest else 0)
    counts = _draw_up(draft, selection, change)
    _write(draft)
    told = {"selection": _told(selection), "change": _told(change), **counts}
    record_act(caller, "deck.edit", target=("deckversion", draft.pk), change=(None, told), reason=reason)
    return draft


def _told(order: RateSelection | RateChange) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(order).items() if value is not None}


def _selected(version: DeckVersion, selection: RateSelection) -> QuerySet[Rate]:
    rows = rates_of(version)
    if selection.prefix:
        rows = rows.filter(Q(prefix__startswith=selection.prefix) | Q(key__startswith=selection.prefix))
    if selection.destination:
        rows = rows.filter(destination__icontains=selection.destination)
    named = {"carrier": selection.carrier, "band": selection.band, "kind": selection.kind}
    rows = rows.filter(**{name: value for name, value in named.items() if value is not None})
    limits = {"rate__gte": selection.rate_min, "rate__lte": selection.rate_max}
    return rows.filter(**{name: value for name, value in limits.items() if value is not None})


def _draw_up(version: DeckVersion, selection: RateSelection, change: RateChange) -> Mapping[str, int]:
    """Have the changed rows in the transaction's temporary table `rating_edited`, and judge them; their counts."""
    _check(version, change)
    rows, params = _selected(version, selection).order_by().values("id", *CONTENT).query.sql_with_params()
    new, given = _new_values(change)
    columns = ", ".join(f"{sql} AS new_{name}" for name, sql in new.items())
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS rating_edited")
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_edited ON COMMIT DROP AS"  # noqa: S608  names are ours
            f" SELECT e.*, {_CHANGED} AS changed FROM (SELECT r.*, {columns} FROM ({rows}) r) e",
            [*given, *params],
        )
        cursor.execute(
            """
            SELECT count(*), count(*) FILTER (WHERE new_rate > rate), count(*) FILTER (WHERE new_rate < rate),
                   count(*) FILTER (WHERE new_rate = rate AND changed), count(*) FILTER (WHERE NOT changed)
              FROM rating_edited
            """
        )
        counts = dict(zip(("matched", "raised", "lowered", "other", "same"), cursor.fetchone(), strict=True))
    if counts["matched"] == counts["same"]:
        raise NothingChanges(matched=counts["matched"])
    _refuse_faults(version, change)
    return counts


def _check(version: DeckVersion, change: RateChange) -> None:
    """Raises EditRefused when the change itself makes no sense."""
    increments = [one for one in (change.first_increment, change.next_increment) if one is not None]
    faults = {
        "E_NUMBER": not (change.amount.is_finite() and abs(change.amount) < PRICE_MAX and _is_short(change.amount)),
        "E_ROUNDING": change.decimals is not None and not 0 <= change.decimals <= DECIMALS_MAX,
        "E_INCREMENT": not all(one.is_finite() and 0 < one < SECONDS_MAX and _is_short(one) for one in increments),
        "E_BAND": bool(change.band) and change.band not in {band.name for band in bands_of(version)},
    }
    wrong = [RowsAtFault(code, 0, "") for code, is_wrong in faults.items() if is_wrong]
    if wrong:
        raise EditRefused(faults=wrong)


def _is_short(number: Decimal) -> bool:
    """Few enough decimals to be written out."""
    return -int(number.as_tuple().exponent) <= AMOUNT_DECIMALS_MAX


def _new_values(change: RateChange) -> tuple[dict[str, str], list[str]]:
    """SQL of each column that an edit may change, with its parameters, and of all prices of the row.

    Amounts are checked Decimals: their text is a number.
    """
    moves_all = change.step != Step.SET and (change.step != Step.KEEP or change.decimals is not None)
    tier = _priced("m[2]::numeric", change) if moves_all else "m[2]::numeric"
    tiers = f"string_agg(m[1] || ':' || trim_scale({tier})::text || coalesce(m[3], ''), ';' ORDER BY n)"
    first = _priced("r.first_rate", change) if moves_all else "r.first_rate"
    rate = _priced("r.rate", change)
    values = {
        "rate": rate,
        "first_rate": first,
        "tiers": f"CASE tiers WHEN '' THEN '' ELSE (SELECT {tiers} FROM {_TIERS}) END" if moves_all else "r.tiers",  # noqa: S608  ours
        "first_increment": _number(change.first_increment, "r.first_increment"),
        "next_increment": _number(change.next_increment, "r.next_increment"),
        "band": "r.band" if change.band is None else "%s::text",
        "prices": f"ARRAY[{rate}, {first}] || ARRAY(SELECT {tier} FROM {_TIERS})",  # noqa: S608  ours
    }
    return values, [] if change.band is None else [change.band]


def _priced(column: str, change: RateChange) -> str:
    sql = {
        Step.KEEP: column,
        Step.SET: f"{change.amount:f}::numeric",
        Step.ADD: f"({column} + ({change.amount:f}))",
        Step.PERCENT: f"({column} * ({100 + change.amount:f}) * 0.01)",
    }[change.step]
    return sql if change.decimals is None else f"round({sql}, {change.decimals})"


def _number(value: Decimal | None, column: str) -> str:
    return column if value is None else f"{value:f}::numeric"


_FAULTS = {
    "E_NEGATIVE": "(SELECT min(price) FROM unnest(new_prices) price) < 0",
    "E_LIMIT": f"(SELECT max(price) FROM unnest(new_prices) price) >= {PRICE_MAX} OR length(new_tiers) > 400",  # noqa: S608  ours
    "E_DECIMALS": f"(SELECT max(scale(trim_scale(price))) FROM unnest(new_prices) price) > {PRICE_DECIMALS}",  # noqa: S608  ours
    "E_TIER": (
        "nullif(split_part(new_tiers, ':', 1), '')::numeric"
        " < CASE free_kind WHEN 'free_first_n' THEN free_seconds ELSE 0 END + new_first_increment"
    ),
}


def _refuse_faults(version: DeckVersion, change: RateChange) -> None:
    """Raises EditRefused with every kind of fault, how many rows have it, and the first prefix."""
    kinds = ", ".join(f"count(*) FILTER (WHERE {sql}), min(key) FILTER (WHERE {sql})" for sql in _FAULTS.values())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {kinds} FROM rating_edited WHERE changed")  # noqa: S608  names are ours
        found = cursor.fetchone()
    faults = [
        RowsAtFault(code, count, prefix)
        for code, count, prefix in zip(_FAULTS, found[::2], found[1::2], strict=True)
        if count
    ]
    if change.band is not None:
        faults += _duplicates(version)
    if faults:
        raise EditRefused(faults=faults)


def _duplicates(version: DeckVersion) -> list[RowsAtFault]:
    """Rows that would speak of the same calls as another one, now that they have another band."""
    rows, params = rates_of(version).order_by().values("id", *_IDENTITY).query.sql_with_params()
    identity = ", ".join(_IDENTITY)
    edited = identity.replace("band", "new_band")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), min(key) FROM (SELECT key, bool_or(changed) AS changed FROM ("  # noqa: S608  ours
            f" SELECT {edited}, changed FROM rating_edited UNION ALL"
            f" SELECT {identity}, false FROM ({rows}) r WHERE r.id NOT IN (SELECT id FROM rating_edited)"
            f") every GROUP BY {edited} HAVING count(*) > 1) twice WHERE changed",
            params,
        )
        count, prefix = cursor.fetchone()
    return [RowsAtFault("E_DUPLICATE", count, prefix)] if count else []


def _write(draft: DeckVersion) -> None:
    """Put the changed rows into the draft, in place of those that they come from."""
    columns = ", ".join(CONTENT)
    values = ", ".join(f"new_{name}" if name in _EDITED else name for name in CONTENT)
    end_found(draft, "SELECT id FROM rating_edited WHERE changed")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rating_rate (deck_id, valid_from_version, {columns})"  # noqa: S608  names are ours
            f" SELECT %s, %s, {values} FROM rating_edited WHERE changed ORDER BY key, id",
            [draft.deck_id, draft.number],
        )


def _shown_rows() -> tuple[EditedRow, ...]:
    names = ", ".join([*_EDITED, *(f"new_{name}" for name in _EDITED)])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT prefix, destination, carrier, {names} FROM rating_edited"  # noqa: S608  names are ours
            f" WHERE changed ORDER BY key, id LIMIT {SHOWN_MAX}"
        )
        return tuple(_shown_row(*row) for row in cursor.fetchall())


def _shown_row(prefix: str, destination: str, carrier: str, *values: Any) -> EditedRow:
    before, after = values[: len(_EDITED)], values[len(_EDITED) :]
    percent = (after[0] - before[0]) * 100 / before[0] if before[0] else None
    return EditedRow(prefix, destination, carrier, _texts(before), _texts(after), percent)


def _texts(values: tuple[Any, ...]) -> Mapping[str, str]:
    return {
        name: number_text(value) if isinstance(value, Decimal) else value or ""
        for name, value in zip(_EDITED, values, strict=True)
    }
