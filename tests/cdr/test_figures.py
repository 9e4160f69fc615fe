"""What the metrics tell of call records: exact counts after a story, and the backlog while the counter is away."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from billing_platform import clock
from cdr.figures import backlog_readings
from cdr.models import CallRecord
from cdr.resubmission import sweep_charges
from tests.cdr.desk import Desk, call, make_sender
from tests.cdr.test_counter_away import counter_away
from tests.scraped import counted, read_now

CALLS = ("billing_calls_total", "billing_call_seconds_total")
CHARGES = ("billing_charge_",)
REFUSED = "service_unknown"


def test_a_charged_call_is_one_attempt_and_one_call(desk: Desk) -> None:
    sender = make_sender()

    with counted(*CALLS, *CHARGES, "billing_cdr_") as raised:
        record = call(seconds=95, carrier="CMCC")
        sender.post(record)
        sender.post(record)

    kind = "{answered=yes,carrier=CMCC,direction=callback}"
    assert raised == {
        f"billing_calls_total{kind}": 1, f"billing_call_seconds_total{kind}": 95,
        "billing_charge_attempts_total{reason=,result=charged}": 1,
        "billing_charge_duration_seconds_count{reason=,result=charged}": 1,
        "billing_cdr_received_total{provider=native,verdict=accepted}": 1,
        "billing_cdr_received_total{provider=native,verdict=duplicate}": 1,
        "billing_cdr_age_seconds_count{provider=native,verdict=accepted}": 1,
    }  # fmt: skip


def test_a_batch_is_one_observation_and_strange_carriers_are_one_label(desk: Desk) -> None:
    sender = make_sender()
    records = [call(seconds=30, carrier=f"junk {number}") for number in range(5)] + [call(seconds=None)]

    with counted(*CALLS, "billing_cdr_age_seconds", "billing_charge_duration_seconds") as raised:
        sender.post(records)

    assert raised == {
        "billing_calls_total{answered=yes,carrier=other,direction=callback}": 5,
        "billing_call_seconds_total{answered=yes,carrier=other,direction=callback}": 150,
        "billing_calls_total{answered=no,carrier=,direction=callback}": 1,
        "billing_charge_duration_seconds_count{reason=,result=charged}": 1,
        "billing_cdr_age_seconds_count{provider=native,verdict=accepted}": 1,
    }  # fmt: skip


def test_a_refused_charge_is_told_with_its_reason(desk: Desk) -> None:
    sender = make_sender()

    with counted(*CHARGES) as raised:
        told = sender.post(call(call_type="softphone")).json()  # the counter has no such service

    outcome = f"{{reason={REFUSED},result=review}}"
    assert (told["state"], told["code"]) == ("review", REFUSED)
    assert raised == {
        f"billing_charge_attempts_total{outcome}": 1, f"billing_charge_duration_seconds_count{outcome}": 1,
    }  # fmt: skip


def test_an_attempt_that_nobody_answers_waits_and_is_charged_later(desk: Desk) -> None:
    sender = make_sender()
    sender.post(call(seconds=60))  # so that it is known what a second of a callback brings
    before = read_now(backlog_readings())
    with counted(*CHARGES) as away, counter_away():
        sender.post([call(seconds=120), call(seconds=30)])
    CallRecord.objects.filter(organization=sender.organization, billed=False).update(
        received_at=clock.now() - timedelta(minutes=10)
    )
    waiting = read_now(backlog_readings())
    charged = CallRecord.objects.filter(billed=True).exclude(billable_seconds=0)
    second = charged.aggregate(price=Sum("cost") / Sum("billable_seconds"))["price"]

    with counted(*CHARGES) as swept:
        sweep_charges()

    assert away == {"billing_charge_attempts_total{reason=counter_unavailable,result=pending}": 2}
    assert swept == {
        "billing_charge_attempts_total{reason=,result=charged}": 2,
        "billing_charge_duration_seconds_count{reason=,result=charged}": 1,
    }  # fmt: skip
    reason = "billing_charge_backlog{reason=pending}"
    assert waiting[reason] - before[reason] == 2
    assert 600 <= waiting["billing_charge_oldest_age_seconds"] < 630
    assert waiting["billing_charge_amount_at_risk{currency=CNY}"] == pytest.approx(150 * float(second))
    assert read_now(backlog_readings())[reason] == before[reason]
