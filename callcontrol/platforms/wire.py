"""HTTP towards callback platforms: one connection a request, 2 s to connect, 8 s in all, no repeat, no redirect.

No proxy from the environment; compression is not asked for.
"""

import functools
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpcore

from callcontrol.platforms.adapter import PlatformSilent

CONNECT_SECONDS, TOTAL_SECONDS = 2.0, 8.0
BODY_MAX = 256 * 1024
OWN_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "billing-platform"}


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
        with _asked(method, url, body, headers) as response:
            found = bytearray()
            for piece in response.iter_stream():
                found += piece
                if len(found) > BODY_MAX or time.monotonic() > until:
                    raise PlatformSilent("the answer does not end")
            return Reply(response.status, bytes(found))
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.UnsupportedProtocol) as error:
        raise NotSent(type(error).__name__) from error
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise PlatformSilent(type(error).__name__) from error


def _asked(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> AbstractContextManager[httpcore.Response]:
    try:
        target = httpcore.URL(url)
    except (TypeError, ValueError) as error:  # letters beyond ASCII, a port that is no number
        raise NotSent("InvalidURL") from error
    sent = [(name.encode(), value.encode()) for name, value in {**OWN_HEADERS, **headers}.items()]
    limits = dict.fromkeys(("read", "write", "pool"), TOTAL_SECONDS) | {"connect": CONNECT_SECONDS}
    return _pool(os.getpid()).stream(method, target, headers=sent, content=body or None, extensions={"timeout": limits})


@functools.lru_cache(maxsize=1)
def _pool(_pid: int) -> httpcore.ConnectionPool:
    """No connection is kept: one that the platform has closed meanwhile would make an outcome unknown for nothing."""
    return httpcore.ConnectionPool(max_connections=None, max_keepalive_connections=0)
