"""Rate limits: token buckets in Valkey, shared by all processes. While it is away each process counts for itself.

At every door a caller, its organisation and the address it comes from have a bucket each, those of intake apart from
those of all else, so that a platform that sends too much does not lock out the people of its customer.
"""

import functools
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import redis
from django.conf import settings
from redis.exceptions import RedisError

from billing_platform.errors import RateLimited

CONNECT_SECONDS, SOCKET_SECONDS = 0.3, 0.5
SILENT_SECONDS = 5.0  # after a failure nobody asks for so long
LOCAL_MAX = 10_000
_log = logging.getLogger(__name__)

INTAKE = ("/api/v1/cdrs", "/api/v1/providers/", "/api/v1/ivr/", "/api/billaccounts/", "/onlyuser/")
SHARES = 50  # a process fetches a fiftieth of a bucket and hands it out by itself
UNASKED = 50  # and lets a fiftieth of the pace pass unasked: thousands who call now and then cost no question

# Refill by the time that passed, take up to so many tokens or say in how many milliseconds there is one.
_SCRIPT = """
local capacity, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(stored[1]) or capacity
tokens = math.min(capacity, tokens + (now - (tonumber(stored[2]) or now)) * capacity / period)
local wait, taken = 0, math.min(math.floor(tokens), tonumber(ARGV[3]))
if taken == 0 then wait = math.ceil((1 - tokens) * period / capacity) end
tokens = tokens - taken
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('PEXPIRE', KEYS[1], period)
return {taken, wait}
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `tokens` at once, refilled over `seconds`."""

    tokens: int
    seconds: int


def take(bucket: str, limit: Rate) -> None:
    """Take one token. Raises RateLimited with `retry_after` (seconds)."""
    _fetch(bucket, limit, at_most=1)


def check_pace(path: str, actor: str, organization: str) -> None:
    """A token of the caller's bucket and one of its organisation's. Raises RateLimited."""
    kind, rates = _rates(path)
    _take_of_share(f"{kind}:{actor}", Rate(*rates[0]))
    if organization:
        _take_of_share(f"{kind}:organization:{organization}", Rate(*rates[1]))


def check_address(path: str, address: str) -> None:
    """A token of the bucket of an address, whoever calls from there. Raises RateLimited."""
    kind, rates = _rates(path)
    _take_of_share(f"{kind}:address:{address}", Rate(*rates[2]))


def _rates(path: str) -> tuple[str, Sequence[tuple[int, int]]]:
    return ("intake", settings.INTAKE_RATES) if path.startswith(INTAKE) else ("api", settings.API_RATES)


_shares: dict[str, list[float]] = {}  # bucket: tokens that this process holds, and the second that began them
_asking = threading.Lock()  # one thread fetches: a share each for all that wait would empty the bucket


def _take_of_share(bucket: str, limit: Rate) -> None:
    """Like `take`, for busy doors: one question to Valkey serves many requests, and a slow caller needs none."""
    now, share = monotonic(), _shares.get(bucket)
    if share is None:
        if len(_shares) > LOCAL_MAX:
            _shares.clear()
        share = _shares[bucket] = [0, float("-inf")]
    if now - share[1] >= 1:
        share[:] = max(share[0], limit.tokens // (limit.seconds * UNASKED)), now
    if share[0] < 1:
        with _asking:
            if share[0] < 1:
                share[0] += _fetch(bucket, limit, at_most=-(-limit.tokens // SHARES))
    share[0] -= 1


def _fetch(bucket: str, limit: Rate, *, at_most: int) -> int:
    """So many tokens, one at least. Raises RateLimited."""
    taken, wait_ms = _shared(bucket, limit, at_most) or _local(bucket, limit, at_most)
    if not taken:
        raise RateLimited(retry_after=-(-wait_ms // 1000))
    return taken


@functools.lru_cache(maxsize=4)
def _server(url: str, _pid: int) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=SOCKET_SECONDS)


class _Outage:
    silent_until = 0.0


_outage = _Outage()


def _shared(bucket: str, limit: Rate, at_most: int) -> tuple[int, int] | None:
    """Tokens taken and, where there is none, milliseconds to wait; None when Valkey does not answer."""
    if monotonic() < _outage.silent_until:
        return None
    try:
        server = _server(settings.REDIS_URL, os.getpid())
        taken, wait = server.eval(_SCRIPT, 1, f"limit:{bucket}", limit.tokens, limit.seconds * 1000, at_most)
        return int(taken), int(wait)
    except RedisError as error:
        _outage.silent_until = monotonic() + SILENT_SECONDS
        _log.warning("rate limits count locally: %s", type(error).__name__)
        return None


_buckets: dict[str, tuple[float, float]] = {}


def _local(bucket: str, limit: Rate, at_most: int) -> tuple[int, int]:
    """The same bucket in this process's memory."""
    now = monotonic()
    if len(_buckets) > LOCAL_MAX:
        _buckets.clear()
    tokens, at = _buckets.get(bucket, (limit.tokens * 1.0, now))
    tokens = min(limit.tokens, tokens + (now - at) * limit.tokens / limit.seconds)
    taken = min(int(tokens), at_most)
    _buckets[bucket] = tokens - taken, now
    return taken, 0 if taken else int((1 - tokens) * limit.seconds * 1000 / limit.tokens) + 1
