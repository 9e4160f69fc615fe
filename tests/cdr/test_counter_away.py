"""The counter away: records are stored as pending, nothing is lost, and the sweeper charges them once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings

from billing_platform import clock
from cdr.models import CallRecord, Provider
from cdr.providers import forget_providers
from cdr.resubmission import sweep_charges
from counter import client
from tests.cdr.desk import Desk, Sender, call, make_sender
from tests.cdr.hooks import make_platform
from tests.processes import start_counter


@contextmanager
def counter_away() -> Iterator[None]:
    before = settings.COUNTER_ADDRESS
    settings.COUNTER_ADDRESS = ["127.0.0.1:1"]
    try:
        yield
    finally:
        settings.COUNTER_ADDRESS = before


@pytest.fixture
def sender(desk: Desk) -> Sender:
    return make_sender()


def test_record_is_stored_as_pending_and_swept_later(sender: Sender) -> None:
    with counter_away():
        told = sender.post(call(seconds=95)).json()
        swept_away = sweep_charges()

    assert (told["result"], told["state"], told["code"]) == ("accepted", "pending", "counter_unavailable")
    assert (swept_away, sender.records[0].bill_attempts, sender.balance) == ({}, 0, "100.00")

    swept = sweep_charges()

    assert swept["charged"] == 1
    (record,) = sender.records
    assert (record.state, record.billed, record.next_bill_at, f"{record.cost:.2f}") == ("charged", True, None, "0.24")
    assert sender.balance == "99.76"
    assert sweep_charges() == {}


def test_unknown_outcome_is_asked_again_under_the_same_key(sender: Sender) -> None:
    told = sender.post(call(seconds=95)).json()
    lost = {"state": "pending", "billed": False, "cost": 0, "svcno": "", "service_record_id": None}
    CallRecord.objects.filter(id=told["cdr_id"]).update(**lost, next_bill_at=clock.now())

    sweep_charges()

    (record,) = sender.records
    assert (record.state, f"{record.cost:.2f}", len(sender.uses), sender.balance) == ("charged", "0.24", 1, "99.76")


def test_correction_while_the_charge_is_unknown_is_a_conflict_for_a_person(sender: Sender) -> None:
    """The counter was asked and did not answer: it may have charged the facts as they were."""
    record = call(seconds=95)
    with counter_away():
        sender.post(record)
        longer = sender.post(record | {"end_time": record["answer_time"], "duration": 0}).json()

    assert (longer["result"], longer["state"]) == ("conflict_queued", "pending")
    assert sweep_charges() == {"charged": 1}
    assert (len(sender.uses), sender.balance) == (1, "99.76")


def test_repeat_while_pending_is_a_duplicate(sender: Sender) -> None:
    record = call(seconds=95)
    with counter_away():
        first, second = sender.post(record).json(), sender.post(record).json()

    assert (second["result"], second["cdr_id"], second["state"]) == ("duplicate", first["cdr_id"], "pending")
    sweep_charges()
    assert (len(sender.uses), sender.balance) == (1, "99.76")


def test_f47_counter_that_dies_after_its_commit_charges_once(desk: Desk, tmp_path: Path) -> None:
    sender = make_sender()
    before = settings.COUNTER_ADDRESS
    dying = start_counter(tmp_path, env={"FAILPOINTS": "counter.committer.after_commit:kill9"})
    settings.COUNTER_ADDRESS = [dying.ready["address"]]
    try:
        told = sender.post(call(seconds=95)).json()
    finally:
        settings.COUNTER_ADDRESS = before
        dying.kill9()
    assert (told["state"], sender.balance) == ("pending", "99.76")

    sweep_charges()

    (record,) = sender.records
    assert (record.state, f"{record.cost:.2f}", len(sender.uses), sender.balance) == ("charged", "0.24", 1, "99.76")


def test_sweep_of_a_long_backlog_is_complete(sender: Sender) -> None:
    with counter_away():
        sender.post([call(seconds=30) for _ in range(450)])

    swept = sweep_charges(seconds=30)

    assert (swept["charged"], sender.balance) == (450, "46.00")


def test_refused_charge_is_on_the_list_and_not_tried_again(sender: Sender) -> None:
    told = sender.post(call(called="13800000002", call_type="softphone")).json()

    assert (told["state"], told["code"]) == ("review", "service_unknown")
    assert (sweep_charges(), client.ready_part().ok) == ({}, True)


def test_record_whose_owner_appears_is_charged(desk: Desk) -> None:
    sender, platform = make_sender(), make_platform()
    orphan = platform.push(call(seconds=95)).json()["cdr_id"]
    Provider.objects.filter(pk=platform.row.pk).update(organization=sender.organization)
    forget_providers()
    clock.set_test_instant(clock.now() + timedelta(minutes=2))

    swept = sweep_charges()

    assert swept["charged"] == 1
    assert (sender.records[0].id, sender.balance) == (int(orphan), "99.76")


def test_leg_without_talk_goes_to_review_after_ten_minutes(sender: Sender) -> None:
    sender.post(call(leg="a"))
    clock.set_test_instant(clock.now() + timedelta(minutes=11))

    swept = sweep_charges()

    assert swept == {"review": 1}
    assert sender.records[0].bill_error.startswith("no_talk_record")
