"""Durable events: told once they are true, signed, again until heard, never to a place we must not reach."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from billing_platform import clock, deliveries, failpoints, outbox
from billing_platform.deliveries import send_again
from billing_platform.models import AuditEntry, OutboxEvent, WebhookDelivery, WebhookEndpoint
from billing_platform.outbox import NewEvent, record_events, relay_outbox, seconds_until_next
from billing_platform.webhooks import new_secret, opened_secret, sealed_secret
from tests.billing_platform.receiver import Receiver, answer, receiving

NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _noon(settings: object) -> Iterator[None]:
    settings.OUTSIDE_ALLOWED_PRIVATE_NETS = ["127.0.0.0/8"]  # type: ignore[attr-defined]
    clock.set_test_instant(NOON)
    yield
    clock.set_test_instant(None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def wants(receiver: Receiver, *topics: str, organization: str = "acme") -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(
        organization=organization, url=receiver.url, topics=list(topics), secret=sealed_secret(new_secret())
    )


def suspended(organization: str = "acme", subject: str = "A-1") -> NewEvent:
    return NewEvent("account.suspended", organization, subject, {"accno": subject, "state": "暂停"})


def later(**span: float) -> None:
    clock.set_test_instant(clock.now() + timedelta(**span))


def the_event() -> OutboxEvent:
    return OutboxEvent.objects.get()


def ways() -> list[tuple[str, int, str]]:
    """State, tries and error at each endpoint, in the order of the endpoints."""
    rows = WebhookDelivery.objects.order_by("event_id", "endpoint_id")
    return list(rows.values_list("state", "attempts", "last_error"))


def test_an_event_is_delivered_with_a_signature_that_the_receiver_can_check(receiver: Receiver) -> None:
    endpoint = wants(receiver, "account.suspended")
    record_events([suspended()])

    count = relay_outbox()

    (headers, body), event = receiver.requests[0], the_event()
    signed = f"evt_{event.pk}.{int(NOON.timestamp())}.".encode() + body
    key = base64.b64decode(opened_secret(bytes(endpoint.secret)).removeprefix("whsec_"))
    assert (count, len(receiver.requests), event.state) == (1, 1, "delivered")
    assert headers["webhook-id"] == f"evt_{event.pk}"
    assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert json.loads(body) == {
        "type": "account.suspended", "timestamp": "2026-03-01T04:00:00+00:00",
        "data": {"id": event.pk, "subject": "A-1", "accno": "A-1", "state": "暂停"},
    }  # fmt: skip


def test_secrets_are_encrypted_at_rest(receiver: Receiver) -> None:
    secret = new_secret()

    stored = sealed_secret(secret)

    assert secret.encode() not in stored
    assert opened_secret(stored) == secret
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def test_an_event_of_a_transaction_that_fails_is_never_told(receiver: Receiver) -> None:
    wants(receiver, "*")

    def fail() -> None:
        with transaction.atomic():
            record_events([suspended()])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert relay_outbox() == 0
    assert receiver.requests == []


def test_nobody_asked_so_it_is_delivered_as_it_stands(receiver: Receiver) -> None:
    wants(receiver, "call.ended")
    wants(receiver, "*", organization="echo")
    disabled = wants(receiver, "*")
    WebhookEndpoint.objects.filter(pk=disabled.pk).update(enabled=False)
    record_events([suspended(), suspended(organization="")])

    relay_outbox()

    assert set(OutboxEvent.objects.values_list("state", "attempts")) == {("delivered", 0)}
    assert receiver.requests == []


def test_each_endpoint_of_the_organisation_gets_it(receiver: Receiver) -> None:
    wants(receiver, "*")
    wants(receiver, "account.suspended", "call.ended")
    record_events([suspended()])

    relay_outbox()

    assert len(receiver.requests) == 2
    assert len({headers["webhook-signature"] for headers, _body in receiver.requests}) == 2


def test_a_failure_is_repeated_with_the_same_id_by_the_schedule(receiver: Receiver) -> None:
    wants(receiver, "*")
    receiver.script = [answer(500), answer(302, Location=receiver.url), answer(200)]
    record_events([suspended()])

    relay_outbox()
    first = the_event()
    relay_outbox()
    later(seconds=6.1)
    relay_outbox()
    second = the_event()
    later(seconds=361)
    relay_outbox()

    assert (first.state, first.attempts, first.last_error) == ("pending", 1, "HTTP 500")
    assert timedelta(seconds=4) <= first.next_attempt_at - NOON <= timedelta(seconds=6)
    assert (second.state, second.attempts, second.last_error) == ("pending", 2, "HTTP 302")
    assert (the_event().state, the_event().attempts, the_event().last_error) == ("delivered", 3, "")
    assert len({headers["webhook-id"] for headers, _body in receiver.requests}) == 1
    assert len(receiver.requests) == 3


def test_retry_after_is_obeyed_when_the_receiver_is_busy(receiver: Receiver) -> None:
    wants(receiver, "*")
    receiver.script = [answer(429, Retry_After="900")]
    record_events([suspended()])

    relay_outbox()

    assert the_event().next_attempt_at == NOON + timedelta(seconds=900)


def test_ten_tries_over_75_hours_then_a_dead_letter_that_can_be_sent_again(receiver: Receiver) -> None:
    wants(receiver, "*")
    receiver.script = [answer(500)] * 10
    record_events([suspended()])

    for _ in range(10):
        relay_outbox()
        later(hours=28.9)
        WebhookEndpoint.objects.update(failing_since=None)  # the five days of the endpoint are another story
    dead = the_event()
    relay_outbox()
    sent_again = send_again(dead.pk)
    relay_outbox()

    assert (dead.state, dead.attempts, len(receiver.requests)) == ("dead", 10, 11)
    assert (sent_again, the_event().state, the_event().attempts) == (True, "delivered", 1)
    assert not send_again(dead.pk)


def test_the_schedule_is_as_promised() -> None:
    planned = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

    for attempts, seconds in enumerate(planned):
        pause = seconds_until_next(attempts)
        assert pause is not None
        assert 0.8 * seconds <= pause <= 1.2 * seconds
    assert seconds_until_next(10) is None
    assert seconds_until_next(1, wait=10**9) == 86_400


def test_410_disables_the_endpoint_and_leaves_an_audit_entry(receiver: Receiver) -> None:
    endpoint = wants(receiver, "*")
    receiver.script = [answer(410)]
    record_events([suspended()])

    relay_outbox()

    endpoint.refresh_from_db()
    assert (endpoint.enabled, the_event().state) == (False, "delivered")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.act, entry.object_id) == ("task:outbox", "webhook.disable", str(endpoint.pk))


def test_five_days_of_failures_disable_the_endpoint_and_one_success_forgets_them(receiver: Receiver) -> None:
    endpoint = wants(receiver, "*")
    WebhookEndpoint.objects.update(failing_since=NOON - timedelta(days=4, hours=23))
    receiver.script = [answer(500), answer(200), answer(500), answer(500)]
    record_events([suspended()])

    relay_outbox()
    after_failure = WebhookEndpoint.objects.get()
    later(seconds=7)
    relay_outbox()
    after_success = WebhookEndpoint.objects.get()
    record_events([suspended()])
    relay_outbox()
    later(days=5, seconds=1)
    relay_outbox()

    endpoint.refresh_from_db()
    assert (after_failure.enabled, after_success.enabled, after_success.failing_since) == (True, True, None)
    assert endpoint.enabled is False


def test_an_address_that_we_must_not_reach_is_an_outcome_not_a_fault(receiver: Receiver, settings: object) -> None:
    settings.OUTSIDE_ALLOWED_PRIVATE_NETS = []  # type: ignore[attr-defined]
    wants(receiver, "*")
    record_events([suspended()])

    relay_outbox()

    assert (the_event().state, the_event().last_error) == ("pending", "address_refused")
    assert receiver.requests == []


def test_a_receiver_that_drips_is_cut_off_at_the_deadline(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SEND_SECONDS", 0.4)
    stop = threading.Event()

    def drip(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        while not stop.wait(0.05):
            try:
                handler.wfile.write(b".")  # type: ignore[attr-defined]
            except OSError:
                return

    wants(receiver, "*")
    receiver.script = [drip]
    record_events([suspended()])

    relay_outbox()
    stop.set()

    assert (the_event().state, the_event().last_error) == ("pending", "outside_failed timeout")


def test_a_receiver_that_never_ends_is_cut_off_at_64_kib(receiver: Receiver) -> None:
    wants(receiver, "*")
    receiver.script = [answer(200, b"x" * 65_537)]
    record_events([suspended()])

    relay_outbox()

    assert the_event().last_error == "outside_failed too_large"


def test_a_relay_that_dies_after_sending_sends_again_with_the_same_id(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wants(receiver, "*")
    record_events([suspended()])
    monkeypatch.setattr(failpoints, "_armed", failpoints.parse_failpoints("outbox.after_send:raise@1"))

    with pytest.raises(failpoints.FailpointHit):
        relay_outbox()
    leased = ways()
    relay_outbox()
    later(seconds=61)
    relay_outbox()

    assert leased == [("pending", 1, "")]
    assert [headers["webhook-id"] for headers, _body in receiver.requests] == [f"evt_{the_event().pk}"] * 2
    assert the_event().state == "delivered"


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_what_one_endpoint_heard_is_not_told_it_again_when_another_failed(receiver: Receiver, other: Receiver) -> None:
    wants(receiver, "*")
    wants(other, "*")
    other.script = [answer(500), answer(200)]
    record_events([suspended()])

    relay_outbox()
    first, waiting = ways(), the_event()
    later(seconds=6.1)
    relay_outbox()

    assert first == [("delivered", 1, ""), ("pending", 1, "HTTP 500")]
    assert (waiting.state, waiting.attempts, waiting.last_error) == ("pending", 1, "HTTP 500")
    assert (ways(), the_event().state) == ([("delivered", 1, ""), ("delivered", 2, "")], "delivered")
    assert (len(receiver.requests), len(other.requests)) == (1, 2)
    ids = {headers["webhook-id"] for headers, _body in [*receiver.requests, *other.requests]}
    assert ids == {f"evt_{the_event().pk}"}


def test_a_dead_letter_of_one_endpoint_is_sent_again_to_that_one(receiver: Receiver, other: Receiver) -> None:
    wants(receiver, "*")
    wants(other, "*")
    other.script = [answer(500)]
    record_events([suspended()])
    address_and_fail_nine_times(other)

    relay_outbox()
    dead = ways(), the_event().state, the_event().attempts
    sent_again = send_again(the_event().pk)
    relay_outbox()

    assert dead == ([("delivered", 1, ""), ("dead", 10, "HTTP 500")], "dead", 10)
    assert (sent_again, ways()) == (True, [("delivered", 1, ""), ("delivered", 1, "")])
    assert (len(receiver.requests), len(other.requests), the_event().state) == (1, 2, "delivered")


def address_and_fail_nine_times(receiver: Receiver) -> None:
    """As if the receiver had failed nine times; the tenth try is due."""
    deliveries.address_events()
    WebhookDelivery.objects.filter(url=receiver.url).update(attempts=9, last_error="HTTP 500")


def test_an_endpoint_made_later_gets_nothing_old(receiver: Receiver, other: Receiver) -> None:
    record_events([suspended(subject="A-1")])
    later(milliseconds=1)
    wants(receiver, "*")
    record_events([suspended(subject="A-2")])
    relay_outbox()
    later(seconds=1)
    wants(other, "*")
    record_events([suspended(subject="A-3")])
    relay_outbox()

    assert [json.loads(body)["data"]["subject"] for _headers, body in receiver.requests] == ["A-2", "A-3"]
    assert [json.loads(body)["data"]["subject"] for _headers, body in other.requests] == ["A-3"]
    assert set(OutboxEvent.objects.values_list("state", flat=True)) == {"delivered"}


@pytest.mark.parametrize("is_removed", [False, True])
def test_what_waits_for_an_endpoint_that_is_switched_off_or_removed_ends_visibly(
    receiver: Receiver, other: Receiver, *, is_removed: bool
) -> None:
    wants(receiver, "*")
    endpoint = wants(other, "*")
    other.script = [answer(500)]
    record_events([suspended()])
    relay_outbox()

    if is_removed:
        endpoint.delete()
    else:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(enabled=False)
    relay_outbox()

    assert ways() == [("delivered", 1, ""), ("dropped", 1, "HTTP 500")]
    assert WebhookDelivery.objects.get(state="dropped").url == other.url
    assert (the_event().state, len(other.requests)) == ("delivered", 1)


def test_an_event_that_an_earlier_release_began_to_send_goes_on_with_its_tries(receiver: Receiver) -> None:
    wants(receiver, "*")
    record_events([suspended()])
    OutboxEvent.objects.update(attempts=9, last_error="HTTP 500")
    receiver.script = [answer(503)]

    relay_outbox()

    assert (ways(), the_event().state, the_event().attempts) == ([("dead", 10, "HTTP 503")], "dead", 10)


def test_of_two_outcomes_of_one_event_noted_at_once_both_are_counted(receiver: Receiver, other: Receiver) -> None:
    wants(receiver, "*")
    wants(other, "*")
    record_events([suspended()])
    deliveries.address_events()
    due = deliveries.lease_due(2)
    start = threading.Barrier(2)

    def settle(one: deliveries.Due) -> None:
        start.wait(60)
        deliveries.settle(one, WebhookDelivery.State.DELIVERED)
        connection.close()

    settlers = [threading.Thread(target=settle, args=[one]) for one in due]
    for thread in settlers:
        thread.start()
    for thread in settlers:
        thread.join(60)

    assert (ways(), the_event().state) == ([("delivered", 1, "")] * 2, "delivered")


def test_an_outcome_that_comes_after_its_lease_changes_nothing(receiver: Receiver) -> None:
    wants(receiver, "*")
    record_events([suspended()])
    deliveries.address_events()
    (late,) = deliveries.lease_due(1)
    later(seconds=61)
    deliveries.lease_due(1)

    deliveries.settle(late, WebhookDelivery.State.DEAD, error="HTTP 500")

    assert (ways(), the_event().state) == ([("pending", 2, "")], "pending")


def test_two_relays_send_each_event_once(receiver: Receiver) -> None:
    wants(receiver, "*")
    record_events([suspended(subject=f"A-{n}") for n in range(60)])
    start = threading.Barrier(2)

    def relay() -> None:
        start.wait(60)
        relay_outbox()
        connection.close()

    relays = [threading.Thread(target=relay) for _ in range(2)]
    for thread in relays:
        thread.start()
    for thread in relays:
        thread.join(60)

    assert len(receiver.requests) == 60
    assert len({headers["webhook-id"] for headers, _body in receiver.requests}) == 60
    assert set(OutboxEvent.objects.values_list("state", flat=True)) == {"delivered"}
