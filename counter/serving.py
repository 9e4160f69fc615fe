"""Running the counter: every call bounded, admitted, counted; honest health; a stop that loses nothing."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from billing_platform import metrics
from billing_platform.auth import inside_networks
from billing_platform.errors import PlatformError
from counter.access import LOOPBACK, Access, access_of_peer
from counter.committer import charges
from counter.errors import CounterError, CounterUnavailable

SERVICE = "counter.CounterService"
MESSAGE_MAX = 4 << 20
STREAMS_MAX = 1000
QUEUE_PER_THREAD = 16  # what waits beyond that is shed at once: the caller repeats
HEALTH_SECONDS = 1.0
_log = logging.getLogger(__name__)
Reply = TypeVar("Reply")


class Load:
    """How many calls are in the house."""

    def __init__(self, limit: int) -> None:
        self._lock, self._inside, self.limit = threading.Lock(), 0, limit

    def __enter__(self) -> "Load":
        with self._lock:
            self._inside += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1

    @property
    def inside(self) -> int:
        return self._inside


load = Load(limit=QUEUE_PER_THREAD * settings.COUNTER_THREADS)


def answered(method: str, context: grpc.ServicerContext, scope: str, ask: Callable[[Access], Reply]) -> Reply:
    """The answer to one call: admitted by key or peer, counted, its refusal turned into status and metadata."""
    started = time.monotonic()
    code = "OK"
    with load:
        try:
            _require_time(context)
            access = access_of_peer(context.peer(), {str(k): str(v) for k, v in context.invocation_metadata()})
            access.require(scope)
            close_old_connections()
            return ask(access)
        except PlatformError as refusal:
            code = refusal.code
            _refuse(context, refusal)
        except (DatabaseError, InterfaceError):
            code = "counter_unavailable"
            _log.warning("the database did not answer %s", method, exc_info=True)
            _refuse(context, CounterUnavailable())
        finally:
            metrics.counter_calls.labels(method, code).inc()
            metrics.counter_duration.labels(method).observe(time.monotonic() - started)
    raise AssertionError("abort raises")


def _require_time(context: grpc.ServicerContext) -> None:
    """What has not begun when its deadline has passed is dropped, and so is what is too much."""
    left: float | None = context.time_remaining()  # None: the public client sets no deadline
    if left is not None and left <= 0:
        raise CounterUnavailable("the deadline has passed")
    if load.inside > load.limit:
        raise CounterUnavailable("too many calls at once")


def _refuse(context: grpc.ServicerContext, refusal: PlatformError) -> None:
    facts = [("x-reason", refusal.code), ("x-retryable", "true" if refusal.retryable else "false")]
    if isinstance(refusal, CounterError):
        facts.append(("x-code", str(refusal.billing_code)))
    if "state" in refusal.fields:
        facts.append(("x-state", str(refusal.fields["state"])))
    context.set_trailing_metadata(tuple(facts))
    context.abort(getattr(grpc.StatusCode, refusal.grpc_status), str(refusal))


@dataclass(frozen=True, slots=True)
class Running:
    """A started server: `ports` in the order of its addresses."""

    server: grpc.Server
    health: health.HealthServicer
    ports: list[int]
    stopping: threading.Event

    def stop(self) -> None:
        """NOT_SERVING, no new calls, what is inside ends within COUNTER_GRACE, then open health watches are cut."""
        self.stopping.set()
        self.health.enter_graceful_shutdown()
        self.server.stop(settings.COUNTER_GRACE)
        until = time.monotonic() + settings.COUNTER_GRACE
        while load.inside and time.monotonic() < until:
            time.sleep(0.01)
        charges.stop(timeout=max(0.1, until - time.monotonic()))
        self.server.stop(0).wait(1)


def start_server(add_service: Callable[[grpc.Server], None], addresses: list[str]) -> Running:
    """Listen on the addresses. Raises ImproperlyConfigured for one that is open to others without TLS."""
    server = grpc.server(
        ThreadPoolExecutor(settings.COUNTER_THREADS, thread_name_prefix="counter"),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_MAX), ("grpc.max_send_message_length", MESSAGE_MAX * 4),
            ("grpc.max_concurrent_streams", STREAMS_MAX),
        ],
    )  # fmt: skip
    add_service(server)
    health_servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if settings.COUNTER_REFLECTION:
        reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
    ports = [_listen(server, address) for address in addresses]
    running = Running(server, health_servicer, ports, threading.Event())
    _show_health(running)
    server.start()
    threading.Thread(target=_watch_health, args=(running,), name="health", daemon=True).start()
    return running


def _listen(server: grpc.Server, address: str) -> int:
    credentials = _tls()
    host = address.rpartition(":")[0].strip("[]")
    private = address.startswith("unix:") or host == "localhost" or inside_networks(host, LOOPBACK)
    if credentials is None and not private and not settings.COUNTER_ALLOW_PLAINTEXT:
        raise ImproperlyConfigured(
            f"{address} is reachable by others: set COUNTER_TLS_CERT and COUNTER_TLS_KEY, or COUNTER_ALLOW_PLAINTEXT=1"
        )
    try:
        return server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise ImproperlyConfigured(f"cannot listen on {address}: {error}") from error


def _tls() -> grpc.ServerCredentials | None:
    if not settings.COUNTER_TLS_CERT:
        return None
    pair = Path(settings.COUNTER_TLS_KEY).read_bytes(), Path(settings.COUNTER_TLS_CERT).read_bytes()
    client_ca = Path(settings.COUNTER_TLS_CLIENT_CA).read_bytes() if settings.COUNTER_TLS_CLIENT_CA else None
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


def _show_health(running: Running) -> None:
    """SERVING only while the database answers."""
    try:
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        status = health_pb2.HealthCheckResponse.SERVING
    except (DatabaseError, InterfaceError):
        status = health_pb2.HealthCheckResponse.NOT_SERVING
    for name in ("", SERVICE):
        running.health.set(name, status)


def _watch_health(running: Running) -> None:
    while not running.stopping.wait(HEALTH_SECONDS):
        _show_health(running)
