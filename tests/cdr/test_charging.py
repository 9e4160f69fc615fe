"""Charging: exact amounts through the real counter, and exactly one use for each record."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform.models import OutboxEvent, WebhookEndpoint
from cdr.models import FilterRule
from tests.cast import make_key
from tests.cdr.desk import MARCH, Desk, an_hour_ago, call, make_sender, text
from tests.ledger_facts import LEDGER_CHECKS, assert_books_clean

CHECKS = (*LEDGER_CHECKS, "cdr.audit.record_findings")


@pytest.mark.parametrize(
    ("seconds", "cost"), [(1, "0.12"), (59, "0.12"), (60, "0.12"), (61, "0.24"), (95, "0.24"), (3600, "7.2")]
)
def test_started_minute_is_charged_in_full(desk: Desk, seconds: int, cost: str) -> None:
    sender = make_sender()
    start = an_hour_ago() - timedelta(hours=2)

    told = sender.post(call(seconds=seconds, start=start)).json()

    assert (told["state"], told["cost"]) == ("charged", cost)
    assert sender.balance == f"{Decimal(100) - Decimal(cost):.2f}"
    assert_books_clean(CHECKS)


def test_fractions_of_a_second_are_cut_before_they_are_charged(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    record = call(start=start, seconds=60) | {
        "answer_time": text(start + timedelta(seconds=12, milliseconds=900)),
        "end_time": text(start + timedelta(seconds=72, milliseconds=950)),
    }

    told = sender.post(record).json()

    assert (told["cost"], sender.uses[0].charged_seconds) == ("0.12", 60)


def test_use_names_the_record_and_the_record_the_use(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()

    sender.post(call(seconds=95, start=start))

    (record,), (use,) = sender.records, sender.uses
    assert (use.record_ref, record.service_record_id) == (str(record.id), use.id)
    assert use.providerno == record.charge_key == f"{record.provider_id}:{record.provider_call_id}:call"
    assert (use.start_at, use.finish_at) == (start + timedelta(seconds=12), start + timedelta(seconds=107))
    assert record.svcno.startswith("S")
    assert use.summary.startswith("回拨呼叫 13800000001→138****0002 95s ")
    assert use.summary.endswith(sender.account.accno)


def test_unanswered_call_goes_to_the_tariff_where_the_filter_is_off(desk: Desk) -> None:
    sender = make_sender()
    FilterRule.objects.filter(code="unanswered").update(enabled=False)

    try:
        told = sender.post(call(seconds=None)).json()
    finally:
        FilterRule.objects.filter(code="unanswered").update(enabled=True)

    assert (told["state"], told["cost"], told["rule"]) == ("charged", "0", None)
    assert (sender.uses[0].charged_seconds, sender.balance) == (0, "100.00")


def test_old_and_future_calls_are_quarantined_and_not_charged(desk: Desk) -> None:
    sender = make_sender()
    soon, later = an_hour_ago() + timedelta(hours=1), an_hour_ago() + timedelta(hours=3)

    told = sender.post(
        [call(start=later), call(start=MARCH), call(start=soon - timedelta(days=2), seconds=86_401)]
    ).json()

    assert [(one["result"], one["state"], one["rule"]) for one in told["items"]] == [
        ("accepted", "quarantined", "in_the_future"), ("accepted", "quarantined", "too_old"),
        ("accepted", "quarantined", "too_long"),
    ]  # fmt: skip
    assert (sender.uses, sender.balance) == ([], "100.00")


def test_organisation_without_account_waits_for_a_person(desk: Desk) -> None:
    sender = make_sender()
    sender.key = make_key("nowhere", "cdr:write")

    told = sender.post(call()).json()

    assert (told["result"], told["state"], told["code"]) == ("accepted", "review", "account_not_bound")


def test_charge_is_told_only_to_who_listens(desk: Desk) -> None:
    deaf, listening = make_sender(), make_sender()
    WebhookEndpoint.objects.create(
        organization=listening.organization, url="https://hooks.example.com/", topics=["cdr.charged"], secret=b"x"
    )

    for sender in (deaf, listening):
        sender.post(call(seconds=30))

    events = OutboxEvent.objects.filter(topic="cdr.charged")
    (event,) = events.filter(organization=listening.organization)
    assert (event.subject, event.payload["cost"]) == (str(listening.records[0].id), "0.12")
    assert not events.filter(organization=deaf.organization).exists()
