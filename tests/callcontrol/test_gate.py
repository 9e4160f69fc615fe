"""The charge gate against a real counter: the eight traps, each closed, and whose word about identity counts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from billing_platform import clock, metrics
from billing_platform.auth import issue_key
from callcontrol import organizations, pending
from callcontrol.models import PendingUse
from counter import client, subscriptions
from counter.models import Application, ServiceItem, ServicePrice
from counter.uses import ServiceUse
from tests.callcontrol import gated_views
from tests.callcontrol.cast import ALWAYS, Tenant, make_tenant
from tests.callcontrol.stage import Stage

pytestmark = [pytest.mark.usefixtures("stage"), pytest.mark.urls("tests.callcontrol.gated_views")]
RAN = gated_views.RAN


@pytest.fixture(autouse=True)
def _nobody_ran() -> Iterator[None]:
    RAN.clear()
    yield
    RAN.clear()


def uses(tenant: Tenant) -> list[tuple[str, str]]:
    """State and cost of the tenant's service records, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, cost::text FROM counter_servicerecord WHERE organization = %s ORDER BY id",
            [tenant.organization],
        )
        return cursor.fetchall()


# --- G1, G3, G2: effective wherever it stands (refusals at import: test_decorator) ------------------------------------


@pytest.mark.parametrize("path", ["checked", "made", "plain"])
def test_g1_gate_is_effective_below_every_kind_of_view(path: str) -> None:
    acme, beta = make_tenant(), make_tenant(balance="0")

    assert acme.program().post(f"/api/v1/{path}").status_code == 200
    refused = beta.program().post(f"/api/v1/{path}")

    assert (refused.status_code, refused.json()["code"], refused.json()["billing_code"]) == (
        402, "insufficient_balance", 706,
    )  # fmt: skip
    assert [(use.accno, use.label) for use in RAN] == [(acme.accno, "report")]


def test_g2_the_gate_never_sees_a_preflight() -> None:
    beta = make_tenant(balance="0")

    assert beta.program().options("/api/v1/checked").status_code == 200
    assert beta.program().options("/api/v1/held").status_code == 405
    assert RAN == []


def test_g3_without_the_middleware_nothing_passes(settings: Any) -> None:
    acme = make_tenant()
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("callcontrol")]
    program = acme.program()
    program.raise_request_exception = False

    assert program.post("/api/v1/held").status_code == 500
    assert RAN == []
    assert uses(acme) == []


# --- G4 ---------------------------------------------------------------------------------------------------------------


def test_g4_head_is_refused_without_check_hold_or_charge() -> None:
    acme = make_tenant()

    assert acme.program().get("/api/v1/listed").status_code == 200
    assert acme.program().head("/api/v1/listed").status_code == 405
    assert acme.program().head("/api/v1/held").status_code == 405
    assert len(RAN) == 1
    assert uses(acme) == []


# --- G5 ---------------------------------------------------------------------------------------------------------------


def test_g5_a_released_reference_opens_nothing() -> None:
    acme = make_tenant()
    program = acme.program(**{"Idempotency-Key": "k1"})
    assert program.post("/api/v1/held?status=500").status_code == 500

    again = program.post("/api/v1/held?status=500")

    assert (again.status_code, again.json()["code"]) == (409, "reference_closed")
    assert len(RAN) == 1
    assert uses(acme) == [("cancelled", "0.000000")]
    assert program.post("/api/v1/held", headers={"Idempotency-Key": "k2"}).status_code == 200


def test_g5_a_completed_request_is_answered_from_storage() -> None:
    acme = make_tenant()
    program = acme.program(**{"Idempotency-Key": "k1"})

    first = program.post("/api/v1/remembered")
    again = program.post("/api/v1/remembered")

    assert (first.status_code, again.status_code, again.headers["Idempotent-Replay"]) == (200, 200, "true")
    assert first.content == again.content
    assert len(RAN) == 1
    assert acme.money == (Decimal("0.90"), Decimal(0))


# --- G6 ---------------------------------------------------------------------------------------------------------------


def test_g6_what_holds_cannot_be_passed_by_two_at_once() -> None:
    acme = make_tenant(balance="0.10")
    clients = [acme.program(), acme.program()]

    def ask(program: Client) -> int:
        try:
            return program.post("/api/v1/held").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(ask, clients))

    assert statuses == [200, 402]
    assert acme.money == (Decimal("0.00"), Decimal(0))
    assert len(RAN) == 1


# --- G7: the counter away, with each policy, is test_counter_away -----------------------------------------------------


def test_g7_a_charge_that_cannot_be_delivered_is_stored_and_charged_later(stage: Stage, tmp_path: Any) -> None:
    acme = make_tenant()
    client.paying_account(acme.organization, "report", at=clock.now())

    with stage.outage(tmp_path):
        response = acme.program().post("/api/v1/counted?pages=3")

    assert response.status_code == 200
    row = PendingUse.objects.get(organization=acme.organization)
    assert (row.action, row.state, row.count, row.summary) == ("end", "pending", 3, "pages")
    assert acme.money == (Decimal("1.00"), Decimal(0))
    clock.set_test_instant(clock.now() + timedelta(minutes=1, seconds=5))
    assert pending.resubmit_pending_uses() == 1
    assert pending.resubmit_pending_uses() == 0
    assert acme.money == (Decimal("0.70"), Decimal(0))
    row.refresh_from_db()
    assert row.state == "done"


# --- G8 ---------------------------------------------------------------------------------------------------------------


def test_g8_a_good_answer_charges_and_every_other_way_out_releases() -> None:
    acme = make_tenant()
    program = acme.program()
    program.raise_request_exception = False

    assert program.post("/api/v1/held").status_code == 200
    assert program.post("/api/v1/held?status=404").status_code == 404
    assert program.post("/api/v1/held?status=302").status_code == 302
    assert program.post("/api/v1/held?raise").status_code == 500

    assert [state for state, _ in uses(acme)] == ["ended", "cancelled", "cancelled", "cancelled"]
    assert acme.money == (Decimal("0.90"), Decimal(0))


@pytest.mark.parametrize("read", ["read to its end", "left unread"])
def test_g8_a_stream_is_charged_when_it_is_closed(read: str) -> None:
    acme = make_tenant()

    response = acme.program().get("/api/v1/streamed")
    before = acme.money
    body = b"".join(response.streaming_content) if read == "read to its end" else b""
    response.close()

    assert body == (b"onetwo" if read == "read to its end" else b"")
    assert before == (Decimal("1.00"), Decimal("0.10"))
    assert acme.money == (Decimal("0.90"), Decimal(0))


def test_hold_of_a_handler_that_ends_the_use_itself_stays() -> None:
    acme = make_tenant()
    acme.program().post("/api/v1/left-open")
    [use] = RAN
    assert (acme.money, use.svcno != "") == ((Decimal("1.00"), Decimal("0.10")), True)

    client.end_service(
        ServiceUse(acme.accno, use.label, use.reference, finish=clock.now(), organization=use.organization)
    )

    assert acme.money == (Decimal("0.90"), Decimal(0))


def test_two_attempts_have_two_references() -> None:
    acme = make_tenant()

    for _ in range(2):
        assert acme.program().post("/api/v1/held").status_code == 200

    assert RAN[0].reference != RAN[1].reference
    assert acme.money == (Decimal("0.80"), Decimal(0))


# --- refusals in the words of whoever asks ----------------------------------------------------------------------------


def test_other_paths_answer_in_the_public_clients_form() -> None:
    beta, delta = make_tenant(balance="0"), make_tenant(opened=False)

    poor, closed = (tenant.program().post("/legacy/checked") for tenant in (beta, delta))

    assert (poor.status_code, poor.json()["code"]) == (403, 706)
    assert (closed.status_code, closed.json()["code"], set(closed.json())) == (403, 704, {"code", "detail"})


# --- whose word counts ------------------------------------------------------------------------------------------------


def _organization_of(program: Client, **headers: str) -> tuple[int, str]:
    RAN.clear()
    status = program.post("/api/v1/checked", headers=headers).status_code
    return status, (RAN[0].organization if RAN else "")


def test_integrators_key_speaks_for_its_own_tree_only() -> None:
    acme, echo = make_tenant(), make_tenant()
    branch = make_tenant(parent=acme.organization)
    organizations.forget()

    assert _organization_of(acme.program()) == (200, acme.organization)
    assert _organization_of(acme.program(), **{"X-Current-Org": branch.organization}) == (200, branch.organization)
    assert _organization_of(acme.program(), **{"X-Current-Org": echo.organization}) == (404, "")
    assert _organization_of(branch.program(), **{"X-Current-Org": acme.organization}) == (404, "")
    assert _organization_of(acme.program(), **{"X-Current-Org": "nowhere"}) == (404, "")


def test_gateway_speaks_for_everybody() -> None:
    acme = make_tenant()
    gateway = Client(headers={"apikey": issue_key(name="gateway", organization="", scopes=["gateway"])})

    status, organization = _organization_of(gateway, **{"X-Current-Org": acme.organization, "X-User-Id": "u7"})

    assert (status, organization, RAN[0].user) == (200, acme.organization, "u7")


def test_headers_of_people_and_strangers_are_ignored_and_counted() -> None:
    acme, echo = make_tenant(), make_tenant()
    headers = {"X-Current-Org": echo.organization, "X-User-Id": "1"}
    ignored = metrics.gate_headers_ignored.labels("person")._value.get()

    assert _organization_of(acme.browser(), **headers) == (200, acme.organization)
    assert RAN[0].user == str(acme.agent.user_id)
    assert metrics.gate_headers_ignored.labels("person")._value.get() == ignored + 1
    assert _organization_of(Client(), **headers) == (403, "")


# --- the application check --------------------------------------------------------------------------------------------


def test_application_must_be_open_where_it_is_asked_for() -> None:
    acme = make_tenant()
    label = f"app-{acme.organization}"
    item = ServiceItem.objects.create(label=label, name="App", mode="per_use", is_application=True)
    ServicePrice.objects.create(item=item, effective_from=ALWAYS, price=Decimal(0))
    Application.objects.create(code=label, name="App")

    for path in ("programs", "by-application"):
        refused = acme.program(**{"X-Application-Id": label}).get(f"/api/v1/{path}")
        assert (refused.status_code, refused.json()["code"], refused.json()["billing_code"]) == (
            403, "application_not_open", 703,
        )  # fmt: skip
    assert acme.program().get("/api/v1/programs").json()["billing_code"] == 703
    assert RAN == []
    subscriptions.open_service(acme.accno, label, at=ALWAYS)
    client.forget_payers()
    for path in ("programs", "by-application"):
        assert acme.program(**{"X-Application-Id": label}).get(f"/api/v1/{path}").status_code == 200
    assert len(RAN) == 2
