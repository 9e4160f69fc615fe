"""HTTP towards callback platforms: one connection a request, 2 s to connect, 8 s in all, no repeat, no redirect."""

import functools
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from callcontrol.platforms.adapter import PlatformSilent

CONNECT_SECONDS, TOTAL_SECONDS = 2.0, 8.0
BODY_MAX = 256 * 1024


class NotSent(PlatformSilent):
    """Nobody was reached."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


def ask(method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str]) -> Reply:
    """The reply, whatever its status. Raises NotSent, PlatformSilent (cut, late, too long: the outcome is unknown)."""
    until = time.monotonic() + TOTAL_SECONDS
    try:
        with _client(os.getpid()).stream(method, url, content=body or None, headers=dict(headers)) as response:
            found = bytearray()
            for piece in response.iter_bytes(8192):
                found += piece
                if len(found) > BODY_MAX or time.monotonic() > until:
                    raise PlatformSilent("the answer does not end")
            return Reply(response.status_code, bytes(found))
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotSent(type(error).__name__) from error
    except httpx.HTTPError as error:
        raise PlatformSilent(type(error).__name__) from error


@functools.lru_cache(maxsize=1)
def _client(_pid: int) -> httpx.Client:
    """No connection is kept: one that the platform has closed meanwhile would make an outcome unknown for nothing."""
    return httpx.Client(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_keepalive_connections=0),
    )
