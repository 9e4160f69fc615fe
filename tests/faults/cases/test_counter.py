"""The counter is away, slow, or dies after it has charged: at the gate a policy decides, a charge waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings

from billing_platform.supervision import wait_until
from counter import client
from counter.errors import CounterUnavailable
from counter.uses import CallFacts, ServiceUse, UseReceipt, UseRequest
from tests.faults.stage import Stage
from tests.faults.stubs import CallbackPlatform
from tests.faults.workload import Reply, Wire, cost_of

pytestmark = pytest.mark.smoke

GATE_SECONDS = 2.0
SLACK_SECONDS = 1.0  # for the way there and back on a busy machine
SLOW = "counter.grpc.before_reply:sleep=6"  # three times what the gate waits


@pytest.fixture
def platform() -> Iterator[CallbackPlatform]:
    with CallbackPlatform() as platform:
        yield platform


class Caller:
    """A program that asks for callbacks over one kept connection: one web process, which remembers."""

    def __init__(self, stage: Stage, platform: CallbackPlatform, **policy: object) -> None:
        stage.stack.clerk.open_gate(stage.tenant, platform_url=platform.url, **policy)
        self._wire, self._key = Wire(stage.stack.web_port), stage.tenant.key
        self.seconds = 0.0

    def call(self, number: int) -> Reply:
        body = {"agent_number": "13800000001", "customer_number": f"1391234{number:04d}"}
        started = time.monotonic()
        reply = self._wire.post("/api/v1/callbacks", body, key=self._key, **{"Idempotency-Key": f"call-{number}"})
        self.seconds = time.monotonic() - started
        return reply

    def place_first(self) -> None:
        """The case before may have left the web's way to the counter broken: it is tried again each second."""
        assert wait_until(lambda: self.call(1).status == 201, seconds=30), "the counter was not reached again"


def assert_refused_in_time(caller: Caller, reply: Reply) -> None:
    assert (reply.status, reply.body["code"], reply.body["retryable"]) == (503, "counter_unavailable", True)
    assert caller.seconds < GATE_SECONDS + SLACK_SECONDS


def test_f45_counter_down_and_terminate_refuses(stage: Stage, platform: CallbackPlatform) -> None:
    caller = Caller(stage, platform, policy="TERMINATE")
    caller.place_first()
    before = stage.stack.books.fingerprint()

    stage.stack.counter.kill9()
    reply = caller.call(2)

    assert_refused_in_time(caller, reply)
    assert len(platform.placed) == 1
    assert stage.stack.books.fingerprint() == before


def test_f45_counter_down_and_continue_grants_within_the_cap(stage: Stage, platform: CallbackPlatform) -> None:
    caller = Caller(
        stage, platform, policy="CONTINUE", continue_amount="10", continue_calls=1, continue_minutes=10,
        continue_estimate="1",
    )  # fmt: skip
    caller.place_first()

    stage.stack.counter.kill9()
    granted, beyond = caller.call(2), caller.call(3)

    assert granted.status == 201
    assert_refused_in_time(caller, beyond)
    assert len(platform.placed) == 2
    flagged = "SELECT reference FROM callcontrol_callback WHERE granted_unchecked AND organization = %s"
    assert stage.stack.books.rows(flagged, stage.tenant.organization) == [(platform.placed[1],)]


def test_f45_first_counter_down_and_second_address_answers(stage: Stage, platform: CallbackPlatform) -> None:
    caller = Caller(stage, platform, policy="RETRY_AND_TERMINATE")
    first, second = stage.stack.counter_lines
    first.down()

    # The case before may have left the second line's breaker open: it lets a probe through each second.
    assert wait_until(lambda: caller.call(1).status == 201, seconds=30), "the second address was not asked"
    assert caller.seconds < GATE_SECONDS + SLACK_SECONDS

    second.down()
    assert_refused_in_time(caller, caller.call(2))
    assert len(platform.placed) == 1


def test_f46_counter_slow_at_the_gate_refuses_and_holds_once(stage: Stage, platform: CallbackPlatform) -> None:
    caller = Caller(stage, platform, policy="TERMINATE")
    request = UseRequest(
        stage.tenant.accno, "callback", "f46", organization=stage.tenant.organization, max_seconds=60,
        call=CallFacts("13800000001", "13912340001", "callback"),
    )  # fmt: skip
    stage.stack.counter.restart(SLOW)

    assert_refused_in_time(caller, caller.call(1))
    with asking(stage), pytest.raises(CounterUnavailable):
        client.start_service(request)

    stage.stack.counter.restart()
    with asking(stage):
        again = client.start_service(request)
        assert again.duplicate
        assert held(stage) == again.hold > 0
        client.cancel_service(stage.tenant.accno, "callback", providerno="f46")
    assert held(stage) == 0
    assert platform.placed == []


def test_f46_counter_slow_at_the_charge_charges_once(stage: Stage) -> None:
    stage.post(stage.calls.record(0, seconds=61))  # from now on this web process knows who pays
    record = stage.calls.record(1, seconds=61)
    stage.stack.counter.restart(SLOW)

    reply = stage.post(record).body

    assert (reply["result"], reply["state"]) == ("accepted", "pending")
    assert stage.balance == Decimal(1000) - 2 * cost_of(61)  # charged, though nobody heard of it
    stage.stack.counter.restart()
    assert stage.post(record).body["result"] == "duplicate"
    stage.settle()
    assert stage.states() == {"charged": 2}
    assert stage.balance == Decimal(1000) - 2 * cost_of(61)


def test_f47_counter_dies_between_its_commit_and_its_answer(stage: Stage) -> None:
    record = stage.calls.record(1, seconds=61)
    stage.stack.counter.restart("counter.committer.after_commit:kill9")

    reply = stage.post(record).body

    stage.stack.counter.await_dead(seconds=30)
    assert (reply["result"], reply["state"]) == ("accepted", "pending")
    (charged,) = charged_uses(stage)

    stage.stack.counter.start()
    stage.settle()

    assert charged_uses(stage) == [charged]
    assert stage.states() == {"charged": 1}
    assert stage.balance == Decimal(1000) - cost_of(61)


def test_f48_answer_of_the_counter_is_swallowed_and_the_line_cut(stage: Stage) -> None:
    use = ServiceUse(
        stage.tenant.accno, "callback", "f48", start=stage.calls.ended - timedelta(seconds=61),
        finish=stage.calls.ended, organization=stage.tenant.organization,
        call=CallFacts("13800000001", "13912340001", "callback"),
    )  # fmt: skip
    line, _ = stage.stack.counter_lines
    with asking(stage, port=line.port):
        line.swallow_answers()
        with pytest.raises(CounterUnavailable):
            client.end_services([use], seconds=1)
        line.up()
        line.cut()

        first, second = repeatedly(use), repeatedly(use)

    assert (first.svcno, first.cost) == (second.svcno, second.cost)
    assert second.duplicate
    assert len(charged_uses(stage)) == 1


@contextmanager
def asking(stage: Stage, *, port: int | None = None) -> Iterator[None]:
    """The product's own client of the counter, in this process."""
    before = settings.COUNTER_ADDRESS
    settings.COUNTER_ADDRESS = [stage.stack.counter_address if port is None else f"127.0.0.1:{port}"]
    yield
    settings.COUNTER_ADDRESS = before


def repeatedly(use: ServiceUse) -> UseReceipt:
    """The same content under the same key until the counter has said something: the line may still be coming back."""
    receipts: list[UseReceipt] = []

    def answered() -> bool:
        try:
            receipts.append(client.end_service(use))
        except CounterUnavailable:
            return False
        return True

    assert wait_until(answered, seconds=30), "the counter stays silent"
    return receipts[0]


def held(stage: Stage) -> Decimal:
    found: Decimal = stage.stack.books.value(
        "SELECT held FROM ledger_billingaccount WHERE accno = %s", stage.tenant.accno
    )
    return found


def charged_uses(stage: Stage) -> list[tuple[int, int]]:
    """Each charged use of the tenant and its transfer."""
    return stage.stack.books.rows(
        "SELECT id, transfer_id FROM counter_servicerecord WHERE state = 'ended' AND organization = %s",
        stage.tenant.organization,
    )
