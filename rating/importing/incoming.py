"""What a file would change in a draft: its rows compared set by set in the database, then written as differences.

Rows go into a temporary table with COPY; one statement compares all of them with the draft's content.
"""

import csv
import io
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.db import connection

from rating.differences import Difference, same_calls, same_row, takes_over
from rating.drafts import end_found
from rating.formats.fields import ParsedRow
from rating.formats.text import tiers_text
from rating.models import DeckImport, DeckVersion
from rating.numbers.number_tables import COUNTRY_CODES
from rating.terms import RateTerms
from rating.versions import CONTENT, rates_of

_SAME_ROW = same_row("i", "b")
_COLUMNS = ", ".join(CONTENT)
_NULL = "\\N"
# What incoming rows for the same calls take of a period.
_NAMED = "range_agg(tstzrange(i.effective_from, i.effective_to))"
_FROM_THE_FIRST_ON = "tstzmultirange(tstzrange(min(coalesce(i.effective_from, '-infinity')), NULL))"
_DROP = "DROP TABLE IF EXISTS rating_incoming, rating_before, rating_compared, rating_cut, rating_unlisted"


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
    """Find for each incoming row the draft's row that it speaks of, and whether it says anything new.

    Rates are compared per second: each is multiplied by the unit of the other.
    """
    sql, params = rates_of(draft).order_by().values("id", *CONTENT).query.sql_with_params()
    content_i, content_b = (", ".join(f"{table}.{name}" for name in CONTENT) for table in "ib")
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE rating_before ON COMMIT DROP AS {sql}",
            params,
        )
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_compared ON COMMIT DROP AS"  # noqa: S608  names are ours
            " SELECT DISTINCT ON (i.row_number) i.row_number, b.id AS before_id, t.id AS taken_id,"
            " coalesce(b.rate, t.rate) * i.rate_unit AS old_rate,"
            " i.rate * coalesce(b.rate_unit, t.rate_unit) AS new_rate, b.id IS NOT NULL"
            f" AND ROW({content_i}) IS NOT DISTINCT FROM ROW({content_b}) AS same"
            f" FROM rating_incoming i LEFT JOIN rating_before b ON {_SAME_ROW}"
            " LEFT JOIN rating_before t ON b.id IS NULL AND i.effective_from IS NOT NULL"
            f" AND {takes_over('i', 't')} ORDER BY i.row_number, b.id, t.id"
        )


def find_unlisted(mode: str, *, unusable_keys: Collection[str] = ()) -> None:
    """Have the rows that end because the rows compared do not name them, by the mode of an import.

    A row in error is listed all the same: what stands on its key goes on. A row whose period meets that of an incoming
    one is cut: merged into, what is left of its period goes on; replaced, only what lies before the first new period.
    """
    _find_cut(_NAMED if mode == DeckImport.Mode.MERGE else _FROM_THE_FIRST_ON)
    ends, params = "true", []
    if mode == DeckImport.Mode.MERGE:
        ends = "false"
    elif mode == DeckImport.Mode.COUNTRY:
        ends, params = "b.key ~ %s", [_countries_pattern()]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_unlisted ON COMMIT DROP AS SELECT b.id FROM rating_before b"  # noqa: S608  ours
            f" WHERE {ends} AND b.key <> ALL(%s)"
            " AND NOT EXISTS (SELECT FROM rating_compared c WHERE c.before_id = b.id)"
            " AND NOT EXISTS (SELECT FROM rating_cut c WHERE c.id = b.id)",
            [*params, list(unusable_keys)],
        )


def _find_cut(taken: str) -> None:
    """Have the rows whose period an incoming row for the same calls meets, each with what is left of its period."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_cut ON COMMIT DROP AS"  # noqa: S608  names are ours
            f" SELECT b.id, tstzmultirange(tstzrange(b.effective_from, b.effective_to)) - {taken} AS left_over"
            f" FROM rating_before b JOIN rating_incoming i ON {same_calls('i', 'b')}"
            " AND (i.effective_from IS NOT NULL OR b.effective_from IS NOT NULL)"
            " AND tstzrange(i.effective_from, i.effective_to) && tstzrange(b.effective_from, b.effective_to)"
            " WHERE NOT EXISTS (SELECT FROM rating_compared c WHERE c.before_id = b.id)"
            " AND (SELECT EXISTS (SELECT FROM rating_incoming WHERE effective_from IS NOT NULL)"
            " OR EXISTS (SELECT FROM rating_before WHERE effective_from IS NOT NULL))"  # most files: nothing to join
            " GROUP BY b.id, b.effective_from, b.effective_to"
        )


def _countries_pattern() -> str:
    """What keys of the countries begin with that occur among the incoming rows; raw keys may bear + or 00."""
    with connection.cursor() as cursor:
        cursor.execute(r"SELECT DISTINCT left(regexp_replace(key, '^(\+|00)', ''), 3) FROM rating_incoming")
        heads = [head for (head,) in cursor.fetchall()]
    countries = {head[:length] for head in heads for length in (1, 2, 3)} & COUNTRY_CODES
    return rf"^(\+|00)?({'|'.join(sorted(countries))})" if countries else "^(?!)"


def measured() -> Difference:
    """The counts of the comparison."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE coalesce(before_id, taken_id) IS NULL),
                   count(*) FILTER (WHERE new_rate > old_rate),
                   count(*) FILTER (WHERE new_rate < old_rate),
                   count(*) FILTER (WHERE new_rate = old_rate AND NOT same),
                   count(*) FILTER (WHERE same),
                   (SELECT count(*) FROM rating_unlisted)
                   + (SELECT count(*) FROM rating_cut WHERE isempty(left_over))
              FROM rating_compared
            """
        )
        return Difference(*cursor.fetchone())


def write(draft: DeckVersion) -> None:
    """Put the differences into the draft: new and changed rows, and the ends of those they replace."""
    ended = (
        "SELECT before_id FROM rating_compared WHERE before_id IS NOT NULL AND NOT same"
        " UNION SELECT id FROM rating_unlisted UNION SELECT id FROM rating_cut"
    )
    with connection.cursor() as cursor:
        _write_left_over(cursor, draft)
    end_found(draft, ended)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rating_rate (deck_id, valid_from_version, {_COLUMNS})"  # noqa: S608  names are ours
            f" SELECT %s, %s, {', '.join(f'i.{name}' for name in CONTENT)} FROM rating_incoming i"
            " JOIN rating_compared c USING (row_number) WHERE NOT c.same ORDER BY i.key, i.row_number",
            [draft.deck_id, draft.number],
        )


def _write_left_over(cursor: Any, draft: DeckVersion) -> None:
    """Rows that are cut go on as rows of their own, one for each part of their period that is left."""
    period = {"effective_from": "lower(part)", "effective_to": "upper(part)"}
    values = ", ".join(period.get(name, f"b.{name}") for name in CONTENT)
    cursor.execute(
        f"INSERT INTO rating_rate (deck_id, valid_from_version, {_COLUMNS})"  # noqa: S608  names are ours
        f" SELECT %s, %s, {values} FROM rating_cut c JOIN rating_before b USING (id), unnest(c.left_over) part",
        [draft.deck_id, draft.number],
    )


def outcomes() -> Iterator[tuple[int, str]]:
    """What became of each incoming row, by its `terms.rate_id`: created, raised, lowered, other or same."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT row_number, CASE WHEN coalesce(before_id, taken_id) IS NULL THEN 'created' WHEN same THEN 'same'
                                    WHEN new_rate > old_rate THEN 'raised' WHEN new_rate < old_rate THEN 'lowered'
                                    ELSE 'other' END
              FROM rating_compared
            """
        )
        yield from cursor


def _copy_lines(rows: Iterable[ParsedRow]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for parsed in rows:
        writer.writerow([parsed.terms.rate_id, parsed.terms.prefix, parsed.key, *_stored(parsed.terms)])
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


def counts_of(difference: Difference, *, read: int, skipped: int, error: int) -> dict[str, int]:
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
