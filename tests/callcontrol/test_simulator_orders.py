"""Orders to the simulated platform, its knobs, its repeats and its life as a program."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.callcontrol.simulated import ACK, DEADLINE_SECONDS, ROOT, SPEED, Hooks, Simulator, proof, running

IMPORTED_BESIDES = """
import sys
import callcontrol.simulation.program
rooms = {"django", "billing_platform", "counter", "cdr", "rating", "ledger", "orders"}
own = ("callcontrol.simulation",)
print(sorted(n for n in sys.modules if n in rooms or (n.startswith("callcontrol.") and not n.startswith(own))))
"""


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    with Hooks() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def simulator(hooks: Hooks) -> Iterator[Simulator]:
    with running(hooks, "--speed", str(SPEED)) as started:
        yield started


@pytest.fixture(scope="module")
def unhurried(hooks: Hooks) -> Iterator[Simulator]:
    """Slow enough to catch a call while it rings or talks."""
    with running(hooks, "--speed", "30") as started:
        yield started


@dataclass(frozen=True)
class Cancel:
    policy: str
    works: bool


def placed(simulator: Simulator) -> int:
    return int(simulator.ask("GET", "/sim/knobs")[1]["counts"]["calls"])


def test_refusal_starts_no_call(simulator: Simulator) -> None:
    before = placed(simulator)

    reference, answer = simulator.place("13912340010")

    assert answer == {"accepted": False, "code": "refused"}
    assert placed(simulator) == before
    assert simulator.generic("GET", f"/calls?reference={reference}") == (200, {"calls": []})


def test_same_reference_is_the_same_call(simulator: Simulator, hooks: Hooks) -> None:
    reference, first = simulator.place("13800138000")
    before = placed(simulator)

    _, again = simulator.place("13900000099", reference=reference)

    assert again == first
    assert placed(simulator) == before
    assert [heard.content["called"] for heard in hooks.wait(reference, "cdr")] == ["13800138000"]


def test_connection_is_cut_though_the_call_runs(simulator: Simulator, hooks: Hooks) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        simulator.place("13912340012", reference="cut-1")

    [record] = hooks.wait("cut-1", "cdr")
    assert record.content["hangup_cause"] == "normal_clearing"
    _, again = simulator.place("13912340012", reference="cut-1")
    assert again == {"accepted": True, "provider_call_id": record.content["provider_call_id"]}


def test_late_answer_comes_after_the_whole_call(simulator: Simulator, hooks: Hooks) -> None:
    simulator.ask("POST", "/sim/knobs", b'{"slow_answer_seconds": 0.5}')
    started = time.monotonic()

    reference, answer = simulator.place("13912340011")

    assert time.monotonic() - started >= 0.5  # the whole call takes a tenth of it
    [record] = hooks.wait(reference, "cdr")
    assert answer == {"accepted": True, "provider_call_id": record.content["provider_call_id"]}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "no proof"),
        (proof(b"{}", secret="another"), "other secret"),
        (proof(b"{ }"), "other body"),
        (proof(b"{}", age_seconds=900), "too old"),
        (proof(b"{}", age_seconds=-86_400), "from the future"),
        (proof(b"{}") | {"X-Key": "key-2"}, "other key"),
        (proof(b"{}") | {"X-Signature": "t=1"}, "half a proof"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_order_without_genuine_proof_is_refused(simulator: Simulator, headers: dict[str, str], why: str) -> None:
    before = placed(simulator)

    assert simulator.ask("POST", "/generic/calls", b"{}", headers)[0] == 401, why
    assert placed(simulator) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"customer_number": ""},
        {"reference": "a b"},
        {"max_seconds": "60"},
        {"max_seconds": 0},
        {"dial_first": "nobody"},
        {"agent_number": 13800000001},
    ],
    ids=str,
)
def test_order_that_makes_no_sense_is_refused(simulator: Simulator, wrong: dict[str, object]) -> None:
    order = {"reference": "wrong-1", "agent_number": "13800000001", "customer_number": "13800138000"}
    before = placed(simulator)

    status, answer = simulator.generic("POST", "/calls", order | wrong)

    assert (status, answer["accepted"], answer["code"]) == (400, False, "validation")
    assert placed(simulator) == before


@pytest.mark.parametrize(
    ("number", "moment", "cancel"),
    [
        ("13912340003", "a_ringing", Cancel("always", works=True)),
        ("13912340003", "a_ringing", Cancel("not_after_agent_ring", works=False)),
        ("13912340003", "a_ringing", Cancel("not_after_agent_answer", works=True)),
        ("13912340006", "bridged", Cancel("always", works=True)),
        ("13912340006", "bridged", Cancel("not_after_agent_ring", works=False)),
        ("13912340006", "bridged", Cancel("not_after_agent_answer", works=False)),
    ],
)
def test_cancel_obeys_its_policy(unhurried: Simulator, hooks: Hooks, number: str, moment: str, cancel: Cancel) -> None:
    reference, answer = unhurried.place(number, max_seconds=7200, ring_timeout=7200)
    hooks.wait_state(reference, moment)

    told = unhurried.generic("POST", f"/calls/{answer['provider_call_id']}/cancel", {"policy": cancel.policy})

    if not cancel.works:
        assert told == (200, {"accepted": False, "code": "too_late"})
        assert unhurried.truth(reference)["state"] == moment
        return
    assert told == (200, {"accepted": True})
    [record] = hooks.wait(reference, "cdr")
    answered = moment == "bridged"
    assert hooks.states(reference)[-1] == ("ended" if answered else "cancelled")
    assert (record.content["answer_time"] is not None) is answered
    assert (record.content["hangup_cause"], record.content["hangup_by"]) == ("cancelled", "platform")


def test_cancel_after_the_end_or_of_nothing(simulator: Simulator, hooks: Hooks) -> None:
    reference, answer = simulator.place("13800138000")
    hooks.wait(reference, "cdr")
    path = f"/calls/{answer['provider_call_id']}/cancel"

    assert simulator.generic("POST", path, {"policy": "always"}) == (200, {"accepted": False, "code": "already_ended"})
    assert simulator.generic("POST", path, {"policy": "never"})[0] == 400
    assert simulator.generic("POST", "/calls/sim-0/cancel", {"policy": "always"})[0] == 404
    assert simulator.generic("GET", "/calls/sim-0")[0] == 404


def test_push_is_repeated_until_it_is_acknowledged(simulator: Simulator, hooks: Hooks) -> None:
    not_acks = [(503, b""), (200, b"ok"), (200, b'{"detail":"no result"}')]
    hooks.answers["ack-1", "cdr"] = list(not_acks)

    simulator.place("13800138000", reference="ack-1")

    records = hooks.wait("ack-1", "cdr", 4)
    truth = simulator.wait_truth("ack-1", _record_is_acknowledged)
    assert [attempt["outcome"] for attempt in truth["pushes"][-1]["attempts"]] == ["503", "200", "200", "200"]
    assert len({record.raw for record in records}) == 1
    assert all(record.is_genuine for record in records)


def test_push_is_given_up_after_three_repeats(simulator: Simulator, hooks: Hooks) -> None:
    hooks.answers["never-1", "cdr"] = [(500, b"")] * 4 + [ACK]

    simulator.place("13800138000", reference="never-1")
    truth = simulator.wait_truth("never-1", lambda call: _attempts_at_the_record(call) == 4)
    # A whole later call has been told in the meantime, with all that would have been due before it.
    later, _ = simulator.place("13912340030")
    hooks.wait(later, "cdr")

    assert truth["pushes"][-1]["acks"] == 0
    assert len(hooks.of("never-1", "cdr")) == 4


def _attempts_at_the_record(call: Any) -> int:
    return sum(len(push["attempts"]) for push in call["pushes"] if push["kind"] == "cdr")


def _record_is_acknowledged(call: Any) -> bool:
    return any(push["acks"] for push in call["pushes"] if push["kind"] == "cdr")


def test_record_whose_answer_was_lost_is_sent_again(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13912340032")

    first, second = hooks.wait(reference, "cdr", 2)
    assert first.raw == second.raw
    truth = simulator.wait_truth(reference, _record_is_acknowledged)
    assert [attempt["outcome"] for attempt in truth["pushes"][-1]["attempts"]] == ["timeout", "200"]


def test_same_seed_throws_the_same_dice(hooks: Hooks) -> None:
    def refused(seed: str) -> list[int]:
        with running(hooks, "--speed", "1000", "--seed", seed) as simulator:
            simulator.ask("POST", "/sim/knobs", b'{"refusal": 0.5}')
            answers = [simulator.place("13800138000", reference=f"dice-{n}")[1] for n in range(20)]
            assert {answer["code"] for answer in answers if not answer["accepted"]} == {"no_capacity"}
            return [n for n, answer in enumerate(answers) if not answer["accepted"]]

    assert refused("7") == refused("7") != refused("8")


@pytest.mark.parametrize(
    ("knobs", "pushes"),
    [
        ({"duplicate": 1}, ["status"] * 14 + ["cdr"] * 2),
        ({"loss": 1}, []),
        ({"reorder": 1}, ["status"] * 7 + ["cdr"]),
        ({"delay": 1, "delay_seconds": 120}, ["status"] * 7 + ["cdr"]),
    ],
    ids=str,
)
def test_rate_of_one_strikes_every_time(hooks: Hooks, knobs: dict[str, float], pushes: list[str]) -> None:
    with running(hooks, "--speed", "1000") as simulator:
        assert simulator.ask("POST", "/sim/knobs", json.dumps(knobs).encode())[0] == 200
        reference, _ = simulator.place("13800138000")
        sent = [push for push in pushes if push == "cdr"]
        if sent:
            hooks.wait(reference, "cdr", len(sent))
        truth = simulator.wait_truth(reference, lambda call: call["state"] == "ended" and len(call["pushes"]) >= 8)

        assert hooks.kinds(reference) == pushes
        assert all(push["lost"] for push in truth["pushes"]) is ("loss" in knobs)
        if "reorder" in knobs:
            assert hooks.states(reference)[0] == "ended"


def test_bad_knob_changes_nothing(simulator: Simulator) -> None:
    def knobs() -> dict[str, Any]:  # what was told of earlier calls may still be acknowledged
        return {name: value for name, value in simulator.ask("GET", "/sim/knobs")[1].items() if name != "counts"}

    before = knobs()

    for wrong in (
        {"loss": 1.5},
        {"loss": True},
        {"speed": 0},
        {"seed": 0.5},
        {"laziness": 1},
        {"loss": 0.5, "delay": "x"},
    ):
        assert simulator.ask("POST", "/sim/knobs", json.dumps(wrong).encode())[0] == 400

    assert knobs() == before


def test_pause_stops_calls_and_talk_can_be_set(hooks: Hooks) -> None:
    with running(hooks, "--speed", "200") as simulator:
        assert simulator.ask("POST", "/sim/talk", b'{"seconds": 40}')[1]["talk_seconds"] == 40
        assert simulator.ask("POST", "/sim/pause")[1]["paused"] is True
        reference, answer = simulator.place("13800138000")
        assert answer["accepted"]
        assert simulator.truth(reference)["state"] == "queued"

        assert simulator.ask("POST", "/sim/pause", b'{"paused": false}')[1]["paused"] is False

        hooks.wait(reference, "cdr")
        assert simulator.truth(reference)["billable_seconds"] == 40
        status, page = simulator.ask("GET", "/sim/")
        assert (status, reference.encode() in page) == (200, True)


def test_calls_stay_in_a_state_until_another_is_named(simulator: Simulator, hooks: Hooks) -> None:
    try:
        assert simulator.ask("POST", "/sim/stay", b'{"state": "a_ringing"}')[1]["stays_in"] == "a_ringing"
        assert simulator.ask("POST", "/sim/stay", b'{"state": "ended"}')[0] == 400
        (cancelled, answer), (talked, _) = simulator.place("13800138000"), simulator.place("13800138000")
        for reference in (cancelled, talked):
            hooks.wait_state(reference, "a_ringing")
        simulator.generic("POST", f"/calls/{answer['provider_call_id']}/cancel", {})

        simulator.ask("POST", "/sim/stay", b'{"state": "bridged"}')
        hooks.wait_state(talked, "bridged")
        hooks.wait(cancelled, "cdr")
        assert simulator.truth(talked)["state"] == "bridged"
    finally:
        simulator.ask("POST", "/sim/stay", b"{}")

    hooks.wait(talked, "cdr")
    assert [hooks.states(reference)[-1] for reference in (cancelled, talked)] == ["cancelled", "ended"]
    assert simulator.truth(talked)["billable_seconds"] == 7


def test_many_calls_are_each_told_once(simulator: Simulator, hooks: Hooks) -> None:
    placed_references = [simulator.place("13800138000")[0] for _ in range(200)]

    for reference in placed_references:
        hooks.wait(reference, "cdr")

    assert [len(hooks.kinds(reference)) for reference in placed_references] == [8] * 200


def test_sigterm_stops_it_even_with_an_answer_under_way(hooks: Hooks) -> None:
    with running(hooks, "--speed", "200") as simulator:
        late = threading.Thread(target=lambda: _place_quietly(simulator), daemon=True)
        late.start()
        hooks.wait("late-1", "cdr")

        simulator.process.terminate()

        assert simulator.process.wait(DEADLINE_SECONDS) == 0
        assert simulator.process.stdout is not None
        assert simulator.process.stdout.read() == ""


def _place_quietly(simulator: Simulator) -> None:
    try:
        simulator.place("13912340011", reference="late-1")
    except (OSError, http.client.HTTPException):
        return


def test_simulator_imports_nothing_of_the_product() -> None:
    command = [sys.executable, "-c", IMPORTED_BESIDES]

    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_management_command_needs_no_database(hooks: Hooks) -> None:
    with running(hooks, "--speed", "200", program=("manage.py", "simulate")) as simulator:
        reference, _ = simulator.place("13800138000")

        assert len(hooks.wait(reference, "cdr")) == 1
