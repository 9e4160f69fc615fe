"""Intake: every record once, whatever is sent, and an answer for each."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdr import providers
from cdr.models import CallDetail, CallRecord, Delivery, FilterDecision, OpenDelivery, ReviewItem
from tests.cdr.desk import NDJSON, Desk, an_hour_ago, call, make_sender, text


def test_record_is_stored_rated_and_charged_in_the_same_request(desk: Desk) -> None:
    sender = make_sender()

    answer = sender.post(call(seconds=95))

    assert answer.status_code == 200
    told = answer.json()
    assert (told["result"], told["state"], told["cost"], told["currency"]) == ("accepted", "charged", "0.24", "CNY")
    (record,) = sender.records
    assert (str(record.id), record.billed, record.billable_seconds) == (told["cdr_id"], True, 95)
    assert sender.balance == "99.76"
    assert not OpenDelivery.objects.filter(delivery_id=record.delivery_id).exists()


def test_delivery_keeps_the_raw_body(desk: Desk) -> None:
    sender = make_sender()
    body = b" " + json.dumps(call(user_data="back\\slash 回拨"), ensure_ascii=False).encode() + b"\n"

    sender.post(body)

    (record,) = sender.records
    assert bytes(Delivery.objects.get(id=record.delivery_id).body) == body


def test_repeat_makes_one_charge(desk: Desk) -> None:
    sender = make_sender()
    record = call()
    first = sender.post(record).json()

    second = sender.post(record).json()

    assert (second["result"], second["cdr_id"], second["cost"]) == ("duplicate", first["cdr_id"], first["cost"])
    assert (len(sender.records), len(sender.uses), sender.balance) == (1, 1, "99.76")


def test_same_instants_in_another_spelling_are_a_repeat(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    record = call(start=start)
    sender.post(record)

    again = sender.post(record | {"start_time": start.astimezone().isoformat()}).json()

    assert again["result"] == "duplicate"


def test_late_recording_is_an_update_without_a_charge(desk: Desk) -> None:
    sender = make_sender()
    record = call()
    sender.post(record)

    told = sender.post(record | {"recording_url": "https://rec.example.com/1.mp3", "version": 2}).json()

    assert (told["result"], told["state"], sender.balance) == ("updated", "charged", "99.76")
    (stored,) = sender.records
    assert (stored.recording_url, stored.version, stored.revision) == ("https://rec.example.com/1.mp3", 2, 2)
    detail = CallDetail.objects.get(record_id=stored.id)
    assert (detail.kind, detail.before, detail.after) == (
        "update", {"recording_url": ""}, {"recording_url": "https://rec.example.com/1.mp3"},
    )  # fmt: skip


def test_lower_version_is_a_late_repeat(desk: Desk) -> None:
    sender = make_sender()
    record = call()
    sender.post(record | {"version": 2})

    told = sender.post(record | {"hangup_by": "agent", "version": 1}).json()

    assert told["result"] == "duplicate"
    assert sender.records[0].hangup_by == "customer"


def test_other_times_after_the_charge_are_a_conflict_for_a_person(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    record = call(seconds=95, start=start)
    sender.post(record)
    longer = record | {"end_time": text(start + timedelta(seconds=500))}

    told = [sender.post(longer).json() for _ in range(2)]

    assert [one["result"] for one in told] == ["conflict_queued", "conflict_queued"]
    (stored,) = sender.records
    assert (stored.billable_seconds, stored.state, sender.balance) == (95, "charged", "99.76")
    item = ReviewItem.objects.get(record_id=stored.id)
    assert (item.kind, item.state, sorted(item.content)) == ("conflict", "open", ["billable_seconds", "end_time"])


def test_unanswered_call_that_turns_out_answered_is_charged(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    record = call(seconds=None, start=start)
    first = sender.post(record).json()

    second = sender.post(call(seconds=61, start=start, provider_call_id=record["provider_call_id"])).json()

    assert (first["state"], first["rule"]) == ("filtered", "unanswered")
    assert (second["result"], second["state"], second["cost"]) == ("updated", "charged", "0.24")
    assert [row.billable_seconds for row in sender.records] == [61]


def test_start_time_that_changes_moves_the_record_and_its_key(desk: Desk) -> None:
    sender = make_sender()
    record = call(seconds=None, start=an_hour_ago())
    sender.post(record)
    earlier = an_hour_ago() - timedelta(days=40)

    moved = sender.post(call(seconds=None, start=earlier, provider_call_id=record["provider_call_id"])).json()
    again = sender.post(call(seconds=None, start=earlier, provider_call_id=record["provider_call_id"])).json()

    assert (moved["result"], again["result"], again["cdr_id"]) == ("updated", "duplicate", moved["cdr_id"])
    assert [row.start_time for row in sender.records] == [earlier]


def test_one_bad_record_is_answered_alone(desk: Desk) -> None:
    sender = make_sender()
    records = [call(seconds=30) for _ in range(20)]
    records[7] = records[7] | {"end_time": "tomorrow"}

    told = sender.post(records).json()
    again = sender.post(records).json()

    assert told["counts"] == {"accepted": 19, "rejected": 1}
    assert (told["items"][7]["code"], told["items"][7]["cdr_id"]) == ("validation", None)
    assert sender.balance == "97.72"
    assert again["counts"] == {"duplicate": 19, "rejected": 1}
    assert (len(sender.uses), sender.balance) == (19, "97.72")


def test_thousand_records_are_charged_in_one_request(desk: Desk) -> None:
    sender = make_sender(money="1000")

    told = sender.post([call(seconds=60) for _ in range(1000)]).json()

    assert told["counts"] == {"accepted": 1000}
    assert {item["state"] for item in told["items"]} == {"charged"}
    assert sender.balance == "880.00"


def test_lines_are_answered_line_by_line(desk: Desk) -> None:
    sender = make_sender()
    lines = [json.dumps(call(seconds=30)), "{", json.dumps(call(seconds=None))]

    answer = sender.post("\n".join(lines).encode(), content_type=NDJSON)

    told = [json.loads(line) for line in answer.content.splitlines()]
    assert [(one["result"], one["state"]) for one in told] == [
        ("accepted", "charged"), ("rejected", None), ("accepted", "filtered"),
    ]  # fmt: skip


def test_same_record_twice_in_a_body_is_charged_once(desk: Desk) -> None:
    sender = make_sender()
    record = call(seconds=30)

    told = sender.post([record, record, record | {"recording_url": "https://rec.example.com/2.mp3"}]).json()

    assert [one["result"] for one in told["items"]] == ["accepted", "duplicate", "updated"]
    assert (len(sender.uses), sender.balance) == (1, "99.88")


def test_two_organisations_may_use_the_same_ids(desk: Desk) -> None:
    one, other = make_sender(), make_sender()
    record = call(seconds=30)

    told = [sender.post(record).json() for sender in (one, other)]

    assert [answer["result"] for answer in told] == ["accepted", "accepted"]
    assert told[0]["cdr_id"] != told[1]["cdr_id"]
    assert (one.balance, other.balance) == ("99.88", "99.88")


def test_ids_that_differ_in_case_are_different_calls(desk: Desk) -> None:
    sender = make_sender()

    told = sender.post([call(provider_call_id="abc"), call(provider_call_id="ABC")]).json()

    assert told["counts"] == {"accepted": 2}


def test_organisation_in_the_body_must_be_that_of_the_key(desk: Desk) -> None:
    one, other = make_sender(), make_sender()

    answer = one.post(call(organization_id=other.organization))

    assert (answer.status_code, answer.json()["code"]) == (422, "organization_mismatch")
    assert not one.records
    assert not other.records


def test_filtered_record_names_its_rule_and_costs_nothing(desk: Desk) -> None:
    sender = make_sender()

    told = sender.post([call(seconds=None), call(seconds=0)]).json()

    assert [(one["state"], one["rule"], one["cost"]) for one in told["items"]] == [
        ("filtered", "unanswered", None), ("filtered", "too_short", None),
    ]  # fmt: skip
    decisions = FilterDecision.objects.filter(record_id__in=[row.id for row in sender.records])
    assert {(made.rule, made.version) for made in decisions} == {("unanswered", 1), ("too_short", 1)}
    assert (sender.uses, sender.balance) == ([], "100.00")


def test_call_of_a_type_without_service_waits_for_a_person(desk: Desk) -> None:
    sender = make_sender()

    told = sender.post(call(call_type="inbound")).json()

    assert (told["state"], told["code"]) == ("review", "service_unknown")
    assert ReviewItem.objects.get(record_id=int(told["cdr_id"])).kind == "charge"
    assert sender.balance == "100.00"


def test_agents_leg_alone_waits_for_the_talk(desk: Desk) -> None:
    sender = make_sender()

    told = sender.post(call(leg="a")).json()

    assert (told["state"], told["cost"]) == ("waiting", None)
    assert CallRecord.objects.get(id=told["cdr_id"]).next_bill_at is not None
    assert sender.balance == "100.00"


def test_customers_leg_alone_is_charged_at_once(desk: Desk) -> None:
    sender = make_sender()

    told = sender.post(call(leg="b", seconds=95)).json()

    assert (told["state"], told["cost"]) == ("charged", "0.24")


def test_account_in_debt_is_charged_all_the_same(desk: Desk) -> None:
    sender = make_sender(money="0.10")

    told = sender.post(call(seconds=95)).json()

    assert (told["state"], sender.balance) == ("charged", "-0.14")
    assert "overdrawn" in sender.records[0].warnings


def test_senders_of_a_batch_are_asked_for_together(desk: Desk) -> None:
    sender = make_sender()
    names = [(sender.organization, f"pbx{n}") for n in range(20)]
    made = providers.find_senders(names)
    providers.forget_providers()

    with CaptureQueriesContext(connection) as asked:
        again = providers.find_senders(names)
        remembered = providers.find_senders(names)

    assert len(asked) == 1
    assert again == remembered == made
    assert len(set(made.values())) == 20


def test_one_provider_name_too_many_is_refused_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "SENDERS_MAX", 2)
    sender = make_sender()
    sender.post(call(provider="one"))

    told = sender.post([call(provider=name) for name in ("two", "three", "one")]).json()

    assert [item["result"] for item in told["items"]] == ["accepted", "rejected", "accepted"]
    assert told["items"][1]["code"] == "too_many_providers"
    assert (len(sender.records), sender.balance) == (3, "99.28")
