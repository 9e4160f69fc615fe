"""Calls of the simulated platform, and what our hooks hear of them: no Django, no database, no code of the product."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.callcontrol.simulated import PRESENT_SECONDS, SPEED, TOKEN, Hooks, Simulator, running

NORMAL_STATES = ["a_dialing", "a_ringing", "a_answered", "b_dialing", "b_ringing", "bridged", "ended"]
A_SIDE = NORMAL_STATES[:3]
# 6–20 s by the number's hash: 13800138000 and the numbers 1391234 + the digits of a scenario.
TALK, TALK_0008, TALK_0031, TALK_0034 = 7, 11, 16, 8


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


def seconds(record: dict[str, Any], later: str, *, since: str = "start_time") -> int | None:
    if record[later] is None:
        return None
    return int((datetime.fromisoformat(record[later]) - datetime.fromisoformat(record[since])).total_seconds())


def test_normal_call_tells_all_states_and_one_signed_record(simulator: Simulator, hooks: Hooks) -> None:
    reference, answer = simulator.place("13800138000")

    [record] = hooks.wait(reference, "cdr")
    statuses = hooks.of(reference, "status")
    assert [heard.content["state"] for heard in statuses] == NORMAL_STATES
    assert len({heard.content["event_id"] for heard in statuses}) == 7
    assert all(heard.is_genuine for heard in [*statuses, record])
    assert record.path == f"/api/v1/providers/simulator/{TOKEN}/cdr"
    told = record.content
    assert [seconds(told, name) for name in ("agent_answer_time", "answer_time", "end_time")] == [5, 12, 12 + TALK]
    ended = datetime.fromisoformat(told["end_time"]).timestamp()
    assert abs(ended - time.time()) < PRESENT_SECONDS  # noqa: TID251
    assert {name: value for name, value in told.items() if not name.endswith("_time")} == {
        "provider": "simulator",
        "provider_call_id": answer["provider_call_id"],
        "call_id": reference,
        "call_type": "callback",
        "leg": "call",
        "caller": "13800000001",
        "called": "13800138000",
        "display_number": "02500000001",
        "hangup_cause": "normal_clearing",
        "hangup_by": "customer",
        "recording_url": None,
        "version": 1,
    }
    truth = simulator.wait_truth(reference, lambda call: all(push["acks"] == 1 for push in call["pushes"]))
    assert (truth["state"], truth["billable_seconds"], len(truth["pushes"])) == ("ended", TALK, 8)
    assert truth["end_time"] == told["end_time"]


@dataclass(frozen=True)
class Going:
    states: list[str]
    cause: str
    hangup_by: str
    # Seconds from the start to the agent's answer, to the talk, to the end.
    times: list[int | None]


@pytest.mark.parametrize(
    ("digits", "going"),
    [
        ("0001", Going([*A_SIDE, "b_dialing", "ended"], "busy", "platform", [5, None, 7])),
        ("0002", Going([*A_SIDE, "b_dialing", "b_ringing", "ended"], "no_answer", "platform", [5, None, 37])),
        ("0003", Going(["a_dialing", "a_ringing", "ended"], "no_answer", "platform", [None, None, 32])),
        ("0004", Going([*A_SIDE, "b_dialing", "b_ringing", "ended"], "rejected", "customer", [5, None, 10])),
        ("0005", Going([*A_SIDE, "b_dialing", "failed"], "invalid_number", "platform", [5, None, 6])),
        ("0006", Going(NORMAL_STATES, "time_limit", "platform", [5, 12, 102])),
        ("0007", Going(NORMAL_STATES, "normal_clearing", "customer", [5, 12, 12])),
        ("0008", Going(NORMAL_STATES, "normal_clearing", "agent", [5, 12, 12 + TALK_0008])),
    ],
)
def test_last_digits_choose_how_the_call_goes(simulator: Simulator, hooks: Hooks, digits: str, going: Going) -> None:
    reference, _ = simulator.place(f"1391234{digits}", ring_timeout=30, max_seconds=90)

    [record] = hooks.wait(reference, "cdr")
    told = record.content
    assert hooks.states(reference) == going.states
    assert (told["hangup_cause"], told["hangup_by"]) == (going.cause, going.hangup_by)
    assert [seconds(told, name) for name in ("agent_answer_time", "answer_time", "end_time")] == going.times


def test_limit_ends_a_longer_talk(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13800138000", max_seconds=TALK - 1)

    [record] = hooks.wait(reference, "cdr")
    assert seconds(record.content, "end_time", since="answer_time") == TALK - 1
    assert record.content["hangup_cause"] == "time_limit"


def test_customer_may_be_dialled_first(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13800138000", dial_first="customer")

    [record] = hooks.wait(reference, "cdr")
    states = ["b_dialing", "b_ringing", "a_dialing", "a_ringing", "a_answered", "bridged", "ended"]
    assert hooks.states(reference) == states
    assert [seconds(record.content, name) for name in ("agent_answer_time", "answer_time")] == [12, 12]


@pytest.mark.parametrize(("digits", "times"), [("0020", 2), ("0021", 5)])
def test_every_push_comes_several_times(simulator: Simulator, hooks: Hooks, digits: str, times: int) -> None:
    reference, _ = simulator.place(f"1391234{digits}")

    records = hooks.wait(reference, "cdr", times)
    assert hooks.states(reference) == [state for state in NORMAL_STATES for _ in range(times)]
    assert len(hooks.kinds(reference)) == 8 * times
    assert len({record.raw for record in records}) == 1


def test_status_events_in_reverse(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13912340022")

    hooks.wait(reference, "cdr")
    assert hooks.states(reference) == NORMAL_STATES[::-1]
    times = [heard.content["at"] for heard in hooks.of(reference, "status")]
    assert times == sorted(times, reverse=True)


def test_record_before_its_status_events(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13912340023")

    hooks.wait(reference, "status", 7)
    assert hooks.kinds(reference) == ["cdr"] + ["status"] * 7
    assert hooks.states(reference) == NORMAL_STATES


def test_wrong_signature_is_wrong_on_every_push(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13912340033")

    hooks.wait(reference, "cdr")
    everything = hooks.of(reference, "status") + hooks.of(reference, "cdr")
    assert len(everything) == 8
    assert not any(heard.is_genuine for heard in everything)


def test_lost_record_is_found_only_by_asking(simulator: Simulator, hooks: Hooks) -> None:
    reference, answer = simulator.place("13912340031", record=True)

    hooks.wait(reference, "status", 7)
    [found] = simulator.generic("GET", f"/calls?reference={reference}")[1]["calls"]
    assert found == simulator.generic("GET", f"/calls/{answer['provider_call_id']}")[1]
    assert (found["state"], found["cdr"]["call_id"], found["billable_seconds"]) == ("ended", reference, TALK_0031)
    lost = [(push["kind"], push["attempts"]) for push in simulator.truth(reference)["pushes"] if push["lost"]]
    assert lost == [("cdr", []), ("recording", [])]
    assert hooks.kinds(reference) == ["status"] * 7


def test_late_record_comes_a_minute_of_call_time_after_the_end(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13912340030")

    hooks.wait(reference, "cdr")
    truth = simulator.wait_truth(reference, lambda call: len(call["pushes"][-1]["attempts"]) == 1)
    ended = datetime.fromisoformat(hooks.of(reference, "status")[-1].content["at"])
    record = datetime.fromisoformat(truth["pushes"][-1]["attempts"][0]["at"])
    assert (record - ended).total_seconds() >= 60 / SPEED


def test_second_record_corrects_the_end(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13912340034")

    first, second = (heard.content for heard in hooks.wait(reference, "cdr", 2))
    assert (first["version"], second["version"]) == (1, 2)
    assert first | {"version": 2, "end_time": second["end_time"]} == second
    assert seconds(second, "end_time", since="answer_time") == TALK_0034
    assert seconds(first, "end_time", since="answer_time") == TALK_0034 - 2


def test_recording_follows_the_record_and_can_be_fetched(simulator: Simulator, hooks: Hooks) -> None:
    reference, _ = simulator.place("13800138000", record=True)

    [recording] = hooks.wait(reference, "recording")
    [record] = hooks.of(reference, "cdr")
    url = recording.content["recording_url"]
    assert recording.is_genuine
    assert recording.content == record.content | {"version": 2, "recording_url": url}
    status, sound = simulator.ask("GET", url.removeprefix(f"http://127.0.0.1:{simulator.port}"))
    assert (status, sound[:4]) == (200, b"RIFF")
