"""Running the counter: every call bounded, admitted, counted; honest health; a stop that loses nothing."""

import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from billing_platform import metrics
from billing_platform.auth import inside_networks
from billing_platform.errors import PlatformError
from billing_platform.failpoints import failpoint
from counter.access import LOOPBACK, Access, access_of_peer
from counter.committer import charges
from counter.errors import CounterError, CounterUnavailable, Invalid, counter_refusal

SERVICE = "counter.CounterService"
MESSAGE_MAX = 4 << 20
STREAMS_MAX = 1000
CHARGING = frozenset({"EndService", "EndServices"})
CHARGING_THREADS = 64
QUEUE_PER_THREAD = 16  # what waits beyond that is shed at once: the caller repeats
HEALTH_SECONDS = 1.0
YIELD_SECONDS = 0.01
GARBAGE_AT = 50_000  # new objects; a full batch holds about as many, all of them freed when it is answered
_log = logging.getLogger(__name__)
Reply = TypeVar("Reply")
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_UNREADABLE = object()
_calls, _duration = cache(metrics.counter_calls.labels), cache(metrics.counter_duration.labels)  # few, asked often


class _Pool(ThreadPoolExecutor):
    """Threads that know how many calls wait for one of them, and how many are inside."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._lock, self.waiting, self.inside = threading.Lock(), 0, 0
        self._waiting_max = QUEUE_PER_THREAD * threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            self.waiting += 1
        return super().submit(self._run, fn, *args, **kwargs)

    def _run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.waiting, self.inside = self.waiting - 1, self.inside + 1
        try:
            return self._call(fn, *args, **kwargs)
        finally:
            with self._lock:
                self.inside -= 1

    def _call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        close_old_connections()
        return fn(*args, **kwargs)

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.inside

    @property
    def is_full(self) -> bool:
        return self.waiting >= self._waiting_max


class _PatientPool(_Pool):
    """Threads that wait for the committers: many, so that batches are large, and without connections of their own."""

    def _call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        finally:
            if connection.connection is not None:  # a key or the generation was looked up, which is seldom
                connection.close()


class _Gate(grpc.ServerInterceptor):
    """Sheds what would wait too long, as UNAVAILABLE: the library's own limit answers RESOURCE_EXHAUSTED, which a
    caller reads as "no money". A message that cannot be read is the caller's fault, not ours."""

    def __init__(self, pool: _Pool, charging: _Pool) -> None:
        self._pool, self._charging = pool, charging
        self._handlers: dict[str, Handler] = {}
        _shed.experimental_thread_pool = ThreadPoolExecutor(1, thread_name_prefix="shed")  # type: ignore[attr-defined]
        self._overload: Handler = grpc.unary_unary_rpc_method_handler(_shed)

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        if not details.method.startswith(f"/{SERVICE}/"):
            return continuation(details)
        method = details.method.rpartition("/")[2]
        pool = self._charging if method in CHARGING else self._pool
        if pool.is_full:
            _calls(method, "shed").inc()
            return self._overload
        if details.method not in self._handlers:
            found = continuation(details)
            if found is None:
                return None  # no such method; not remembered, or a stranger could fill the memory
            self._handlers[details.method] = _tolerant(found, pool)
        return self._handlers[details.method]


def _shed(_: bytes, context: grpc.ServicerContext) -> None:
    refuse(context, CounterUnavailable("too many calls at once"))


def _tolerant(handler: Handler, pool: _Pool) -> Handler:
    """The same method on these threads, which answers INVALID_ARGUMENT to bytes that are no message of its type."""

    parse, behave = handler.request_deserializer, handler.unary_unary
    assert parse is not None
    assert behave is not None

    def read(message: bytes) -> object:
        try:
            return parse(message)
        except DecodeError:
            return _UNREADABLE

    def reply(request: object, context: grpc.ServicerContext) -> Any:
        if request is _UNREADABLE:
            refuse(context, Invalid("the message cannot be read"))
        return behave(request, context)

    reply.experimental_thread_pool = pool  # type: ignore[attr-defined]  # where the library looks for it
    return grpc.unary_unary_rpc_method_handler(reply, read, handler.response_serializer)


def answered(method: str, context: grpc.ServicerContext, scope: str, ask: Callable[[Access], Reply]) -> Reply:
    """The answer to one call: admitted by key or peer, counted, its refusal turned into status and metadata."""
    started = time.monotonic()
    code = "OK"
    try:
        _require_time(context)
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        if "grpc-previous-rpc-attempts" in metadata:
            metrics.counter_repeats.labels(method).inc()
        access = access_of_peer(context.peer(), metadata)
        access.require(scope)
        reply = ask(access)
        failpoint("counter.grpc.before_reply")
    except PlatformError as refusal:
        code = refusal.code
        refuse(context, counter_refusal(refusal))
    except (DatabaseError, InterfaceError):
        code = "counter_unavailable"
        _log.warning("the database did not answer %s", method, exc_info=True)
        refuse(context, CounterUnavailable())
    else:
        return reply
    finally:
        _calls(method, code).inc()
        _duration(method).observe(time.monotonic() - started)


def _require_time(context: grpc.ServicerContext) -> None:
    """What has not begun when its deadline has passed is dropped."""
    left: float | None = context.time_remaining()  # None: the public client sets no deadline
    if left is not None and left <= 0:
        raise CounterUnavailable("the deadline has passed")


def refuse(context: grpc.ServicerContext, refusal: CounterError) -> NoReturn:
    """End the call with the refusal's status, and its facts as trailing metadata."""
    facts = [
        ("x-reason", refusal.code), ("x-code", str(refusal.billing_code)),
        ("x-retryable", "true" if refusal.retryable else "false"),
    ]  # fmt: skip
    if "state" in refusal.fields:
        facts.append(("x-state", str(refusal.fields["state"])))
    context.set_trailing_metadata(tuple(facts))
    context.abort(getattr(grpc.StatusCode, refusal.grpc_status), str(refusal))
    raise AssertionError("abort raises")


@dataclass(frozen=True, slots=True)
class Running:
    """A started server: `ports` in the order of its addresses."""

    server: grpc.Server
    pools: tuple[_Pool, ...]
    health: health.HealthServicer
    ports: list[int]
    stopping: threading.Event

    def stop(self) -> None:
        """NOT_SERVING, no new calls, what is inside ends within COUNTER_GRACE, then open health watches are cut."""
        self.stopping.set()
        self.health.enter_graceful_shutdown()
        self.server.stop(settings.COUNTER_GRACE)
        until = time.monotonic() + settings.COUNTER_GRACE
        while not all(pool.is_idle for pool in self.pools) and time.monotonic() < until:
            time.sleep(0.01)
        charges.stop(timeout=max(0.1, until - time.monotonic()))
        self.server.stop(0).wait(1)


def settle_interpreter() -> None:
    """For a process that only serves. What is loaded by now stays, and of what a batch makes next to nothing is
    circular: the collector looks seldom. Many threads wait while one commits: it is not made to yield so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AT, 10, 10)
    sys.setswitchinterval(YIELD_SECONDS)


def start_server(add_service: Callable[[grpc.Server], None], addresses: list[str]) -> Running:
    """Listen on the addresses. Raises ImproperlyConfigured for one that is open to others without TLS."""
    pool, charging = _Pool(settings.COUNTER_THREADS, "counter"), _PatientPool(CHARGING_THREADS, "charging")
    server = grpc.server(
        pool,
        interceptors=[_Gate(pool, charging)],
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
    running = Running(server, (pool, charging), health_servicer, ports, threading.Event())
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
