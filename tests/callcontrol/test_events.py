"""What platforms tell us: twice, five times, backwards, too early, about nobody, and in nonsense."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing_platform import clock
from billing_platform.errors import NotFound
from callcontrol.matching import RecordNote, note_record
from callcontrol.models import Callback, CallbackEvent, CallSlot
from callcontrol.models.calls import RANKS
from callcontrol.platforms.adapter import BodyUnreadable
from callcontrol.statuses import accept_status, affordable_seconds, record_accepted
from callcontrol.sweeping import sweep_callbacks
from counter import client
from ledger import accounts
from tests.callcontrol.cast import Tenant, make_tenant
from tests.callcontrol.stage import Stage

pytestmark = pytest.mark.usefixtures("stage")


def placed(tenant: Tenant, customer: str = "13912345678") -> Callback:
    response = tenant.call(customer, max_seconds=60)
    assert response.status_code == 201, response.json()
    return Callback.objects.get(reference=response.json()["id"])


def say(call: Callback, state: str, **more: Any) -> bool:
    body = {"provider_call_id": call.provider_call_id, "reference": call.reference, "state": state,
            "at": clock.now().isoformat(), **more}  # fmt: skip
    return accept_status("simulator", body).raised


def state_of(call: Callback) -> str:
    return str(Callback.objects.values_list("state", flat=True).get(pk=call.pk))


def live(tenant: Tenant) -> int:
    return CallSlot.objects.get(organization=tenant.organization, holder="").live


def test_rank_never_falls_and_slots_are_freed_once() -> None:
    acme = make_tenant(balance="9", live_calls_per_agent=2)
    other, call = placed(acme), placed(acme, "13712345678")

    raised = [say(call, state) for state in ("bridged", "a_ringing", "ended", "failed", "bridged", "ended")]

    assert raised == [True, False, True, False, False, False]
    assert (state_of(call), state_of(other), live(acme)) == ("ended", "queued", 1)


@pytest.mark.parametrize(("digits", "copies"), [("0020", 2), ("0021", 5)])
def test_repeated_pushes_are_one_line_in_the_history(stage: Stage, digits: str, copies: int) -> None:
    acme = make_tenant(balance="9")
    call = placed(acme, f"1391234{digits}")
    stage.hooks.wait(call.reference, "status", 7 * copies)

    receipts = stage.hear(call.reference)

    assert len(receipts) == 7 * copies
    assert sum(receipt.raised for receipt in receipts) == 7
    assert CallbackEvent.objects.filter(callback=call, source="platform").count() == 7
    assert (state_of(call), live(acme)) == ("ended", 0)


def test_events_in_reverse_change_the_state_once(stage: Stage) -> None:
    acme = make_tenant(balance="9")
    call = placed(acme, "13912340022")
    stage.hooks.wait(call.reference, "status", 7)

    receipts = [accept_status("simulator", push.content) for push in stage.hooks.of(call.reference, "status")]

    assert [receipt.raised for receipt in receipts] == [True] + [False] * 6
    assert state_of(call) == "ended"
    history = CallbackEvent.objects.filter(callback=call, source="platform").order_by("id")
    assert list(history.values_list("state", flat=True))[::6] == ["ended", "a_dialing"]


def test_event_that_comes_before_the_platforms_answer_finds_the_call_by_our_reference() -> None:
    acme = make_tenant(balance="9")
    call = placed(acme)
    Callback.objects.filter(pk=call.pk).update(provider_call_id=None)

    assert say(call, "a_ringing", event_id="e1")

    call.refresh_from_db()
    assert (call.state, call.provider_call_id is not None) == ("a_ringing", True)


def test_event_of_an_unknown_call_waits_and_is_attached() -> None:
    acme = make_tenant(balance="9")
    call = placed(acme)
    Callback.objects.filter(pk=call.pk).update(provider_call_id=None)
    body = {"event_id": "early", "provider_call_id": "p-early", "state": "a_answered", "at": clock.now().isoformat()}

    assert accept_status("simulator", body).call_id == ""
    assert accept_status("simulator", body).call_id == ""
    record_accepted(call.pk, provider_call_id="p-early")

    [event] = CallbackEvent.objects.filter(provider_call_id="p-early")
    assert (event.callback_id, event.raised, state_of(call)) == (call.pk, True, "a_answered")


def test_event_of_a_call_that_never_appears_is_removed_after_a_day() -> None:
    body = {"event_id": "lost", "provider_call_id": "p-lost", "state": "ended", "at": clock.now().isoformat()}
    accept_status("simulator", body)
    now = clock.now()

    clock.set_test_instant(now + timedelta(hours=23))
    sweep_callbacks()
    assert CallbackEvent.objects.filter(provider_call_id="p-lost").exists()
    clock.set_test_instant(now + timedelta(hours=25))
    sweep_callbacks()
    assert not CallbackEvent.objects.filter(provider_call_id="p-lost").exists()


def test_event_without_an_id_is_the_same_by_state_and_time() -> None:
    call = placed(make_tenant(balance="9"))
    at = clock.now().isoformat()

    assert [say(call, "a_ringing", at=at), say(call, "a_ringing", at=at)] == [True, False]
    assert CallbackEvent.objects.filter(callback=call, state="a_ringing").count() == 1


@pytest.mark.parametrize(
    "body",
    [
        None, [], "x", {}, {"provider_call_id": "p", "state": "expired", "at": "2026-03-02T10:00:00Z"},
        {"provider_call_id": "p", "state": "flying", "at": "2026-03-02T10:00:00Z"},
        {"provider_call_id": "p", "state": "ended", "at": "2026-03-02T10:00:00"},
        {"provider_call_id": "p", "state": "ended", "at": "soon"},
        {"provider_call_id": "", "state": "ended", "at": "2026-03-02T10:00:00Z"},
        {"provider_call_id": "p" * 129, "state": "ended", "at": "2026-03-02T10:00:00Z"},
        {"provider_call_id": 7, "state": "ended", "at": "2026-03-02T10:00:00Z"},
    ],
)  # fmt: skip
def test_nonsense_is_named_and_stored_nowhere(body: Any) -> None:
    before = CallbackEvent.objects.count()

    with pytest.raises(BodyUnreadable):
        accept_status("simulator", body)
    with pytest.raises(NotFound):
        accept_status("nobody", body)
    assert CallbackEvent.objects.count() == before


def test_history_of_a_call_cannot_be_changed() -> None:
    call = placed(make_tenant(balance="9"))

    with pytest.raises(DatabaseError, match="history of a call is kept"), transaction.atomic():
        CallbackEvent.objects.filter(callback=call).update(state="ended")
    with pytest.raises(DatabaseError, match="history of a call is kept"), transaction.atomic():
        CallbackEvent.objects.filter(callback=call).delete()


def test_database_ranks_as_the_code_does() -> None:
    call = placed(make_tenant(balance="9"))

    for state, rank in RANKS.items():
        Callback.objects.filter(pk=call.pk).update(state=state)
        assert Callback.objects.get(pk=call.pk).rank == rank


def test_platform_may_ask_how_long_a_call_may_go_on() -> None:
    acme = make_tenant(balance="1.00")
    call = Callback.objects.get(reference=acme.call().json()["id"])
    question = {"provider_call_id": call.provider_call_id, "reference": call.reference}
    assert (call.max_seconds, call.hold_amount) == (300, acme.money[1])

    assert affordable_seconds("simulator", question) == 300  # nothing else is free, its own hold pays
    assert affordable_seconds("simulator", {"provider_call_id": "nobody's"}) == 0
    accounts.suspend_account(acme.accno)
    assert affordable_seconds("simulator", question) == 0
    accounts.resume_account(acme.accno)
    say(call, "ended")
    assert affordable_seconds("simulator", question) == 0


def test_record_with_a_talk_wins_over_what_was_believed() -> None:
    acme = make_tenant(balance="9")
    call = placed(acme)
    say(call, "cancelled")

    noted = note_record(RecordNote(call.reference, "r9", answered=True, billable_seconds=9, cause="normal_clearing"))

    call.refresh_from_db()
    assert (noted, call.state, call.review, live(acme)) == (True, "ended", "late_record", 0)
    assert not note_record(RecordNote("cb_nobody", "r10", answered=True))
    assert json.loads(acme.browser().get(f"/api/v1/callbacks/{call.reference}").content)["result"]["record_id"] == "r9"


def test_status_moves_no_money() -> None:
    acme = make_tenant(balance="1.00")
    call = placed(acme)
    before = acme.money

    say(call, "failed")
    sweep_callbacks()

    assert acme.money == before
    assert client.cancel_service(call.accno, call.label, providerno=call.reference).state == "cancelled"
