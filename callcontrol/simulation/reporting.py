from functools import partial
from typing import Final

from callcontrol.simulation.calls import Call
from callcontrol.simulation.courier import Courier, Message, Push
from callcontrol.simulation.knobs import Knobs
from callcontrol.simulation.scenarios import Quirk
from callcontrol.simulation.timeline import Timeline

# Seconds of call time.
CDR_LATE_SECONDS: Final = 60
CORRECTION_AFTER_SECONDS: Final = 5
RECORDING_AFTER_SECONDS: Final = 10
# How much too early the first record of a corrected call says that it ended.
CORRECTION_SECONDS: Final = 2


class Reporter:
    """Decides what our hooks hear of a call: in which order, how late, how often, or never."""

    def __init__(self, timeline: Timeline, *, courier: Courier) -> None:
        self._timeline = timeline
        self._courier = courier

    def state_reached(self, call: Call, *, knobs: Knobs) -> None:
        """Tell the state at once, or keep it until the call is over where the order is to be wrong."""
        call.unsent.append(call.wire.status(call))
        if call.over:
            self._call_over(call, knobs=knobs)
        elif not call.quirks & {Quirk.REVERSED, Quirk.CDR_FIRST}:
            self._tell(call, call.unsent.pop(), knobs=knobs)

    def _call_over(self, call: Call, *, knobs: Knobs) -> None:
        statuses = call.unsent[::-1] if Quirk.REVERSED in call.quirks else call.unsent
        corrected = Quirk.CORRECTED in call.quirks
        record_after = CDR_LATE_SECONDS if Quirk.CDR_LATE in call.quirks else 0
        first_end = max(call.plan.end - CORRECTION_SECONDS, call.plan.answer or 0) if corrected else call.plan.end
        record = call.wire.cdr(call, end=first_end, version=call.next_version())

        if Quirk.CDR_FIRST in call.quirks:
            self._tell(call, record, knobs=knobs)
        for status in statuses:
            self._tell(call, status, knobs=knobs)
        if Quirk.CDR_FIRST not in call.quirks:
            self._tell(call, record, knobs=knobs, after=record_after)

        if corrected:
            correction = call.wire.cdr(call, end=call.plan.end, version=call.next_version())
            self._tell(call, correction, knobs=knobs, after=CORRECTION_AFTER_SECONDS)
        if call.is_recorded:
            recording = call.wire.recording(call, version=call.next_version())
            self._tell(call, recording, knobs=knobs, after=record_after + RECORDING_AFTER_SECONDS)

    def _tell(self, call: Call, message: Message, *, knobs: Knobs, after: float = 0) -> None:
        spot = f"{call.order.reference}|{message.kind}|{message.label}"
        is_status = message.kind == "status"
        times = 2 if Quirk.TWICE in call.quirks or knobs.strikes("duplicate", at=spot) else 1
        late_seconds = after + (knobs.delay_seconds if knobs.strikes("delay", at=spot) else 0)
        for _ in range(times):
            push = Push(
                message,
                call.lane,
                at_once=5 if Quirk.FIVE_AT_ONCE in call.quirks else 1,
                deaf=1 if Quirk.ANSWER_LOST in call.quirks and not is_status else 0,
                lost=knobs.strikes("loss", at=spot) or (Quirk.CDR_LOST in call.quirks and not is_status),
            )
            call.pushes.append(push)
            if not push.lost:
                self._send(push, late_seconds=late_seconds)

    def _send(self, push: Push, *, late_seconds: float) -> None:
        if late_seconds:
            self._timeline.after(late_seconds, partial(self._courier.post, push))
        else:
            self._courier.post(push)
