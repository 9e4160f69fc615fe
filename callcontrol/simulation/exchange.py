import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from callcontrol.simulation.calls import Call, CallOrder, WireFormat
from callcontrol.simulation.clock import wall_now
from callcontrol.simulation.knobs import Knobs
from callcontrol.simulation.reporting import Reporter
from callcontrol.simulation.scenarios import Plan, Quirk, Scenario, cut_short, plan_call, scenario_for, talk_seconds_for
from callcontrol.simulation.timeline import Timeline

# Which state a cancel must come before, by its policy.
CANCEL_BEFORE: Final = {"always": "ended", "not_after_agent_ring": "a_ringing", "not_after_agent_answer": "a_answered"}
ORDER_QUIRKS: Final = {"refusal": Quirk.PLACE_REFUSED, "slow_answer": Quirk.PLACE_LATE, "reorder": Quirk.REVERSED}


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of an order: a call, or a refusal code. `quirk` says how the answer itself is to go wrong."""

    provider_call_id: str | None
    refusal: str | None = None
    quirk: Quirk | None = None


class Exchange:
    """Takes orders and plays the calls. The same reference again is answered as the first time and starts nothing."""

    def __init__(self, knobs: Knobs, *, timeline: Timeline, reporter: Reporter) -> None:
        self.knobs = knobs
        self._lock = threading.Lock()
        self._timeline = timeline
        self._reporter = reporter
        self._calls: dict[str, Call] = {}
        self._placements: dict[tuple[str, str], Placement] = {}
        self.stays_in: str | None = None
        self._staying: list[Call] = []

    def turn(self, changes: dict[str, object]) -> Knobs:
        """Change knobs, all or none. Raises BadKnob. What is already on its way keeps the pace it was given."""
        with self._lock:
            self.knobs = self.knobs.turned(changes)
            self._timeline.speed = self.knobs.speed
            return self.knobs

    def stay(self, state: str | None) -> None:
        """Calls that reach the state stay in it until they are cancelled, or another state or none is named."""
        with self._lock:
            self.stays_in = state
            staying, self._staying = self._staying, []
            for call in staying:
                self._plan_next(call)

    def place(self, order: CallOrder, *, wire: WireFormat, prefix: str) -> Placement:
        with self._lock:
            key = (prefix, order.reference)
            if (first := self._placements.get(key)) is not None:
                return Placement(first.provider_call_id, first.refusal)
            placement = self._place_new(order, wire=wire, prefix=prefix)
            self._placements[key] = placement
            return placement

    def cancel(self, call: Call, *, policy: str) -> str | None:
        """End the call where the policy still allows it. None, or the code of the refusal."""
        with self._lock:
            if call.over:
                return "already_ended"
            if call.has_reached(CANCEL_BEFORE[policy]):
                return "too_late"
            call.plan = cut_short(call.plan, steps=call.index + 1, after=self._offset_now(call))
            self._reach(call, index=len(call.plan.steps) - 1)
            return None

    def find(self, provider_call_id: str) -> Call | None:
        return self._calls.get(provider_call_id)

    def find_by_reference(self, reference: str, *, prefix: str) -> Call | None:
        with self._lock:
            placement = self._placements.get((prefix, reference), Placement(None))
            return self._calls.get(placement.provider_call_id or "")

    def tell(self, call: Call, *, words: Callable[[Call], dict[str, object]]) -> dict[str, object]:
        """The call in a platform's words, never caught between two steps."""
        with self._lock:
            return words(call)

    def calls(self, *, skip: int, limit: int) -> list[dict[str, object]]:
        """The platform's own truth, in the order of placing."""
        with self._lock:
            return [call.truth() for call in itertools.islice(self._calls.values(), skip, skip + limit)]

    def counts(self) -> dict[str, int]:
        """Calls by state, refused orders, pushes and those acknowledged."""
        with self._lock:
            states = Counter(call.state for call in self._calls.values())
            pushes = [push for call in self._calls.values() for push in call.pushes]
            refused = sum(placement.refusal is not None for placement in self._placements.values())
        return dict(states) | {
            "calls": states.total(),
            "refused": refused,
            "pushes": len(pushes),
            "pushes_acknowledged": sum(push.acks > 0 for push in pushes),
        }

    def _place_new(self, order: CallOrder, *, wire: WireFormat, prefix: str) -> Placement:
        scenario = scenario_for(order.customer_number)
        quirks = _quirks_of(order, scenario=scenario, knobs=self.knobs)
        if Quirk.PLACE_REFUSED in quirks:
            refusal = "refused" if scenario.quirk == Quirk.PLACE_REFUSED else "no_capacity"
            return Placement(None, refusal=refusal)
        spot = f"{self.knobs.seed}|{prefix}|{order.reference}"
        provider_call_id = f"sim-{hashlib.sha256(spot.encode()).hexdigest()[:20]}"
        call = Call(provider_call_id, order, wire, scenario, quirks, _plan(order, scenario=scenario, knobs=self.knobs))
        self._calls[provider_call_id] = call
        self._timeline.after(0, partial(self._play, call, 0))
        answer_quirks = quirks & {Quirk.PLACE_LATE, Quirk.PLACE_CUT}
        return Placement(provider_call_id, quirk=min(answer_quirks, default=None))

    def _offset_now(self, call: Call) -> int:
        """Whole seconds of call time since the start; a step that is about to come has not come yet."""
        since_step = int((self._timeline.now() - call.played_at) * self.knobs.speed)
        return min(call.offset + since_step, call.next_offset) if call.index >= 0 else 0

    def _play(self, call: Call, index: int) -> None:
        with self._lock:
            if call.over:  # cancelled in the meantime
                return
            self._reach(call, index=index)
            self._plan_next(call)

    def _plan_next(self, call: Call) -> None:
        if call.over:
            return
        if call.state == self.stays_in:
            self._staying.append(call)
        else:
            self._timeline.after(call.next_offset - call.offset, partial(self._play, call, call.index + 1))

    def _reach(self, call: Call, *, index: int) -> None:
        call.reach(index, at=wall_now(), played_at=self._timeline.now())
        self._reporter.state_reached(call, knobs=self.knobs)


def _quirks_of(order: CallOrder, *, scenario: Scenario, knobs: Knobs) -> frozenset[Quirk]:
    rolled = {quirk for rate, quirk in ORDER_QUIRKS.items() if knobs.strikes(rate, at=order.reference)}
    return frozenset(rolled if scenario.quirk is None else {*rolled, scenario.quirk})


def _plan(order: CallOrder, *, scenario: Scenario, knobs: Knobs) -> Plan:
    by_number = talk_seconds_for(order.customer_number)
    return plan_call(
        scenario,
        dial_first=order.dial_first,
        ring_timeout=order.ring_timeout,
        max_seconds=order.max_seconds,
        talk=by_number if knobs.talk_seconds is None else knobs.talk_seconds,
    )
