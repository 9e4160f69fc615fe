"""The content of drafts: drawn from a version, edited row by row, closed and hashed when it is published."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from billing_platform.auth import Caller
from billing_platform.trail import record_act
from rating.formats.directives import render_band
from rating.models import DeckVersion, Rate, RateEnd
from rating.versions import CONTENT, bands_of, head_of, rates_of

MANY_ROWS = 1_000


def own_rows(draft: DeckVersion) -> dict[str, int]:
    """The filter for rows that the draft itself introduces."""
    return {"deck_id": draft.deck_id, "valid_from_version": draft.number}


@transaction.atomic  # the rows and their audit entries
def remove_rates(draft: DeckVersion, rates: Iterable[Rate], *, caller: Caller) -> None:
    """A person takes rows out of the draft's content."""
    removed = list(rates)
    for rate in removed:
        before = {"deck": draft.deck.code, "prefix": rate.prefix, "rate": str(rate.rate)}
        record_act(caller, "rate.delete", target=("rate", rate.pk), change=(before, None))
    end_rates(draft, [rate.pk for rate in removed])


def end_rates(draft: DeckVersion, rate_ids: list[int]) -> None:
    """Rows of the draft's content are no longer in it: its own go away, inherited ones end with it."""
    own = Rate.objects.filter(**own_rows(draft), pk__in=rate_ids)
    inherited = Rate.objects.filter(pk__in=rate_ids).exclude(**own_rows(draft)).values_list("pk", flat=True)
    RateEnd.objects.bulk_create([RateEnd(draft=draft, rate_id=rate_id) for rate_id in inherited], ignore_conflicts=True)
    own.delete()


def turn_into(draft: DeckVersion, like: DeckVersion | None) -> None:
    """Make the draft's content that of another version: end what that had not, copy what it had."""
    columns = ", ".join(CONTENT)
    base_sql, base_params = ids_sql(draft)
    like_sql, like_params = ids_sql(like) if like is not None else ("SELECT 0::bigint WHERE false", ())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rating_rate (deck_id, valid_from_version, {columns})"  # noqa: S608  names are ours
            f" SELECT %s, %s, {columns} FROM rating_rate"
            f" WHERE id IN ({like_sql} EXCEPT {base_sql}) ORDER BY id",
            [draft.deck_id, draft.number, *like_params, *base_params],
        )
        cursor.execute(
            "INSERT INTO rating_rateend (draft_id, rate_id)"  # noqa: S608  names are ours
            f" SELECT %s, id FROM ({base_sql} EXCEPT {like_sql}) ended"
            " WHERE id NOT IN (SELECT id FROM rating_rate WHERE deck_id = %s AND valid_from_version = %s)",
            [draft.pk, *base_params, *like_params, draft.deck_id, draft.number],
        )


def ids_sql(version: DeckVersion) -> tuple[str, tuple[Any, ...]]:
    """A query for the ids of the version's rows."""
    sql, params = rates_of(version).values("id").order_by().query.sql_with_params()
    return sql, tuple(params)


def settle_rows(draft: DeckVersion) -> None:
    """The rows that the draft ends are no longer in the versions from this one on; of many new ones the planner hears
    as soon as they are published, or the first look-ups by prefix would read the whole deck."""
    if Rate.objects.filter(**own_rows(draft))[MANY_ROWS:].exists():
        transaction.on_commit(_count_rows, robust=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rating_rate SET valid_to_version = %s FROM rating_rateend ended"
            " WHERE ended.draft_id = %s AND rating_rate.id = ended.rate_id",
            [draft.number, draft.pk],
        )


def _count_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE rating_rate (deck_id, key, valid_from_version)")


def hashed_content(draft: DeckVersion) -> tuple[str, int]:
    """SHA-256 over head, bands and rows, whatever the order in which they were stored; and the number of rows."""
    columns = ", ".join(f"r.{name}" for name in CONTENT)
    ids, params = ids_sql(draft)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT encode(sha256(convert_to("  # noqa: S608  names are ours
            "coalesce(string_agg(line, '' ORDER BY line COLLATE \"C\"), ''), 'UTF8')), 'hex'), count(*)"
            f" FROM (SELECT md5(ROW({columns})::text) AS line FROM rating_rate r"
            f" WHERE r.id IN ({ids})) lines",
            params,
        )
        rows_hash, rows = cursor.fetchone()
    head = head_of(draft)
    shared = [head.currency, head.zone, head.numbering, head.rounding, str(head.decimals)]
    lines = [*shared, *(render_band(band) for band in bands_of(draft)), rows_hash]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), rows


def end_found(draft: DeckVersion, ids_sql: str) -> None:
    """The rows whose ids this query of ours finds leave the draft's content: `end_rates` for a whole set."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rating_rateend (draft_id, rate_id)"  # noqa: S608  names are ours
            f" SELECT %s, id FROM rating_rate WHERE id IN ({ids_sql}) AND valid_from_version <> %s",
            [draft.pk, draft.number],
        )
        cursor.execute(
            f"DELETE FROM rating_rate WHERE id IN ({ids_sql}) AND deck_id = %s AND valid_from_version = %s",  # noqa: S608  names are ours
            [draft.deck_id, draft.number],
        )
