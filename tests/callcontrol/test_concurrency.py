"""Many at once: slots, money and states hold, and no counter of live calls drifts."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing_platform import clock
from callcontrol.matching import CallSought, RecordNote, find_calls, note_records
from callcontrol.models import Callback, CallbackEvent, CallSlot
from callcontrol.statuses import accept_status
from tests.callcontrol.cast import Tenant, make_agent, make_tenant
from tests.ledger_facts import broken_invariants

pytestmark = pytest.mark.usefixtures("stage")


def side_by_side(acts: list[Any]) -> list[Any]:
    def run(act: Any) -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def live(tenant: Tenant) -> dict[str, int]:
    return dict(CallSlot.objects.filter(organization=tenant.organization).values_list("holder", "live"))


def test_slots_and_money_are_never_given_twice() -> None:
    acme = make_tenant(balance="0.60", live_calls_max=4)
    agents = [make_agent(acme.organization, f"1380000010{digit}") for digit in range(6)]
    acts = [
        lambda agent=agent: acme.call(f"1391234567{agent.pk % 10}", client=acme.browser(agent.user), max_seconds=60,
                                      ring_timeout=5)
        for agent in agents
    ]  # fmt: skip

    answers = side_by_side(acts)

    placed = [answer for answer in answers if answer.status_code == 201]
    assert len(placed) == 2  # 0.24 each, 0.60 there
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
        "insufficient_balance", "concurrency_limit",
    }  # fmt: skip
    assert acme.money == (Decimal("0.60"), Decimal("0.48"))
    assert live(acme)[""] == 2
    assert sum(live(acme).values()) == 4
    assert broken_invariants() == {}


def test_same_event_ten_times_at_once_is_one_and_frees_one_slot() -> None:
    acme = make_tenant()
    call = Callback.objects.get(reference=acme.call().json()["id"])
    body = {"event_id": "end", "provider_call_id": call.provider_call_id, "reference": call.reference,
            "state": "ended", "at": clock.now().isoformat()}  # fmt: skip

    receipts = side_by_side([lambda: accept_status("simulator", body)] * 10)

    assert sum(receipt.raised for receipt in receipts) == 1
    assert CallbackEvent.objects.filter(callback=call, identity="end").count() == 1
    assert live(acme) == {"": 0, "8613800000001": 0}


def test_record_and_end_at_once_free_one_slot_each_call() -> None:
    acme = make_tenant(balance="50", live_calls_per_agent=9, live_calls_max=9)
    calls = [
        Callback.objects.get(reference=acme.call(f"1371234567{digit}", max_seconds=60).json()["id"])
        for digit in range(6)
    ]
    notes = [RecordNote(call.reference, f"r{call.pk}", answered=True, billable_seconds=3) for call in calls]
    ends = [
        {"event_id": "end", "provider_call_id": call.provider_call_id, "reference": call.reference, "state": "ended",
         "at": clock.now().isoformat()}
        for call in calls
    ]  # fmt: skip

    side_by_side([
        *(lambda end=end: accept_status("simulator", end) for end in ends),
        lambda: note_records(notes), lambda: note_records(notes[::-1]),
    ])  # fmt: skip

    assert live(acme) == {"": 0, "8613800000001": 0}
    assert set(Callback.objects.filter(organization=acme.organization).values_list("state", "billable_seconds")) == {
        ("ended", 3)
    }


def test_calls_are_found_by_our_id_by_the_platforms_and_by_numbers() -> None:
    acme = make_tenant(balance="50", live_calls_per_agent=9, live_calls_max=9)
    first, second = (
        Callback.objects.get(reference=acme.call(number, max_seconds=60).json()["id"])
        for number in ("13712345678", "13612345678")
    )
    near = {"agent_key": "8613800000001", "around": clock.now()}

    found = find_calls([
        CallSought("simulator", reference=first.reference),
        CallSought("simulator", provider_call_id=second.provider_call_id or ""),
        CallSought("simulator", reference="cb_nobody", provider_call_id="nobody"),
        CallSought("another", reference=first.reference),
        CallSought("simulator", customer_key="8613612345678", **near),  # type: ignore[arg-type]
        CallSought("simulator", customer_key="8613512345678", **near),  # type: ignore[arg-type]
    ])  # fmt: skip

    assert [call and call.call_id for call in found] == [
        first.reference, second.reference, None, None, second.reference, None,
    ]  # fmt: skip
    assert found[0] is not None
    assert (found[0].organization, found[0].accno, found[0].label, found[0].call_type, found[0].user_id) == (
        acme.organization, acme.accno, "callback", "callback", acme.agent.user_id,
    )  # fmt: skip
    assert find_calls([]) == []
    acme.call("13612345678", max_seconds=60)
    [ambiguous] = find_calls([CallSought("simulator", customer_key="8613612345678", **near)])  # type: ignore[arg-type]
    assert ambiguous is None
