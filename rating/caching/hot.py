"""Hot rules: the rows of one head of numbers in Valkey, for processes that have not compiled the deck. 热点费率.

    rate:{version}:{calendar revision}:{head}    kept for an hour

The name says which version and calendar, so nothing is ever deleted when prices change. What is not there, cannot be
read, or does not come at once is read from the database: without Valkey a look-up costs a query, and no price changes.
"""

import functools
import logging
import os
import time
from collections.abc import Sequence

import msgspec
import redis
from django.conf import settings
from django.db import connection
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from billing_platform import metrics
from rating.caching.stored import TERM_COLUMNS, StoredRow

TTL_SECONDS = 3600
ANSWER_SECONDS = 0.025  # a call waits for this and for the database, 50 ms at most
SILENT_SECONDS = 5.0  # after a failure nobody asks for so long
_log = logging.getLogger(__name__)


class _HotRows(msgspec.Struct, array_like=True):
    """Terms once each, in the columns named; per row its id, key, destination and the place of its terms."""

    columns: tuple[str, ...]
    terms: list[str]
    rows: list[tuple[int, str, str, int]]


class _Outage:
    silent_until = 0.0


_outage = _Outage()
_decoder = msgspec.json.Decoder(_HotRows)


def find_hot(version: str, calendar: int, head: str) -> list[StoredRow] | None:
    """The rows of a head as another process kept them; None when nobody did, or Valkey does not say."""
    server = _server_to_ask()
    if server is None:
        return None
    try:
        kept = server.get(_name(version, calendar, head))
        rows = _rows(kept) if isinstance(kept, bytes) else None
    except (RedisError, OSError) as error:
        _be_silent(error)
        return None
    metrics.rate_cache.labels("valkey", "miss" if rows is None else "hit").inc()
    return rows


def keep_hot(version: str, calendar: int, head: str, rows: Sequence[StoredRow]) -> None:
    """Let others find what the database said."""
    server = _server_to_ask()
    if server is None:
        return
    places = {terms: place for place, terms in enumerate(dict.fromkeys(row.terms for row in rows))}
    kept = _HotRows(
        TERM_COLUMNS, list(places), [(row.rate_id, row.key, row.destination, places[row.terms]) for row in rows]
    )
    try:
        server.set(_name(version, calendar, head), msgspec.json.encode(kept), ex=TTL_SECONDS)
    except (RedisError, OSError) as error:
        _be_silent(error)


def _name(version: str, calendar: int, head: str) -> str:
    return f"rate:{version}:{calendar}:{head}"


def _rows(kept: bytes) -> list[StoredRow] | None:
    """None for what another release wrote in other columns, or what nobody of us wrote."""
    try:
        hot = _decoder.decode(kept)
        if hot.columns != TERM_COLUMNS:
            return None
        return [StoredRow(rate_id, key, name, hot.terms[place]) for rate_id, key, name, place in hot.rows]
    except (msgspec.DecodeError, IndexError):
        return None


def _server_to_ask() -> "redis.Redis | None":
    """Valkey, unless it failed just now; inside a transaction nothing waits for it."""
    if time.monotonic() < _outage.silent_until or connection.in_atomic_block:
        return None
    return _server(settings.REDIS_URL, os.getpid())


@functools.lru_cache(maxsize=4)
def _server(url: str, _pid: int) -> "redis.Redis":
    return redis.Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def _be_silent(error: Exception) -> None:
    _outage.silent_until = time.monotonic() + SILENT_SECONDS
    _log.warning("hot rules are read from the database: %s", type(error).__name__)
