"""Webhooks: proved on the raw bytes, stored, acknowledged whatever they hold."""

import json
from datetime import timedelta

import pytest

from billing_platform import clock
from billing_platform.auth import ANONYMOUS
from cdr.models import CallRecord, Delivery, OpenDelivery, Provider, ReviewItem
from cdr.providers import rotate_secret, rotate_token
from tests.cdr.desk import Desk, call, make_sender
from tests.cdr.hooks import SECRET, TOKEN, make_platform
from tests.ledger_facts import ledger_fingerprint

DAY = timedelta(days=1)


def test_signed_record_is_charged_and_acknowledged(desk: Desk) -> None:
    sender = make_sender()
    platform = make_platform(sender.organization)

    answer = platform.push(call(seconds=95))

    (record,) = sender.records
    assert (answer.status_code, answer.json()) == (200, {"result": "accepted", "cdr_id": str(record.id)})
    assert (record.state, sender.balance) == ("charged", "99.76")
    headers = json.loads(Delivery.objects.get(id=record.delivery_id).headers)
    assert "x-signature" not in headers
    assert "x-key" not in headers


def test_b45_push_replayed_at_once_is_acknowledged_without_effect(desk: Desk) -> None:
    sender = make_sender()
    platform = make_platform(sender.organization)
    record = call(seconds=95)

    answers = [platform.push(record).json()["result"] for _ in range(2)]

    assert (answers, sender.balance) == (["accepted", "duplicate"], "99.76")


def test_recording_that_comes_later_updates_the_record(desk: Desk) -> None:
    sender = make_sender()
    platform = make_platform(sender.organization)
    record = call()
    platform.push(record)

    answer = platform.push(record | {"recording_url": "https://rec.example.com/3.wav", "version": 2}, "recording")

    assert answer.json()["result"] == "updated"
    assert sender.records[0].recording_url == "https://rec.example.com/3.wav"


ONE_BODY = json.dumps({"provider_call_id": "x"}).encode()
FORGERIES = [
    ("B44 no signature", {"headers": {"X-Signature": None}}),
    ("B44 garbled", {"headers": {"X-Signature": "t=,v1="}}),
    ("B44 not ASCII", {"headers": {"X-Signature": "签名"}}),
    ("B47 None", {"headers": {"X-Signature": "None"}}),
    ("B47 key not ASCII", {"headers": {"X-Key": "é"}}),
    ("B48 other length", {"headers": {"X-Signature": "t=1,v1=abc"}}),
    ("B48 unknown key", {"key": "key-2"}),
    ("B48 wrong secret", {"secret": "another"}),
    ("B48 wrong token", {"token": "guessed"}),
    ("B48 unknown provider", {"code": "nobody"}),
    ("B46 trailing blank", {"sent": ONE_BODY + b" "}),
    ("B46 re-serialised", {"sent": ONE_BODY.replace(b": ", b":")}),
]


@pytest.mark.parametrize("proof", [row[1] for row in FORGERIES], ids=[row[0] for row in FORGERIES])
def test_forged_push_is_refused_with_one_constant_body(desk: Desk, proof: dict[str, object]) -> None:
    platform = make_platform(make_sender().organization)
    reference = platform.push(ONE_BODY, token="guessed")
    before, deliveries = ledger_fingerprint(), Delivery.objects.count()

    answer = platform.push(ONE_BODY, **proof)

    assert (answer.status_code, answer.content) == (401, reference.content)
    assert (ledger_fingerprint(), Delivery.objects.count()) == (before, deliveries)


@pytest.mark.parametrize("seconds", [-305, 302, 360, 31_536_000])
def test_b45_timestamp_outside_the_tolerance_is_refused(desk: Desk, seconds: int) -> None:
    platform = make_platform(make_sender().organization)
    clock.set_test_instant(clock.now())

    assert platform.push(call(), at=int(clock.now().timestamp()) - seconds).status_code == 401


@pytest.mark.parametrize("seconds", [-295, 295])
def test_timestamp_inside_the_tolerance_is_accepted(desk: Desk, seconds: int) -> None:
    platform = make_platform(make_sender().organization)
    clock.set_test_instant(clock.now())

    assert platform.push(call(), at=int(clock.now().timestamp()) - seconds).status_code == 200


def test_b49_old_secret_and_token_live_on_during_a_rotation(desk: Desk) -> None:
    platform = make_platform(make_sender().organization)
    token = rotate_token(platform.row.pk, overlap=DAY, caller=ANONYMOUS)
    secret = rotate_secret(platform.row.pk, overlap=DAY, caller=ANONYMOUS)

    proofs = [{"token": one, "secret": other} for one in (TOKEN, token) for other in (SECRET, secret)]
    during = [platform.push(call(), **proof).status_code for proof in proofs]
    clock.set_test_instant(clock.now() + DAY)
    after = [platform.push(call(), **proof).status_code for proof in proofs]

    assert (during, after) == ([200] * 4, [401, 401, 401, 200])


def test_b49_secret_of_another_provider_proves_nothing(desk: Desk) -> None:
    one, other = make_platform(), make_platform()
    secret = rotate_secret(other.row.pk, overlap=DAY, caller=ANONYMOUS)

    assert one.push(call(), secret=secret).status_code == 401


def test_sender_outside_of_the_networks_is_refused(desk: Desk) -> None:
    platform = make_platform(make_sender().organization)
    Provider.objects.filter(pk=platform.row.pk).update(networks=["192.0.2.0/24"])

    assert platform.push(call()).status_code == 401


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff", b"[]", b'"x"', b""])
def test_unreadable_push_is_acknowledged_kept_and_shown(desk: Desk, body: bytes) -> None:
    sender = make_sender()
    platform = make_platform(sender.organization)

    answer = platform.push(body)

    assert (answer.status_code, answer.json()["result"]) == (200, "rejected")
    item = ReviewItem.objects.get(organization=sender.organization)
    delivery = Delivery.objects.get(id=item.delivery_id)
    assert (item.kind, bytes(delivery.body)) == ("unparsed", body)
    assert not OpenDelivery.objects.filter(delivery_id=delivery.id).exists()


def test_contradicting_push_is_quarantined_and_not_charged(desk: Desk) -> None:
    sender = make_sender()
    record = call()
    record["end_time"], record["answer_time"] = record["answer_time"], record["end_time"]

    answer = make_platform(sender.organization).push(record)

    assert answer.json()["result"] == "accepted"
    (stored,) = sender.records
    assert (stored.state, stored.rule, sender.balance) == ("quarantined", "end_before_answer", "100.00")


def test_unknown_fields_and_a_name_twice_are_no_reason_to_refuse(desk: Desk) -> None:
    sender = make_sender()
    body = json.dumps(call(seconds=30, extra={"a": 1})).encode()[:-1] + b',"caller":"13800000009"}'

    make_platform(sender.organization).push(body)

    (record,) = sender.records
    assert (record.caller, record.state) == ("13800000009", "charged")


def test_record_of_nobody_is_an_orphan(desk: Desk) -> None:
    platform = make_platform()

    answer = platform.push(call())

    record = CallRecord.objects.get(id=answer.json()["cdr_id"])
    assert (record.state, record.billed, record.organization) == ("orphan", False, "")
    assert record.next_bill_at is not None


def test_own_acknowledgement_wins(desk: Desk) -> None:
    platform = make_platform(make_sender().organization)
    Provider.objects.filter(pk=platform.row.pk).update(acknowledgement="ok")

    answer = platform.push(call())

    assert (answer.content, answer.headers["Content-Type"]) == (b"ok", "text/plain; charset=utf-8")


def test_status_of_an_unknown_platform_is_kept_and_acknowledged(desk: Desk) -> None:
    sender = make_sender()
    platform = make_platform(sender.organization)

    answer = platform.push({"state": "ended"}, "status")

    assert (answer.status_code, answer.json()["result"]) == (200, "stored")
    assert ReviewItem.objects.get(organization=sender.organization).kind == "unparsed"


def test_question_about_an_unknown_call_is_refused(desk: Desk) -> None:
    answer = make_platform(make_sender().organization).push({"provider_call_id": "x"}, "auth")

    assert (answer.status_code, answer.json()) == (200, {"allowed": False, "max_seconds": 0})


def test_get_is_no_push(desk: Desk) -> None:
    platform = make_platform()

    assert platform.client.get(f"/api/v1/providers/{platform.row.code}/{TOKEN}/cdr").status_code == 405
