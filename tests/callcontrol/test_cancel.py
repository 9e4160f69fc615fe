"""Asking for the end of a call: a request, answered by the platform's confirmation or by the record."""

from dataclasses import replace
from decimal import Decimal

import pytest

from callcontrol import platforms
from callcontrol.matching import RecordNote, note_record
from callcontrol.models import Callback, CallSlot
from callcontrol.platforms import generic
from tests.callcontrol.cast import Tenant, make_tenant
from tests.callcontrol.stage import Stage

pytestmark = pytest.mark.usefixtures("stage")


def cancel(tenant: Tenant, reference: str, policy: str = "always") -> tuple[int, dict[str, object]]:
    response = tenant.browser().post(
        f"/api/v1/callbacks/{reference}/cancel", {"policy": policy}, content_type="application/json"
    )
    return response.status_code, response.json()


@pytest.fixture
def paused(stage: Stage) -> Stage:
    """Calls that do not go on by themselves."""
    stage.simulator.ask("POST", "/sim/pause", b"{}")
    yield stage  # type: ignore[misc]
    stage.simulator.ask("POST", "/sim/pause", b'{"paused": false}')


def test_cancel_is_a_request_and_the_platforms_word_ends_the_call(paused: Stage) -> None:
    acme = make_tenant()
    call_id = acme.call().json()["id"]

    status, body = cancel(acme, call_id)

    assert (status, body["status"], body["cancel_requested"]) == (202, "queued", "always")
    paused.simulator.ask("POST", "/sim/pause", b'{"paused": false}')
    paused.hear(call_id, until="cancelled")
    assert Callback.objects.get(reference=call_id).state == "cancelled"
    assert set(CallSlot.objects.filter(organization=acme.organization).values_list("live", flat=True)) == {0}
    assert acme.account.held == Decimal("0.96")  # until its record, or its expiry


def test_cancel_that_comes_too_late_says_so(stage: Stage) -> None:
    acme = make_tenant(balance="5")
    call_id = acme.call("13800138000").json()["id"]
    stage.hooks.wait_state(call_id, "ended")

    status, body = cancel(acme, call_id, "not_after_agent_ring")

    assert (status, body["code"], body["provider_code"]) == (409, "invalid_state", "already_ended")
    assert Callback.objects.get(reference=call_id).cancel_policy == ""
    stage.hear(call_id)
    status, body = cancel(acme, call_id)
    assert (status, body["code"], body["state"]) == (409, "invalid_state", "ended")


def test_unknown_policy_and_somebody_elses_call(paused: Stage) -> None:
    acme, echo = make_tenant(), make_tenant()
    call_id = acme.call().json()["id"]

    assert cancel(acme, call_id, "perhaps")[0] == 400
    assert cancel(echo, call_id)[0] == 404
    assert cancel(acme, "cb_nobody")[0] == 404
    assert Callback.objects.get(reference=call_id).cancel_policy == ""


def test_record_without_an_answer_makes_it_cancelled_and_one_with_an_answer_ended(paused: Stage) -> None:
    acme = make_tenant(balance="5", live_calls_per_agent=2)
    silent, talked = (acme.call(number, max_seconds=60).json()["id"] for number in ("13712345678", "13612345678"))
    for call_id in (silent, talked):
        assert cancel(acme, call_id)[0] == 202

    note_record(RecordNote(silent, "r1", answered=False, cause="cancelled"))
    note_record(RecordNote(talked, "r2", answered=True, billable_seconds=5, cause="normal_clearing"))

    states = dict(Callback.objects.filter(organization=acme.organization).values_list("reference", "state"))
    assert states == {silent: "cancelled", talked: "ended"}


def test_platform_that_says_nothing_after_a_cancel(paused: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(platforms.ADAPTERS, "generic", replace(generic.ADAPTER, reports_after_cancel=False))
    acme = make_tenant()
    call_id = acme.call().json()["id"]

    status, body = cancel(acme, call_id)

    assert (status, body["status"]) == (202, "cancelled")
    assert acme.money == (Decimal("1.00"), Decimal(0))
