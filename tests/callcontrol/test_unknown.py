"""A platform that does not answer, and ourselves stopping half-way: nobody is called twice, no hold stays for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock, failpoints
from billing_platform.failpoints import FailpointHit, parse_failpoints
from callcontrol.matching import calls_without_record
from callcontrol.models import Callback, CallbackEvent, CallSlot, PendingUse
from callcontrol.platforms import wire
from callcontrol.sweeping import ask_platform, sweep_callbacks
from tests.callcontrol.cast import Tenant, make_platform, make_tenant
from tests.callcontrol.stage import Stage

pytestmark = pytest.mark.usefixtures("stage")


@contextmanager
def quick_platform_deadline() -> Iterator[None]:
    """Half a second instead of eight."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "TOTAL_SECONDS", 0.5)
        yield


def only_call(tenant: Tenant) -> Callback:
    return Callback.objects.get(organization=tenant.organization)


def live(tenant: Tenant) -> set[int]:
    return set(CallSlot.objects.filter(organization=tenant.organization).values_list("live", flat=True))


@pytest.mark.parametrize("digits", ["0012", "0011"])
def test_call_without_an_answer_is_unknown_then_found_and_never_placed_again(stage: Stage, digits: str) -> None:
    acme = make_tenant()

    with quick_platform_deadline():
        response = acme.call(f"1391234{digits}")

    body = response.json()
    assert (response.status_code, body["status"], body["code"]) == (202, "unknown", "provider_timeout")
    assert acme.money == (Decimal("1.00"), Decimal("0.96"))
    call = only_call(acme)
    assert call.next_ask_at - clock.now() <= timedelta(seconds=1)
    stage.simulator.wait_truth(call.reference, bool)  # a slow machine may take longer than our deadline to act
    clock.set_test_instant(clock.now() + timedelta(seconds=2))
    assert ask_platform(call.pk)
    call.refresh_from_db()
    assert call.provider_call_id == stage.simulator.truth(call.reference)["provider_call_id"]
    assert call.rank >= 10
    assert call.state != "unknown"
    clock.set_test_instant(None)
    stage.hear(call.reference)
    assert only_call(acme).state == "ended"
    calls = [one for one in stage.simulator.ask("GET", "/sim/calls?limit=10000")[1]["calls"]
             if one["reference"] == call.reference]  # fmt: skip
    assert len(calls) == 1


def test_questions_come_after_1_5_15_60_seconds_and_then_each_minute() -> None:
    acme, at = make_tenant(), clock.now()
    clock.set_test_instant(at)
    call = _unknown_call(acme)
    pauses = []
    for _ in range(6):
        call.refresh_from_db()
        pauses.append(round((call.next_ask_at - at).total_seconds()))
        at = call.next_ask_at + timedelta(milliseconds=1)
        clock.set_test_instant(at)
        assert not ask_platform(call.pk)

    assert pauses == [1, 5, 15, 60, 60, 60]


def test_a_question_rung_for_is_asked_also_by_a_worker_whose_clock_is_behind() -> None:
    call = _unknown_call(make_tenant())
    due = call.next_ask_at

    clock.set_test_instant(due - timedelta(milliseconds=100))
    ask_platform(call.pk)

    call.refresh_from_db()
    assert (call.asks, call.next_ask_at - due) == (1, timedelta(seconds=4.9))


def test_call_of_which_nothing_is_ever_heard_expires_and_returns_its_hold() -> None:
    acme = make_tenant()
    call = _unknown_call(acme)
    clock.set_test_instant(call.hold_expires_at - timedelta(seconds=1))
    sweep_callbacks()
    assert only_call(acme).state == "unknown"

    clock.set_test_instant(call.hold_expires_at + timedelta(seconds=1))
    sweep_callbacks()

    call.refresh_from_db()
    assert (call.state, call.review, call.next_ask_at) == ("expired", "expired", None)
    assert live(acme) == {0}
    assert acme.money == (Decimal("1.00"), Decimal(0))
    [release] = PendingUse.objects.filter(reference=call.reference)
    assert (release.action, release.state) == ("cancel", "done")


def test_talk_without_an_end_is_left_to_the_call_records() -> None:
    acme = make_tenant()
    acme.call()
    call = only_call(acme)
    Callback.objects.filter(pk=call.pk).update(state="bridged")

    clock.set_test_instant(call.hold_expires_at + timedelta(hours=1))
    sweep_callbacks()

    assert only_call(acme).state == "bridged"


def test_stop_after_the_intent_is_swept_up_and_nobody_was_called(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    acme = make_tenant()
    monkeypatch.setattr(failpoints, "_armed", parse_failpoints("callcontrol.calling.after_intent:raise"))
    with pytest.raises(FailpointHit):
        acme.call()
    monkeypatch.setattr(failpoints, "_armed", {})
    assert (only_call(acme).state, live(acme)) == ("created", {1})
    stopped_at = only_call(acme).updated_at

    clock.set_test_instant(stopped_at + timedelta(seconds=29))
    sweep_callbacks()
    assert only_call(acme).state == "created"
    clock.set_test_instant(stopped_at + timedelta(seconds=31))
    sweep_callbacks()

    call = only_call(acme)
    assert (call.state, call.refusal, live(acme)) == ("failed", "interrupted", {0})
    assert stage.simulator.truth(call.reference) is None
    assert acme.money == (Decimal("1.00"), Decimal(0))


def test_stop_after_the_platform_acted_is_unknown_and_found(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    acme = make_tenant()
    monkeypatch.setattr(failpoints, "_armed", parse_failpoints("callcontrol.calling.after_platform:raise"))
    with pytest.raises(FailpointHit):
        acme.call("13800138000")
    monkeypatch.setattr(failpoints, "_armed", {})
    assert (only_call(acme).state, only_call(acme).provider_call_id) == ("queued", None)

    clock.set_test_instant(clock.now() + timedelta(seconds=31))
    counts = sweep_callbacks()

    call = only_call(acme)
    assert (counts["unknown"], counts["interrupted"]) == (1, 0)
    assert call.provider_call_id == stage.simulator.truth(call.reference)["provider_call_id"]
    assert call.hold_amount == Decimal("0.96")
    assert CallbackEvent.objects.filter(callback=call, state="unknown").exists()


def test_call_that_should_long_be_over_is_asked_about(stage: Stage) -> None:
    acme = make_tenant()
    acme.call("13800138000", max_seconds=60, ring_timeout=30)
    call = only_call(acme)
    stage.hooks.wait_state(call.reference, "ended")  # and its status events are lost on their way to us

    accepted_at = call.next_ask_at - timedelta(seconds=60 + 30 + 120)
    assert call.placed_at <= accepted_at <= clock.now()
    clock.set_test_instant(call.next_ask_at - timedelta(seconds=1))
    sweep_callbacks()
    assert only_call(acme).state == "queued"
    clock.set_test_instant(call.next_ask_at + timedelta(seconds=1))
    sweep_callbacks()

    assert only_call(acme).state == "ended"
    assert acme.account.held > 0  # the record charges or releases, a status never does


def test_ended_call_without_a_record_goes_to_review() -> None:
    acme = make_tenant()
    acme.call()
    call = only_call(acme)
    Callback.objects.filter(pk=call.pk).update(state="ended", ended_at=clock.now())

    clock.set_test_instant(clock.now() + timedelta(minutes=9))
    sweep_callbacks()
    assert call.reference not in calls_without_record()
    clock.set_test_instant(clock.now() + timedelta(minutes=2))
    sweep_callbacks()
    assert call.reference in calls_without_record()


def test_platform_that_nobody_can_reach_passes_the_call_on(stage: Stage) -> None:
    acme = make_tenant()
    away = make_platform("http://127.0.0.1:9/x", code=f"away-{acme.organization}", organization=acme.organization)
    away.priority = 1
    away.save(update_fields=["priority"])

    response = acme.call()

    assert (response.status_code, response.json()["provider"]) == (201, "simulator")
    assert stage.simulator.truth(response.json()["id"]) is not None


def _unknown_call(tenant: Tenant) -> Callback:
    """As it is when the platform took the request and is gone since."""
    code = f"gone-{tenant.organization}"
    assert tenant.call().status_code == 201
    call = only_call(tenant)
    make_platform("http://127.0.0.1:9/x", code=code, organization=tenant.organization)
    Callback.objects.filter(pk=call.pk).update(
        provider=code, provider_call_id=None, state="unknown", asks=0, next_ask_at=clock.now() + timedelta(seconds=1)
    )
    call.refresh_from_db()
    return call
