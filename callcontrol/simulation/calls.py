from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from callcontrol.simulation.clock import iso_second, wall_now
from callcontrol.simulation.courier import Lane, Message, Push
from callcontrol.simulation.scenarios import Plan, Quirk, Scenario


@dataclass(frozen=True, slots=True)
class CallOrder:
    """What any platform is told when a callback is placed. Seconds; without `max_seconds` its own limit holds."""

    reference: str
    agent_number: str
    customer_number: str
    display_to_agent: str | None = None
    display_to_customer: str | None = None
    max_seconds: int | None = None
    ring_timeout: int = 45
    warn_before_seconds: int | None = None
    dial_first: str = "agent"
    record: bool = False


class WireFormat(Protocol):
    """The words of one platform: how its calls are told to our hooks."""

    def status(self, call: "Call") -> Message: ...

    def cdr(self, call: "Call", *, end: int, version: int) -> Message: ...

    def recording(self, call: "Call", *, version: int) -> Message: ...


@dataclass(slots=True)
class Call:
    """One call in play: the step reached last, at which wall instant, at which second of the timeline (`played_at`)."""

    provider_call_id: str
    order: CallOrder
    wire: WireFormat
    scenario: Scenario
    quirks: frozenset[Quirk]
    plan: Plan
    index: int = -1
    reached_at: datetime = field(default_factory=wall_now)
    played_at: float = 0.0
    record_version: int = 0
    lane: Lane = field(default_factory=Lane)
    unsent: list[Message] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.plan.steps[self.index].state if self.index >= 0 else "queued"

    @property
    def offset(self) -> int:
        """Seconds of call time that had passed at the last step."""
        return self.plan.steps[self.index].offset if self.index >= 0 else 0

    @property
    def next_offset(self) -> int:
        return self.plan.steps[self.index + 1].offset

    @property
    def over(self) -> bool:
        return self.index == len(self.plan.steps) - 1

    @property
    def is_recorded(self) -> bool:
        return self.order.record and self.plan.answer is not None

    def has_reached(self, state: str) -> bool:
        return any(step.state == state for step in self.plan.steps[: self.index + 1])

    def reach(self, index: int, *, at: datetime, played_at: float) -> None:
        self.index, self.reached_at, self.played_at = index, at, played_at

    def next_version(self) -> int:
        """The version of the next record that is told of this call: 1, 2, …"""
        self.record_version += 1
        return self.record_version

    def moment(self, offset: int) -> datetime:
        """The wall instant of an offset, back-dated from the last step: durations are true at any speed."""
        return self.reached_at - timedelta(seconds=self.offset - offset)

    def time_of(self, offset: int | None) -> str | None:
        """The instant for a record, cut to seconds; None for what has not happened."""
        return None if offset is None or offset > self.offset else iso_second(self.moment(offset))

    def as_json(self) -> dict[str, object]:
        """What the platform knows of the call; times appear as they happen, the cause when it is over."""
        return {
            "provider_call_id": self.provider_call_id,
            "reference": self.order.reference,
            "state": self.state,
            "agent_number": self.order.agent_number,
            "customer_number": self.order.customer_number,
            "max_seconds": self.order.max_seconds,
            "start_time": self.time_of(0),
            "agent_answer_time": self.time_of(self.plan.agent_answer),
            "answer_time": self.time_of(self.plan.answer),
            "end_time": self.time_of(self.plan.end) if self.over else None,
            "billable_seconds": self.plan.billable_seconds if self.over else None,
            "hangup_cause": self.plan.cause if self.over else None,
            "hangup_by": self.plan.hangup_by if self.over else None,
        }

    def truth(self) -> dict[str, object]:
        """The same with the scenario played and every push, sent or lost."""
        return self.as_json() | {
            "scenario": self.scenario.title,
            "quirks": sorted(self.quirks),
            "pushes": [push.as_json() for push in self.pushes],
        }
