"""The counter down or slow at the start of a call: by policy, never silently, never without a cap."""

import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from billing_platform import clock
from callcontrol import outages, pending
from callcontrol.matching import RecordNote, note_record
from callcontrol.models import Callback, CallSlot, GatePolicy, PendingUse
from callcontrol.sweeping import sweep_callbacks
from counter import client
from tests.callcontrol.cast import Tenant, make_tenant
from tests.callcontrol.stage import Stage
from tests.processes import running_counter, wait_until

pytestmark = pytest.mark.usefixtures("stage")
CONTINUE = {
    "policy": "CONTINUE", "continue_amount": Decimal("2"), "continue_calls": 2, "continue_minutes": 10,
    "continue_estimate": Decimal("1"), "continue_seconds": 90, "live_calls_per_agent": 9, "live_calls_max": 9,
}  # fmt: skip


@pytest.fixture
def no_counter(stage: Stage) -> Iterator[None]:
    """An address where nobody listens: as the counter's death looks from here."""
    before = django_settings.COUNTER_ADDRESS
    yield
    django_settings.COUNTER_ADDRESS = before


def cut() -> None:
    django_settings.COUNTER_ADDRESS = ["127.0.0.1:9"]


def slots(tenant: Tenant) -> set[int]:
    return set(CallSlot.objects.filter(organization=tenant.organization).values_list("live", flat=True))


@pytest.mark.parametrize("policy", ["TERMINATE", "RETRY_AND_TERMINATE"])
def test_f45_refused_within_two_seconds(no_counter: None, policy: str) -> None:
    acme = make_tenant(policy=policy)
    assert acme.call(max_seconds=60).status_code == 201
    outages_before = Callback.objects.filter(organization=acme.organization).count()
    cut()

    started = time.monotonic()
    response = acme.call("13712345678", key="k1")

    assert time.monotonic() - started < 8  # of a charge's ten seconds nothing was waited
    assert (response.status_code, response.json()["code"], response.json()["retryable"]) == (
        503, "counter_unavailable", True,
    )  # fmt: skip
    assert "Retry-After" in response.headers
    assert Callback.objects.filter(organization=acme.organization).count() == outages_before


def test_f45_second_address_answers(stage: Stage, no_counter: None, tmp_path: Path) -> None:
    acme = make_tenant(policy="RETRY_AND_TERMINATE")
    with running_counter(tmp_path) as second:
        django_settings.COUNTER_ADDRESS = ["127.0.0.1:9", second.ready["address"]]
        assert acme.call().status_code == 201


def test_f45_continue_grants_within_the_cap_and_marks_the_calls(no_counter: None, stage: Stage) -> None:
    acme = make_tenant(**CONTINUE)
    first = acme.call(max_seconds=60)
    assert (first.status_code, first.json()["granted_unchecked"]) == (201, False)
    cut()

    second, third = (acme.call(number) for number in ("13712345678", "13612345678"))
    fourth = acme.call("13512345678")

    for granted in (second, third):
        body = granted.json()
        assert (granted.status_code, body["granted_unchecked"], body["hold"]) == (201, True, None)
        assert (body["max_seconds"], body["limit_reason"]) == (90, "unchecked")
        assert stage.simulator.truth(body["id"])["max_seconds"] == 90
    assert (fourth.status_code, fourth.json()["code"]) == (503, "counter_unavailable")
    assert _counted(acme) == (2, Decimal("2"))

    note_record(RecordNote(second.json()["id"], "r1", answered=True, billable_seconds=5))
    assert _counted(acme) == (1, Decimal("2"))  # a place is free again, the amount is used up
    assert acme.call("13512345678").status_code == 503


def test_continue_ends_with_its_minutes_and_begins_anew_after_the_outage(no_counter: None) -> None:
    acme = make_tenant(**CONTINUE)
    assert acme.call(max_seconds=60).status_code == 201
    before = list(django_settings.COUNTER_ADDRESS)
    cut()
    assert acme.call("13712345678").status_code == 201
    clock.set_test_instant(clock.now() + timedelta(minutes=11))
    assert acme.call("13612345678").status_code == 503
    clock.set_test_instant(None)

    django_settings.COUNTER_ADDRESS = before
    PendingUse.objects.create(
        action="cancel", accno=acme.accno, label="callback", reference=f"none-{acme.accno}", next_attempt_at=clock.now()
    )
    assert pending.resubmit_pending_uses() == 1

    assert _counted(acme) == (1, Decimal(0))
    assert GatePolicy.objects.get(organization=acme.organization).unchecked_since is None


@pytest.mark.parametrize("ago", [None, 61.0])
def test_continue_needs_a_fresh_yes(no_counter: None, monkeypatch: pytest.MonkeyPatch, ago: float | None) -> None:
    acme = make_tenant(**CONTINUE)
    if ago is not None:
        outages.note_answer(acme.organization, "callback", acme.accno)
        then = time.monotonic()
        monkeypatch.setattr(outages, "monotonic", lambda: then + ago)
    cut()

    with pytest.raises(client.CounterUnavailable):
        outages.grant_without_counter(acme.organization, "callback")
    assert _counted(acme) == (0, Decimal(0))


def test_refused_account_is_not_continued(no_counter: None) -> None:
    acme = make_tenant(**CONTINUE)
    outages.note_answer(acme.organization, "callback", acme.accno)
    outages.note_refusal(acme.organization, "callback")
    cut()

    assert acme.call().status_code == 503


def test_f46_slow_hold_is_unknown_refused_and_released(stage: Stage, no_counter: None, tmp_path: Path) -> None:
    acme = make_tenant()
    client.paying_account(acme.organization, "callback", at=clock.now())
    # The gate's check is the first answer, the hold the second: that one is committed, and its answer comes too late.
    slow = {"FAILPOINTS": "counter.grpc.before_reply:sleep=60@2"}
    with running_counter(tmp_path, env=slow):
        started = time.monotonic()
        response = acme.call(key="k1")
        took = time.monotonic() - started

        assert (response.status_code, response.json()["code"]) == (503, "counter_unavailable")
        assert took < 20
        call = Callback.objects.get(organization=acme.organization)
        assert (call.state, call.refusal, call.provider, slots(acme)) == ("failed", "counter_unavailable", "", {0})
        wait_until(lambda: acme.account.held == 0, what="the hold was released by its reference")
        again = acme.call(key="k1")

    assert again.status_code == 201
    assert again.json()["id"] != call.reference
    assert acme.account.held == Decimal("0.96")


def test_hold_that_could_not_be_released_is_released_when_the_counter_is_back(
    stage: Stage, no_counter: None, tmp_path: Path
) -> None:
    acme = make_tenant()
    response = acme.call("13800138000")
    call = Callback.objects.get(reference=response.json()["id"])
    before = list(django_settings.COUNTER_ADDRESS)
    Callback.objects.filter(pk=call.pk).update(state="unknown")
    cut()
    clock.set_test_instant(call.hold_expires_at + timedelta(seconds=1))
    sweep_callbacks()
    clock.set_test_instant(None)
    [row] = PendingUse.objects.filter(reference=call.reference)
    assert row.state == "pending"
    assert acme.account.held == call.hold_amount

    django_settings.COUNTER_ADDRESS = before
    assert pending.deliver([row.pk]) == 1
    assert acme.account.held == 0


def _counted(tenant: Tenant) -> tuple[int, Decimal]:
    policy = GatePolicy.objects.get(organization=tenant.organization)
    return policy.unchecked_calls, policy.unchecked_amount
