"""From the click to the end of a call, with the real counter and the real platform process."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from callcontrol.matching import RecordNote, note_record
from callcontrol.models import Callback, CallbackEvent, CallSlot
from counter import client
from counter.uses import CallFacts, ServiceUse
from tests.callcontrol.cast import make_tenant
from tests.callcontrol.stage import Stage
from tests.processes import wait_until

pytestmark = pytest.mark.usefixtures("stage")


def test_click_holds_places_and_answers_with_the_longest_call(stage: Stage) -> None:
    acme = make_tenant(balance="1.00")
    client.start_service(_other_use(acme.accno))  # 0.30 are held for another call

    response = acme.call("139 1234 5678", ring_timeout=60, user_data="order 7")

    body = response.json()
    assert response.status_code == 201, body
    assert response.headers["Location"] == f"/api/v1/callbacks/{body['id']}"
    assert {name: body[name] for name in ("status", "agent_number", "customer_number", "display_to_customer")} == {
        "status": "queued", "agent_number": "13800000001", "customer_number": "139****5678",
        "display_to_customer": "02500000001",
    }  # fmt: skip
    assert (body["max_seconds"], body["limit_reason"]) == (180, "balance")
    assert (body["hold"]["amount"], body["hold"]["currency"]) == ("0.60", "CNY")
    assert body["provider"] == "simulator"
    assert acme.money == (Decimal("1.00"), Decimal("0.90"))
    order = stage.simulator.truth(body["id"])
    assert (order["agent_number"], order["customer_number"], order["max_seconds"]) == (
        "13800000001",
        "13912345678",
        180,
    )
    assert order["provider_call_id"] == body["provider_call_id"]
    assert "order 7" not in str(order)


def test_hold_lasts_for_ringing_twice_the_call_and_a_quarter_of_an_hour() -> None:
    acme, at = make_tenant(balance="10.00"), clock.now()
    clock.set_test_instant(at)

    body = acme.call(ring_timeout=30, max_seconds=120).json()

    expires = datetime.fromisoformat(body["hold"]["expires_at"])
    assert expires - at == timedelta(seconds=2 * 30 + 120 + 900)
    assert (body["max_seconds"], body["limit_reason"], body["hold"]["amount"]) == (120, "requested", "0.42")


def test_call_rises_through_its_states_and_its_record_ends_it(stage: Stage) -> None:
    acme = make_tenant(balance="5.00")
    call_id = acme.call("13800138000").json()["id"]

    stage.hear(call_id)

    call = Callback.objects.get(reference=call_id)
    history = CallbackEvent.objects.filter(callback=call).order_by("id").values_list("state", "source", "raised")
    assert list(history) == [
        ("created", "ours", True), ("queued", "ours", True), ("a_dialing", "platform", True),
        ("a_ringing", "platform", True), ("a_answered", "platform", True), ("b_dialing", "platform", True),
        ("b_ringing", "platform", True), ("bridged", "platform", True), ("ended", "platform", True),
    ]  # fmt: skip
    assert call.state == "ended"
    assert _live(acme.organization) == [("", 0), ("8613800000001", 0)]
    assert acme.money == (Decimal("5.00"), call.hold_amount)  # no money moves for a status

    [record] = [push.content for push in stage.hooks.wait(call_id, "cdr")]
    answer, end = (datetime.fromisoformat(record[name]) for name in ("answer_time", "end_time"))
    charged = client.end_service(_charge(call, record, answer, end))
    note_record(
        RecordNote(call_id, "r1", answered=True, answer=answer, end=end, billable_seconds=7, cause="normal_clearing",
                   cost=charged.cost, currency=charged.currency)
    )  # fmt: skip
    shown = acme.browser().get(f"/api/v1/callbacks/{call_id}").json()
    assert shown["result"] | {"recorded_at": ""} == {
        "record_id": "r1", "billable_seconds": 7, "cause": "normal_clearing", "cost": "0.18", "currency": "CNY",
        "recorded_at": "",
    }  # fmt: skip
    assert acme.money == (Decimal("4.82"), Decimal(0))


def test_quote_says_what_placing_would_say_and_moves_nothing() -> None:
    acme = make_tenant(balance="1.00")
    browser = acme.browser()

    quoted = browser.post(
        "/api/v1/callbacks/quote", {"customer_number": "13912345678"}, content_type="application/json"
    ).json()

    assert {name: quoted[name] for name in ("allowed", "price", "price_per_minute", "increment_seconds", "hold")} == {
        "allowed": True, "price": "0.18", "price_per_minute": "0.18", "increment_seconds": 60, "hold": "0.96",
    }  # fmt: skip
    assert (quoted["max_seconds"], quoted["limit_reason"], quoted["available"]) == (300, "balance", "1.00")
    assert acme.money == (Decimal("1.00"), Decimal(0))
    assert not Callback.objects.filter(organization=acme.organization).exists()
    assert acme.call(client=browser).json()["hold"]["amount"] == "0.96"


def test_reader_sees_own_calls_only_and_numbers_by_role() -> None:
    acme, echo = make_tenant(), make_tenant()
    call_id = acme.call().json()["id"]

    own = acme.browser().get("/api/v1/callbacks?q=5678").json()
    assert [item["id"] for item in own["items"]] == [call_id]
    assert own["items"][0]["customer_number"] == "139****5678"
    assert echo.browser().get(f"/api/v1/callbacks/{call_id}").status_code == 404
    assert echo.browser().get("/api/v1/callbacks").json()["items"] == []
    assert acme.browser().get("/api/v1/callbacks?status=failed").json()["items"] == []


def test_unchanged_call_is_not_sent_again() -> None:
    acme = make_tenant()
    call_id = acme.call().json()["id"]
    browser = acme.browser()
    tag = browser.get(f"/api/v1/callbacks/{call_id}").headers["ETag"]

    assert browser.get(f"/api/v1/callbacks/{call_id}", headers={"If-None-Match": tag}).status_code == 304
    Callback.objects.filter(reference=call_id).update(updated_at=clock.now())
    assert browser.get(f"/api/v1/callbacks/{call_id}", headers={"If-None-Match": tag}).status_code == 200


def test_pages_follow_each_other_without_a_gap() -> None:
    acme = make_tenant(balance="50", live_calls_per_agent=5)
    made = [acme.call(max_seconds=60).json()["id"] for _ in range(3)]
    browser = acme.browser()

    first = browser.get("/api/v1/callbacks?limit=2").json()
    second = browser.get("/api/v1/callbacks", {"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


def test_redial_calls_the_same_customer_without_showing_the_number(stage: Stage) -> None:
    acme = make_tenant(balance="50", live_calls_per_agent=2)
    first = acme.call().json()["id"]

    again = acme.browser().post("/api/v1/callbacks", {"redial_of": first}, content_type="application/json").json()

    assert stage.simulator.truth(again["id"])["customer_number"] == "13912345678"


def test_live_call_is_streamed_until_it_is_over(stage: Stage) -> None:
    acme = make_tenant(balance="5.00")
    call_id = acme.call("13800138000").json()["id"]
    stage.hear(call_id)

    response = acme.browser().get(f"/api/v1/callbacks/{call_id}/events", headers={"Accept": "text/event-stream"})

    body = b"".join(response.streaming_content).decode()
    assert response.headers["Content-Type"] == "text/event-stream"
    assert body.count("event: call") == 1
    assert '"status": "ended"' in body
    listed = acme.browser().get(f"/api/v1/callbacks/{call_id}/events").json()["items"]
    assert [item["status"] for item in listed][:3] == ["created", "queued", "a_dialing"]


def test_streams_beyond_the_cap_are_sent_to_polling(settings: object) -> None:
    settings.CALLBACK_STREAMS_MAX = 1  # type: ignore[attr-defined]
    acme = make_tenant()
    path = f"/api/v1/callbacks/{acme.call().json()['id']}/events"
    first = acme.browser().get(path, headers={"Accept": "text/event-stream"})

    second = acme.browser().get(path, headers={"Accept": "text/event-stream"})
    first.close()
    third = acme.browser().get(path, headers={"Accept": "text/event-stream"})

    assert (second.status_code, second.json()["code"]) == (503, "too_many_streams")
    assert (first.status_code, third.status_code) == (200, 200)
    third.close()


def test_platform_without_capacity_is_passed_over(stage: Stage) -> None:
    stage.simulator.ask("POST", "/sim/knobs", b'{"refusal": 1}')
    acme = make_tenant()
    try:
        response = acme.call()
    finally:
        stage.simulator.ask("POST", "/sim/knobs", b'{"refusal": 0}')

    assert (response.status_code, response.json()["code"]) == (502, "provider_error")
    wait_until(lambda: acme.money == (Decimal("1.00"), Decimal(0)), what="the hold returned")


def _other_use(accno: str) -> "client.UseRequest":
    facts = CallFacts(caller="13800000001", called="13912345678", call_type="callback")
    return client.UseRequest(accno, "callback", "other", call=facts, max_seconds=60, ring_timeout=120)


def _charge(call: Callback, record: dict[str, str], answer: datetime, end: datetime) -> ServiceUse:
    facts = CallFacts(caller=record["caller"], called=record["called"],
                      agent_answer_at=datetime.fromisoformat(record["agent_answer_time"]))  # fmt: skip
    return ServiceUse(call.accno, call.label, call.reference, answer, end, call=facts, organization=call.organization)


def _live(organization: str) -> list[tuple[str, int]]:
    return list(CallSlot.objects.filter(organization=organization).order_by("holder").values_list("holder", "live"))
