"""Repeating a transaction that PostgreSQL gave up for a passing reason; a decision of ours is never repeated."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, OperationalError, connection

from billing_platform.errors import Unavailable

Result = TypeVar("Result")

LOCK_TIMEOUT = "55P03"
PASSING = frozenset({"40001", "40P01", LOCK_TIMEOUT})  # serialization failure, deadlock
CUT = frozenset({"57P01", "57P02", "57P03", "08000", "08003", "08006", "25P03"})  # server going away or cut: unknown
ATTEMPTS = 5


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE behind a Django database error; "" when the connection itself failed."""
    return str(getattr(error.__cause__, "pgcode", None) or "")


def is_cut(error: DatabaseError) -> bool:
    """Is the connection gone, so that a commit in flight may or may not have happened?"""
    return isinstance(error, OperationalError) and (sqlstate(error) in CUT or sqlstate(error) == "")


def limit_waiting(*, lock_seconds: float = 2, statement_seconds: float = 5) -> None:
    """Bound locks and statements of the present transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL lock_timeout = %s; SET LOCAL statement_timeout = %s",
            [int(lock_seconds * 1000), int(statement_seconds * 1000)],
        )


def repeated(
    transaction: Callable[[], Result],
    *,
    seconds: float,
    passing: frozenset[str] = PASSING,
    repeat_cut: bool = False,
) -> Result:
    """Run a whole transaction, again on passing failures: at most 5 times and not beyond `seconds`.

    With `repeat_cut` a lost connection counts as passing too: only for transactions that begin by reading their key.
    Raises Unavailable when the attempts are used up.
    """
    until = time.monotonic() + seconds
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return transaction()
        except DatabaseError as error:
            cut = is_cut(error)
            if sqlstate(error) not in passing and not cut:
                raise
            if cut:
                connection.close()
            pause = random.uniform(0.5, 1) * 0.01 * 2**attempt  # noqa: S311  jitter, not a secret
            if attempt == ATTEMPTS or time.monotonic() + pause > until or (cut and not repeat_cut):
                raise Unavailable("the database could not decide in time; repeat the same content") from error
            time.sleep(pause)
    raise AssertionError("unreachable")
