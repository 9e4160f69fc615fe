"""What a file would change in a draft: rows compared set by set in the database, then written as differences.

Rows go into a temporary table with COPY; one statement compares all of them with the draft's content. A row is the same
row when prefix, selectors, band, priority and the start of its period agree.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from rating.formats.fields import ParsedRow
from rating.formats.text import tiers_text
from rating.models import DeckVersion
from rating.terms import RateTerms
from rating.versions import CONTENT, rates_of

_SAME_ROW = " AND ".join(
    [f"i.{name} = b.{name}" for name in ("key", "carrier", "reach", "kind", "band")]
    + ["coalesce(i.priority, -1) = coalesce(b.priority, -1)"]
    + ["coalesce(i.effective_from, '-infinity') = coalesce(b.effective_from, '-infinity')"]
)
_COLUMNS = ", ".join(CONTENT)
_NULL = "\\N"
_DROP = "DROP TABLE IF EXISTS rating_incoming, rating_before, rating_compared"


@dataclass(frozen=True, slots=True)
class Difference:
    """How many rows of a file are new, changed or the same, and what the change means. Rises are averages of ratios."""

    created: int
    raised: int
    lowered: int
    other: int
    same: int
    removed: int
    rows_before: int
    rise: Decimal  # average of new / old over the raised and lowered rows, minus 1
    jumps: int  # rates above five times their old value, or newly 0
    below_cost: int

    @property
    def changed(self) -> int:
        return self.raised + self.lowered + self.other


def load_rows(rows: Iterable[ParsedRow]) -> None:
    """Copy a file's rows into the transaction's temporary table."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP)
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_incoming ON COMMIT DROP AS"  # noqa: S608  names are ours
            f" SELECT 0::bigint AS row_number, {_COLUMNS} FROM rating_rate WITH NO DATA"
        )
        cursor.copy_expert(
            f"COPY rating_incoming (row_number, {_COLUMNS}) FROM STDIN WITH (FORMAT csv, NULL '{_NULL}')",
            _LineReader(_copy_lines(rows)),
        )
        cursor.execute("ANALYZE rating_incoming")


def load_version_rows(version: DeckVersion) -> None:
    """Have the rows of another version in place of a file's."""
    sql, params = rates_of(version).order_by().values("id", *CONTENT).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_DROP)
        cursor.execute(
            f"CREATE TEMPORARY TABLE rating_incoming (row_number, {_COLUMNS}) ON COMMIT DROP AS {sql}", params
        )


def compare(draft: DeckVersion) -> None:
    """Find for each incoming row the draft's row that it speaks of, and whether it says anything new."""
    sql, params = rates_of(draft).order_by().values("id", *CONTENT).query.sql_with_params()
    content_i, content_b = (", ".join(f"{table}.{name}" for name in CONTENT) for table in "ib")
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE rating_before ON COMMIT DROP AS {sql}",
            params,
        )
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_compared ON COMMIT DROP AS"  # noqa: S608  names are ours
            " SELECT DISTINCT ON (i.row_number) i.row_number, b.id AS before_id, b.rate AS old_rate,"
            " i.rate AS new_rate,"
            " i.cost_rate, i.blocked, b.id IS NOT NULL"
            f" AND ROW({content_i}) IS NOT DISTINCT FROM ROW({content_b}) AS same"
            f" FROM rating_incoming i LEFT JOIN rating_before b ON {_SAME_ROW} ORDER BY i.row_number, b.id"
        )


def measured(*, ends_unlisted: bool) -> Difference:
    """The counts of the comparison; `ends_unlisted` counts the rows that the file does not name as removed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE before_id IS NULL),
                   count(*) FILTER (WHERE before_id IS NOT NULL AND new_rate > old_rate),
                   count(*) FILTER (WHERE before_id IS NOT NULL AND new_rate < old_rate),
                   count(*) FILTER (WHERE before_id IS NOT NULL AND new_rate = old_rate AND NOT same),
                   count(*) FILTER (WHERE same),
                   (SELECT count(*) FROM rating_before),
                   coalesce(avg(new_rate / old_rate - 1) FILTER (WHERE old_rate > 0 AND new_rate <> old_rate), 0),
                   count(*) FILTER (WHERE before_id IS NOT NULL AND NOT blocked
                                      AND (new_rate > 5 * old_rate OR new_rate = 0) AND new_rate <> old_rate),
                   count(*) FILTER (WHERE new_rate < cost_rate AND NOT blocked)
              FROM rating_compared
            """
        )
        created, raised, lowered, other, same, before, rise, jumps, below_cost = cursor.fetchone()
        cursor.execute("SELECT count(DISTINCT before_id) FROM rating_compared WHERE before_id IS NOT NULL")
        (named,) = cursor.fetchone()
    return Difference(
        created=created,
        raised=raised,
        lowered=lowered,
        other=other,
        same=same,
        removed=before - named if ends_unlisted else 0,
        rows_before=before,
        rise=Decimal(rise),
        jumps=jumps,
        below_cost=below_cost,
    )


def write(draft: DeckVersion, *, ends_unlisted: bool) -> None:
    """Put the differences into the draft: new and changed rows, and the ends of those they replace."""
    ended = (
        "SELECT b.id FROM rating_before b WHERE NOT EXISTS"
        " (SELECT FROM rating_compared c WHERE c.before_id = b.id AND c.same)"
        if ends_unlisted
        else "SELECT before_id FROM rating_compared WHERE before_id IS NOT NULL AND NOT same"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rating_rateend (draft_id, rate_id)"  # noqa: S608  names are ours
            f" SELECT %s, r.id FROM rating_rate r WHERE r.id IN ({ended}) AND r.valid_from_version <> %s",
            [draft.pk, draft.number],
        )
        cursor.execute(
            f"DELETE FROM rating_rate WHERE id IN ({ended}) AND deck_id = %s AND valid_from_version = %s",  # noqa: S608  names are ours
            [draft.deck_id, draft.number],
        )
        cursor.execute(
            f"INSERT INTO rating_rate (deck_id, valid_from_version, {_COLUMNS})"  # noqa: S608  names are ours
            f" SELECT %s, %s, {', '.join(f'i.{name}' for name in CONTENT)} FROM rating_incoming i"
            " JOIN rating_compared c USING (row_number) WHERE NOT c.same ORDER BY i.key, i.row_number",
            [draft.deck_id, draft.number],
        )


def _copy_lines(rows: Iterable[ParsedRow]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for parsed in rows:
        writer.writerow([parsed.row, parsed.terms.prefix, parsed.key, *_stored(parsed.terms)])
        if line.tell() > 65536:
            yield line.getvalue()
            line.seek(0)
            line.truncate()
    yield line.getvalue()


def _stored(terms: RateTerms) -> list[Any]:
    return [_stored_value(name, getattr(terms, name)) for name in CONTENT[2:]]


def _stored_value(name: str, value: Any) -> Any:
    if value is None:
        return _NULL
    if name == "tiers":
        return tiers_text(value)
    return value.isoformat() if name in ("effective_from", "effective_to") else value


class _LineReader:
    """What COPY reads from: pieces of text behind a file's `read`."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, None)) is not None:
            self._rest += piece.encode()
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def counts_of(difference: Difference, *, read: int, skipped: int, error: int) -> Mapping[str, int]:
    """The counts of a receipt: read = created + changed + same + skipped + error."""
    return {
        "read": read,
        "created": difference.created,
        "changed": difference.changed,
        "raised": difference.raised,
        "lowered": difference.lowered,
        "other": difference.other,
        "same": difference.same,
        "skipped": skipped,
        "error": error,
        "removed": difference.removed,
    }
