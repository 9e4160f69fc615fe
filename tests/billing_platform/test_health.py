"""What who-watches sees: the process, the parts by name, the metrics."""

import threading
import time

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import ConnectionError as ValkeyAway

from billing_platform import auth, health, metrics, registry
from billing_platform.health import Part
from billing_platform.metrics import AskedGauge
from billing_platform.outbox import NewEvent, record_events

FLOOR_0 = [name for name in registry.READY_PARTS if name.startswith("billing_platform.")]


def red_part() -> Part:
    return Part("counter", ok=False, detail="not serving")


def degraded_part() -> Part:
    return Part("valkey", ok=False, degraded=True)


def lost_part() -> Part:
    raise OperationalError("password=hunter2")


released = threading.Event()


def hanging_part() -> Part:
    released.wait(60)
    return Part("hanging", ok=True)


def here(*names: str) -> list[str]:
    return [f"{__name__}.{name}" for name in names]


def ready(monkeypatch: pytest.MonkeyPatch, *parts: str, seconds: float = 60.0) -> tuple[int, dict[str, object]]:
    """What `/readyz` says of these parts, which have the time that a busy machine needs."""
    monkeypatch.setattr(registry, "READY_PARTS", list(parts))
    monkeypatch.setattr(health, "READY_SECONDS", seconds)
    response = Client().get("/readyz")
    return response.status_code, response.json()


def test_the_process_lives_without_asking_anybody() -> None:
    response = Client().get("/healthz")  # no database in this test: a query would fail it

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db(transaction=True)
def test_parts_of_floor_0_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    status, answer = ready(monkeypatch, *FLOOR_0)

    assert (status, answer["status"]) == (200, "ok")
    assert list(answer["parts"]) == ["database", "migrations", "valkey", "outbox"]


def test_valkey_away_is_degraded_and_not_red(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def get(self, _key: str) -> None:
            raise ValkeyAway("connection refused")

    monkeypatch.setattr(health, "cache", Away())

    status, answer = ready(monkeypatch, "billing_platform.health.valkey_part")

    assert (status, answer["status"]) == (200, "degraded")
    assert answer["parts"]["valkey"]["detail"] == "ConnectionError"  # type: ignore[index]


def test_one_red_part_is_503_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    status, answer = ready(monkeypatch, *here("red_part", "degraded_part"))

    assert (status, answer["status"]) == (503, "red")
    assert answer["parts"]["counter"] == {"name": "counter", "ok": False, "degraded": False, "detail": "not serving"}  # type: ignore[index]


def test_a_part_that_cannot_ask_is_red_and_says_only_what_kind_of_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    status, answer = ready(monkeypatch, *here("lost_part"), "billing_platform.health.no_such_part")

    assert status == 503
    assert sorted(part["detail"] for part in answer["parts"].values()) == ["ImportError", "OperationalError"]  # type: ignore[attr-defined]
    assert "hunter2" not in str(answer)


def test_a_part_that_hangs_is_red_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()

    status, answer = ready(monkeypatch, *here("hanging_part", "degraded_part"), seconds=0.2)
    released.set()

    assert time.monotonic() - started < 30
    assert status == 503
    assert "no answer in time" in [part["detail"] for part in answer["parts"].values()]  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_events_that_nobody_relays_are_seen() -> None:
    record_events([NewEvent("call.ended", "acme", "c-1", {})])
    fresh = health.outbox_part()
    health.OutboxEvent.objects.update(next_attempt_at="2020-01-01T00:00:00Z")

    assert (fresh.ok, fresh.degraded) == (True, False)
    assert (health.outbox_part().ok, health.outbox_part().degraded) == (False, True)


@pytest.mark.django_db
def test_metrics_are_for_this_machine() -> None:
    metrics.outbox_sent.labels("ok").inc()

    response = Client(REMOTE_ADDR="127.0.0.1").get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(response.content.decode())}
    assert response.status_code == 200
    assert {"billing_gate_duration_seconds", "billing_charge_duration_seconds", "billing_outbox_sent"} <= set(families)


@pytest.mark.django_db
@pytest.mark.parametrize(("scopes", "status"), [([], 401), (["cdr:read"], 403), (["counter:admin"], 200)])
def test_from_elsewhere_metrics_need_an_operator(scopes: list[str], status: int) -> None:
    headers = {"apikey": auth.issue_key(name="prometheus", organization="acme", scopes=scopes)} if scopes else {}

    assert Client(REMOTE_ADDR="10.0.0.9", headers=headers).get("/metrics").status_code == status


@pytest.mark.django_db
def test_a_proxy_on_this_machine_is_not_this_machine() -> None:
    response = Client(REMOTE_ADDR="127.0.0.1").get("/metrics", headers={"X-Forwarded-For": "1.2.3.4"})

    assert response.status_code == 401


def test_no_metric_names_a_person_or_a_call() -> None:
    forbidden = {"number", "caller", "callee", "account", "accno", "call", "call_id", "user"}

    kept = {label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())}
    asked = {label for gauge in vars(metrics).values() if isinstance(gauge, AskedGauge) for label in gauge.labels}
    labels = kept | asked

    assert {"verdict", "topic"} <= labels
    assert not labels & (forbidden - {"caller"})
