"""Questions over many rows: answered within some seconds, or given up without holding up anybody."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import OperationalError, connection, transaction

from billing_platform.transactions import limit_waiting, sqlstate

GIVEN_UP = "57014"  # query_canceled


def rows_within(
    seconds: float, sql: str, values: Sequence[object] | Mapping[str, object]
) -> list[tuple[Any, ...]] | None:
    """The rows of a constant SELECT; None when PostgreSQL did not find them in `seconds`."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            limit_waiting(statement_seconds=seconds)
            cursor.execute(sql, values)  # type: ignore[arg-type]  # plain values
            return list(cursor.fetchall())
    except OperationalError as error:
        if sqlstate(error) != GIVEN_UP:
            raise
        return None
