"""Records of calls that we placed: matched, charged under the call's own key, their hold captured or released."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.utils.module_loading import import_string

from billing_platform import clock
from callcontrol.models import Callback
from callcontrol.pending import resubmit_pending_uses
from cdr import history
from cdr.resubmission import sweep_charges
from counter import client
from counter.uses import CallFacts, UseRequest
from ledger.accounts import load_account
from rating.segments import read_number
from tests.cdr.desk import Desk, Sender, call, make_sender
from tests.cdr.hooks import Platform, make_platform

AGENT, CUSTOMER = "13800000001", "13800000002"
_numbers = count(1)


def place(sender: Sender, platform: Platform) -> Callback:
    """A call of ours that the platform has taken, its money held."""
    at = clock.now() - timedelta(hours=1)
    reference = f"cb_{sender.organization}_{next(_numbers)}"
    expires = clock.now() + timedelta(hours=2)
    client.start_service(
        UseRequest(
            sender.account.accno, "callback", reference, start=at, organization=sender.organization, expire=expires,
            call=CallFacts(caller=AGENT, called=CUSTOMER, call_type="callback"), max_seconds=600, ring_timeout=45,
            step=1,
        )
    )  # fmt: skip
    return Callback.objects.create(
        reference=reference, organization=sender.organization, placed_by="key:test", call_type="callback",
        accno=sender.account.accno, label="callback", agent_number=AGENT, agent_key=read_number(AGENT).key,
        customer_number=CUSTOMER, customer_key=read_number(CUSTOMER).key, state="queued", provider=platform.row.code,
        provider_call_id=f"p-{reference}", hold_expires_at=expires, created_at=at, updated_at=at,
    )  # fmt: skip


def report(placed: Callback, **fields: object) -> dict[str, Any]:
    return call(start=placed.created_at.replace(microsecond=0), call_id=placed.reference,
                provider_call_id=placed.provider_call_id) | fields  # fmt: skip


def held(sender: Sender) -> str:
    return f"{load_account(sender.account.accno).held:.2f}"


def test_record_captures_the_hold_under_the_calls_key(desk: Desk) -> None:
    sender, platform = make_sender(), make_platform()
    placed = place(sender, platform)
    assert held(sender) == "1.20"

    platform.push(report(placed))

    (record,) = sender.records
    assert (record.call_id, record.charge_key, record.accno) == (
        placed.reference, placed.reference, sender.account.accno,
    )  # fmt: skip
    assert (record.state, held(sender), sender.balance) == ("charged", "0.00", "99.76")
    placed.refresh_from_db()
    assert (placed.state, placed.record_id, placed.billable_seconds) == ("ended", str(record.id), 95)
    assert f"{placed.cost:.2f}" == "0.24"


def test_call_is_found_by_the_platforms_id_alone(desk: Desk) -> None:
    sender, platform = make_sender(), make_platform()
    placed = place(sender, platform)

    platform.push(report(placed, call_id=None))

    assert [(row.call_id, row.state) for row in sender.records] == [(placed.reference, "charged")]


def test_call_of_another_platform_is_not_claimed(desk: Desk) -> None:
    sender, platform, other = make_sender(), make_platform(), make_platform()
    placed = place(sender, platform)

    answer = other.push(report(placed))

    assert answer.json()["result"] == "accepted"
    assert (sender.records, held(sender), sender.balance) == ([], "1.20", "100.00")


def test_key_may_report_its_own_calls_and_no_others(desk: Desk) -> None:
    owner, stranger, platform = make_sender(), make_sender(), make_platform()
    placed = place(owner, platform)
    record = report(placed, provider=platform.row.code)

    stranger.post(record)
    owner.post(record)

    assert (stranger.records[0].call_id, stranger.records[0].charge_key == placed.reference) == ("", False)
    assert (owner.records[0].call_id, held(owner), owner.balance) == (placed.reference, "0.00", "99.76")


def test_unanswered_call_gives_its_hold_back(desk: Desk) -> None:
    sender, platform = make_sender(), make_platform()
    placed = place(sender, platform)

    platform.push(report(placed, answer_time=None, hangup_cause="no_answer"))
    resubmit_pending_uses()

    (record,) = sender.records
    assert (record.state, record.rule) == ("filtered", "unanswered")
    assert (held(sender), sender.balance) == ("0.00", "100.00")
    placed.refresh_from_db()
    assert (placed.state, placed.cause) == ("ended", "no_answer")


def test_the_hold_comes_back_at_once_also_from_a_worker_whose_clock_is_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[str, ...]] = []
    monkeypatch.setattr(history, "ring", lambda *told: rung.append(told))
    sender, platform = make_sender(), make_platform()
    placed = place(sender, platform)

    platform.push(report(placed, answer_time=None, hangup_cause="no_answer"))
    clock.set_test_instant(clock.now() - timedelta(seconds=2))
    ((task, *rows),) = rung
    import_string(task)(*rows)

    assert (held(sender), sender.balance) == ("0.00", "100.00")


def test_two_legs_of_one_call_are_charged_once(desk: Desk) -> None:
    sender, platform = make_sender(), make_platform()
    placed = place(sender, platform)

    first = platform.push(report(placed, leg="a", provider_call_id="leg-a-" + placed.reference))
    second = platform.push(report(placed, leg="b", provider_call_id="leg-b-" + placed.reference))
    clock.set_test_instant(clock.now() + timedelta(minutes=11))
    sweep_charges()

    assert [answer.json()["result"] for answer in (first, second)] == ["accepted", "accepted"]
    assert sorted((row.leg, row.state, row.rule) for row in sender.records) == [
        ("a", "filtered", "other_leg"), ("b", "charged", ""),
    ]  # fmt: skip
    assert (len([use for use in sender.uses if use.state == "ended"]), sender.balance) == (1, "99.76")


def test_late_answer_after_a_released_hold_is_charged_from_the_wallet(desk: Desk) -> None:
    sender, platform = make_sender(), make_platform()
    placed = place(sender, platform)
    platform.push(report(placed, answer_time=None, hangup_cause="no_answer"))
    resubmit_pending_uses()

    answer = platform.push(report(placed))

    assert answer.json()["result"] == "updated"
    (record,) = sender.records
    assert (record.state, sender.balance) == ("charged", "99.76")
    assert "after_cancel" in record.warnings
