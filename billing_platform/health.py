"""For who watches: `/healthz` (the process lives), `/readyz` (the parts, by name), `/metrics`."""

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import cast

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError

from billing_platform import clock, gauges, metrics, registry
from billing_platform.auth import audience, remote_address
from billing_platform.doors import admitted_caller
from billing_platform.errors import PlatformError
from billing_platform.models import OutboxEvent, Role, Scope
from billing_platform.problems import problem_response

READY_SECONDS = 2.0  # for all parts together
OUTBOX_OLD_SECONDS = 600
SCRAPERS = audience(roles=(Role.OPS.value, Role.PLATFORM_ADMIN.value), scopes=(Scope.COUNTER_ADMIN.value,))
LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the whole: `ok`, or `degraded` (works with less), or neither (red); `detail` is for operators."""

    name: str
    ok: bool
    degraded: bool = False
    detail: str = ""


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when no part is red, else 503; every part by name, within 2 s."""
    parts = ready_parts()
    red = [part.name for part in parts if not (part.ok or part.degraded)]
    status = "red" if red else ("ok" if all(part.ok for part in parts) else "degraded")
    answer = {"status": status, "parts": {part.name: asdict(part) for part in parts}}
    return JsonResponse(answer, status=HTTPStatus.SERVICE_UNAVAILABLE if red else HTTPStatus.OK)


def metrics_view(request: HttpRequest) -> HttpResponse:
    """For a scraper on this machine, or an operator's session or key."""
    if remote_address(request) not in LOOPBACK or "HTTP_X_FORWARDED_FOR" in request.META:
        try:
            admitted_caller(request, SCRAPERS)
        except PlatformError as refusal:
            return problem_response(refusal, request)
    return HttpResponse(metrics.scrape(gauges.readings()), content_type=CONTENT_TYPE_LATEST)


def ready_parts() -> list[Part]:
    """Every registered part, asked at the same time; one that does not answer in time is red."""
    until = time.monotonic() + READY_SECONDS
    pool = ThreadPoolExecutor(max_workers=len(registry.READY_PARTS), thread_name_prefix="readyz")
    asked = {name: pool.submit(_asked, name) for name in registry.READY_PARTS}
    pool.shutdown(wait=False)
    parts = []
    for name, answer in asked.items():
        try:
            parts.append(answer.result(timeout=max(0.0, until - time.monotonic())))
        except FutureTimeout:
            parts.append(Part(_short(name), ok=False, detail="no answer in time"))
    return parts


def _short(dotted: str) -> str:
    """`counter.client.ready_part` is the part `counter` until it names itself."""
    return (
        dotted.rsplit(".", 1)[1].removesuffix("_part")
        if dotted.startswith("billing_platform.")
        else dotted.split(".")[0]
    )


def _asked(name: str) -> Part:
    try:
        (check,) = registry.resolve([name])
        return cast("Part", check())
    except (DatabaseError, RedisError, OSError, ImportError) as error:
        return Part(_short(name), ok=False, detail=type(error).__name__)
    finally:
        connection.close()  # of this thread, which ends here


def database_part() -> Part:
    """The database answers, and what its round trip took."""
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Part("database", ok=True, detail=f"{(time.monotonic() - started) * 1000:.1f} ms")


def migrations_part() -> Part:
    """No migration of this release is missing in the database."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return Part("migrations", ok=not missing, detail=f"{len(missing)} missing" if missing else "")


def valkey_part() -> Part:
    """Doorbells and caches; without it everything goes on, later."""
    try:
        cache.get("readyz")
    except (RedisError, OSError) as error:
        return Part("valkey", ok=False, degraded=True, detail=type(error).__name__)
    return Part("valkey", ok=True)


def outbox_part() -> Part:
    """Events that wait longer than ten minutes beyond their due time mean that nobody relays."""
    oldest = OutboxEvent.objects.filter(state=OutboxEvent.State.PENDING).order_by("next_attempt_at").first()
    late = 0.0 if oldest is None else (clock.now() - oldest.next_attempt_at).total_seconds()
    return Part(
        "outbox",
        ok=late < OUTBOX_OLD_SECONDS,
        degraded=late >= OUTBOX_OLD_SECONDS,
        detail=f"{max(0.0, late):.0f} s late",
    )
