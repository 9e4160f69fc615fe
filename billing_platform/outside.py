"""The guarded HTTP client for addresses that customers chose: webhooks, IVR servers, recordings, ERP.

The name is resolved once, every address is judged, and the connection goes to the judged one with the name as Host and
SNI: what the text of the URL looks like, or what DNS says a moment later, changes nothing. No redirects, no proxy from
the environment, a deadline for the whole, a cap on the bytes read (compression is not asked for and not undone). The
remote body never reaches our errors.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit

import httpcore

from billing_platform.errors import PlatformError

PORTS = frozenset({80, 443, *range(8000, 9001)})
BODY_MAX = 64 * 1024
REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ]
)
_resolvers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")  # getaddrinfo knows no deadline


class AddressRefused(PlatformError):
    """We do not go there: scheme, port, user part, or an address inside somebody's private network."""

    code, http_status, grpc_status = "address_refused", 422, "INVALID_ARGUMENT"


class OutsideFailed(PlatformError):
    """No complete answer: `reason` is timeout, connect, protocol or too_large. What the other side did is unknown."""

    code, http_status, grpc_status, retryable = "outside_failed", 502, "UNAVAILABLE", True


@dataclass(frozen=True, slots=True)
class Target:
    """A judged place to connect to."""

    url: SplitResult
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def is_allowed(address: str, *, exceptions: Sequence[str] = ()) -> bool:
    """Global unicast and outside the refused networks, or inside the operator's exceptions."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in ipaddress.ip_network(network) for network in exceptions):
        return True
    return ip.is_global and not any(ip in network for network in REFUSED)


def judged_target(url: str, *, exceptions: Sequence[str] = (), seconds: float = 5.0) -> Target:
    """Parse, resolve once and judge every address. Raises AddressRefused, OutsideFailed when the name has none."""
    parts = check_url(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = _resolved(str(parts.hostname), port, seconds=seconds)
    if not all(is_allowed(address, exceptions=exceptions) for address in addresses):
        raise AddressRefused("this address is not reachable from here")
    excepted = any(ipaddress.ip_address(addresses[0]) in ipaddress.ip_network(network) for network in exceptions)
    if parts.scheme != "https" and not excepted:
        raise AddressRefused("https only")
    if port not in PORTS and not excepted:
        raise AddressRefused("ports 80, 443 and 8000 to 9000 only")
    return Target(parts, addresses[0], port)


def check_url(url: str) -> SplitResult:
    """Judge the text alone, as a form does before it is saved. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise AddressRefused("not a URL") from None
    clean = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if not clean or not host or parts.scheme not in {"http", "https"} or port == 0:
        raise AddressRefused("write https://name/path")
    if "@" in parts.netloc or parts.fragment or len(url) > 500:
        raise AddressRefused("no user part, no fragment, at most 500 characters")
    return parts


def _resolved(host: str, port: int, *, seconds: float) -> list[str]:
    try:
        found = _resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(timeout=seconds)
    except (FutureTimeout, OSError, UnicodeError):
        raise OutsideFailed("the name does not resolve", reason="connect") from None
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def post(
    target: Target, *, body: bytes, headers: Mapping[str, str], seconds: float = 15.0, body_max: int = BODY_MAX
) -> Answer:
    """POST to a judged target: `seconds` for everything, at most `body_max` bytes of answer. Raises OutsideFailed."""
    return _ask(target, "POST", body=body, headers=headers, seconds=seconds, body_max=body_max)


def get(target: Target, *, headers: Mapping[str, str], seconds: float = 15.0, body_max: int = BODY_MAX) -> Answer:
    """GET from a judged target, within the same limits. Raises OutsideFailed."""
    return _ask(target, "GET", body=None, headers=headers, seconds=seconds, body_max=body_max)


def save(target: Target, into: IO[bytes], *, headers: Mapping[str, str], seconds: float, body_max: int) -> Answer:
    """GET whose body goes into a file piece by piece, within the same limits; the answer's own body stays empty.

    Raises OutsideFailed; what stands in the file then is worth nothing.
    """
    with _asked(target, "GET", body=None, headers=headers, seconds=seconds) as response:
        for piece in _capped(response.iter_stream(), body_max):
            into.write(piece)
        return Answer(response.status, _headers(response), b"")


def _ask(
    target: Target, method: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, body_max: int
) -> Answer:
    with _asked(target, method, body=body, headers=headers, seconds=seconds) as response:
        return Answer(response.status, _headers(response), b"".join(_capped(response.iter_stream(), body_max)))


@contextmanager
def _asked(
    target: Target, method: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float
) -> Iterator[httpcore.Response]:
    """The answer while its body is being read; whatever goes wrong on the way becomes OutsideFailed."""
    until = time.monotonic() + seconds
    sent = {**headers, "Host": target.url.netloc, "Accept-Encoding": "identity", "Connection": "close"}
    try:
        with (
            httpcore.ConnectionPool(network_backend=_JudgedBackend(target, until)) as pool,
            pool.stream(method, target.url.geturl(), headers=list(sent.items()), content=body) as response,
        ):
            yield response
    except httpcore.TimeoutException:
        raise OutsideFailed(reason="timeout") from None
    except httpcore.ConnectError:
        raise OutsideFailed(reason="connect") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError):
        raise OutsideFailed(reason="protocol") from None


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _capped(pieces: Iterable[bytes], body_max: int) -> Iterator[bytes]:
    taken = 0
    for piece in pieces:
        taken += len(piece)
        if taken > body_max:
            raise OutsideFailed(reason="too_large")
        yield piece


class _JudgedBackend(httpcore.NetworkBackend):
    """Connects to the judged address whatever the name says now, and lets no step go beyond the deadline."""

    def __init__(self, target: Target, until: float) -> None:
        self._target, self._until = target, until
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        assert (host, port) == (self._target.url.hostname, self._target.port)
        stream = self._sockets.connect_tcp(self._target.address, port, timeout=_left(self._until))
        return _JudgedStream(stream, self._until)


class _JudgedStream(httpcore.NetworkStream):
    """A receiver that drips resets a read's timeout with every byte: here the rest of the whole is the timeout."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream, self._until = stream, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_left(self._until))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(self._until))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname=server_hostname, timeout=_left(self._until))
        return _JudgedStream(stream, self._until)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
