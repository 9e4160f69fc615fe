"""The one shape of a call inside the house, and what every adapter may say instead. Pure; times are aware instants.

Frozen structs rather than dataclasses: one is made for every call, at a sixth of the price.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol

from msgspec import Struct

LEGS = ("call", "a", "b")
BASES_OF_TALK = frozenset({"bridge", "b_answer"})  # both sides talk; the others count ringing of B too
BASES = ("bridge", "b_answer", "a_answer", "sip_answer")
CALL_TYPES = (
    "callback", "direct", "softphone", "inbound", "outbound", "ivr", "notify", "internal", "axb", "call400", "unknown",
)  # fmt: skip
CAUSES = (
    "normal_clearing", "busy", "no_answer", "rejected", "cancelled", "unreachable", "power_off", "invalid_number",
    "failed", "time_limit", "insufficient_balance", "unknown",
)  # fmt: skip
PARTIES = ("agent", "customer", "platform")

FUTURE_TOLERANCE = timedelta(minutes=5)
LONGEST_CALL = timedelta(hours=24)
SECOND = timedelta(seconds=1)


class CallMessage(Struct, frozen=True, gc=False):
    """A call as one platform reports it: the canonical record. "" and None mean not said; seconds are whole.

    `call_id` is our own reference as the sender repeats it, `organization` what the body claims: both are claims.
    """

    provider: str
    provider_call_id: str
    leg: str
    call_id: str
    call_type: str
    caller: str
    called: str
    display_number: str
    start_time: datetime | None
    a_answer_time: datetime | None
    answer_time: datetime | None
    end_time: datetime | None
    billable_seconds: int
    answer_basis: str
    hangup_cause: str
    hangup_by: str
    recording_url: str
    complete: bool
    organization: str = ""
    provider_cost: str = ""
    part: str = ""
    version: int = 1
    trunk: str = ""
    carrier: str = ""
    user_data: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> int | None:
        """From start to end, both cut to whole seconds; None while one of them is unknown."""
        if self.start_time is None or self.end_time is None:
            return None
        return whole_seconds(self.start_time, self.end_time)


class Rejection(Struct, frozen=True, gc=False):
    """A record that cannot be taken in: `status` is what its sender is told, `for_review` shows it to people too."""

    code: str
    detail: str
    status: int = 422
    for_review: bool = False


Parsed = CallMessage | Rejection


class Payload(NamedTuple):
    """What an adapter reads: the raw body, its content type, and the zone of the provider for naive times."""

    body: bytes
    content_type: str
    zone: tzinfo


class Knock(NamedTuple):
    """What a webhook's sender shows for itself: headers by lower-case name and the raw body."""

    headers: Mapping[str, str]
    body: bytes


class Adapter(NamedTuple):
    """A platform: how its records are read, its pushes are proved, and acknowledged. All pure.

    `parse` raises errors.Malformed or TooLarge when nothing can be read at all. `verify` is given the sender's key
    name, the live secrets and the instant. `acknowledge` gets result and record id: content type and text.
    """

    parse: Callable[[Payload], Sequence[Parsed]]
    verify: Callable[[Knock, str, Sequence[str], datetime], bool]
    acknowledge: Callable[[str, str], tuple[str, str]]


def whole_seconds(start: datetime, end: datetime) -> int:
    """Seconds from start to end, both cut to whole seconds."""
    return (end.replace(microsecond=0) - start.replace(microsecond=0)) // SECOND


class Times(Protocol):
    """What is judged of a message, and of a stored record alike."""

    @property
    def start_time(self) -> datetime | None: ...
    @property
    def a_answer_time(self) -> datetime | None: ...
    @property
    def answer_time(self) -> datetime | None: ...
    @property
    def end_time(self) -> datetime | None: ...
    @property
    def caller(self) -> str: ...
    @property
    def called(self) -> str: ...


def contradiction(call: Times) -> str:
    """Which two times of the call exclude each other; "" when none do."""
    start, answer, end = call.start_time, call.answer_time, call.end_time
    if end is not None:
        if start is not None and end < start:
            return "end_before_start"
        if answer is not None and end < answer:
            return "end_before_answer"
    if start is not None:
        if answer is not None and answer < start:
            return "answer_before_start"
        if call.a_answer_time is not None and call.a_answer_time < start:
            return "agent_answer_before_start"
    return ""


def quarantine_reason(call: Times, *, at: datetime, oldest: datetime) -> str:
    """Why the call must not be charged though it was stored; "" when it may. `oldest`: the dispute window's begin."""
    end = call.end_time
    if end is None:
        return "no_end"
    first = call.start_time or call.answer_time or end
    if max(first, end) > at + FUTURE_TOLERANCE:
        return "in_the_future"
    if first < oldest:
        return "too_old"
    if end - first > LONGEST_CALL:
        return "too_long"
    if not call.caller and not call.called:
        return "no_number"
    return contradiction(call)
