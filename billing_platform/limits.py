"""Rate limits: token buckets in Valkey, shared by all processes. While it is away each process counts for itself."""

import functools
import logging
import os
import time
from dataclasses import dataclass

import redis
from django.conf import settings
from redis.exceptions import RedisError

from billing_platform.errors import RateLimited

SILENT_SECONDS = 5.0  # after a failure nobody asks for so long
LOCAL_MAX = 10_000
_log = logging.getLogger(__name__)

# Refill by the time that passed, take one token or say in how many milliseconds there is one.
_SCRIPT = """
local capacity, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(stored[1]) or capacity
tokens = math.min(capacity, tokens + (now - (tonumber(stored[2]) or now)) * capacity / period)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) * period / capacity) end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('PEXPIRE', KEYS[1], period)
return wait
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `tokens` at once, refilled over `seconds`."""

    tokens: int
    seconds: int


def take(bucket: str, limit: Rate) -> None:
    """Take one token. Raises RateLimited with `retry_after` (seconds)."""
    wait_ms = _shared(bucket, limit)
    if wait_ms is None:
        wait_ms = _local(bucket, limit)
    if wait_ms:
        raise RateLimited(retry_after=-(-wait_ms // 1000))


@functools.lru_cache(maxsize=4)
def _server(url: str, _pid: int) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_connect_timeout=0.3, socket_timeout=0.5)


class _Outage:
    silent_until = 0.0


_outage = _Outage()


def _shared(bucket: str, limit: Rate) -> int | None:
    """Milliseconds to wait; None when Valkey does not answer."""
    if time.monotonic() < _outage.silent_until:
        return None
    try:
        server = _server(settings.REDIS_URL, os.getpid())
        return int(server.eval(_SCRIPT, 1, f"limit:{bucket}", limit.tokens, limit.seconds * 1000))
    except RedisError as error:
        _outage.silent_until = time.monotonic() + SILENT_SECONDS
        _log.warning("rate limits count locally: %s", type(error).__name__)
        return None


_buckets: dict[str, tuple[float, float]] = {}


def _local(bucket: str, limit: Rate) -> int:
    """The same bucket in this process's memory."""
    now = time.monotonic()
    if len(_buckets) > LOCAL_MAX:
        _buckets.clear()
    tokens, at = _buckets.get(bucket, (limit.tokens * 1.0, now))
    tokens = min(limit.tokens, tokens + (now - at) * limit.tokens / limit.seconds)
    if tokens >= 1:
        _buckets[bucket] = tokens - 1, now
        return 0
    _buckets[bucket] = tokens, now
    return int((1 - tokens) * limit.seconds * 1000 / limit.tokens) + 1
