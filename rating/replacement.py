"""The rows of a draft replaced as a whole: afterwards it holds the given rows, each once, and no others.

Unlike a difference by prefix and selectors, two rows for the same calls may stand side by side and compete by price.
Rows that the draft has already stay what they are, so a version stores only what is new.
"""

from collections.abc import Iterable

from django.db import connection

from rating.drafts import end_found
from rating.formats.fields import ParsedRow
from rating.importing.incoming import load_rows
from rating.models import DeckVersion
from rating.versions import CONTENT, rates_of

_COLUMNS = ", ".join(CONTENT)


def replace_rows(draft: DeckVersion, rows: Iterable[ParsedRow]) -> None:
    """Give the draft exactly these rows; of equal ones it holds one."""
    load_rows(rows)
    sql, params = rates_of(draft).order_by().values("id", *CONTENT).query.sql_with_params()
    ended = (
        f"SELECT old.id FROM ({sql}) old WHERE NOT EXISTS (SELECT FROM rating_incoming i"  # noqa: S608  names are ours
        f" WHERE md5(ROW({_of('i')})::text) = md5(ROW({_of('old')})::text))"
    )
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS rating_ended, rating_added")
        cursor.execute(f"CREATE TEMPORARY TABLE rating_ended ON COMMIT DROP AS {ended}", params)
        cursor.execute(
            "CREATE TEMPORARY TABLE rating_added ON COMMIT DROP AS"  # noqa: S608  names are ours
            f" SELECT {_COLUMNS} FROM rating_incoming EXCEPT SELECT {_of('old')} FROM ({sql}) old",
            params,
        )
    end_found(draft, "SELECT id FROM rating_ended")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rating_rate (deck_id, valid_from_version, {_COLUMNS})"  # noqa: S608  names are ours
            f" SELECT %s, %s, {_COLUMNS} FROM rating_added ORDER BY key, priority, band, rate",
            [draft.deck_id, draft.number],
        )


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in CONTENT)
