"""Calls as people read them on pages: a headline, an outcome, a rail of steps, advice. Numbers masked by role."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from callcontrol.advice import advice_for, title_for
from callcontrol.charges import LegCharge
from callcontrol.models import Callback, Dispute
from callcontrol.models.calls import OVER, RANKS, State
from callcontrol.shown import number_shown
from callcontrol.wishes import Placer

BADGES = {
    State.ENDED: "good",
    State.FAILED: "bad",
    State.CANCELLED: "warn",
    State.EXPIRED: "warn",
    State.UNKNOWN: "warn",
}
DISPUTE_BADGES: dict[str, str] = {
    Dispute.State.OPEN: "warn",
    Dispute.State.ACCEPTED: "good",
    Dispute.State.DECLINED: "bad",
}
STEPS: tuple[
    tuple[str, "str | Promise", frozenset[str]], ...
] = (  # key, label, the states in which it is the present one
    ("queued", gettext_lazy("Queued"), frozenset({State.CREATED, State.QUEUED, State.UNKNOWN})),
    ("agent", gettext_lazy("Agent rings"), frozenset({State.A_DIALING, State.A_RINGING, State.A_ANSWERED})),
    ("customer", gettext_lazy("Customer rings"), frozenset({State.B_DIALING, State.B_RINGING})),
    ("talking", gettext_lazy("Talking"), frozenset({State.BRIDGED})),
    ("ended", gettext_lazy("Ended"), frozenset({State.ENDED})),
)
EXITS: dict[str, tuple["str | Promise", str]] = {  # a call that leaves the rail: its last label and look
    State.FAILED: (gettext_lazy("Failed"), "failed"),
    State.CANCELLED: (gettext_lazy("Cancelled"), "failed"),
    State.EXPIRED: (gettext_lazy("Expired"), "doubtful"),
}
HEADLINES: dict[str, "str | Promise"] = {
    State.CREATED: gettext_lazy("Preparing the call"),
    State.QUEUED: gettext_lazy("Queued"),
    State.UNKNOWN: gettext_lazy("Outcome unknown"),
    State.A_DIALING: gettext_lazy("Dialling your telephone"),
    State.A_RINGING: gettext_lazy("Your telephone rings"),
    State.A_ANSWERED: gettext_lazy("You are connected"),
    State.B_DIALING: gettext_lazy("Dialling the customer"),
    State.B_RINGING: gettext_lazy("The customer's telephone rings"),
    State.BRIDGED: gettext_lazy("Talking"),
    State.EXPIRED: gettext_lazy("No sign of this call any more"),
    State.ENDED: gettext_lazy("Call ended"),
    State.FAILED: gettext_lazy("Call failed"),
    State.CANCELLED: gettext_lazy("Call cancelled"),
}
CAUSES: dict[str, "str | Promise"] = {
    "busy": gettext_lazy("busy"),
    "no_answer": gettext_lazy("no answer"),
    "rejected": gettext_lazy("declined"),
    "invalid_number": gettext_lazy("number does not exist"),
    "power_off": pgettext_lazy("telephone", "switched off"),
    "cancelled": gettext_lazy("cancelled"),
    "time_limit": gettext_lazy("time limit reached"),
}


DETAILS: dict[str, "str | Promise"] = {**CAUSES, "normal_clearing": gettext_lazy("normal end")}


def detail_shown(detail: str) -> str:
    """What a platform or a record said about an event; what is no known cause is shown as it came."""
    return str(DETAILS.get(detail, detail))


@dataclass(frozen=True, slots=True)
class Step:
    """One point of the rail. `look` is done, now, doubtful, failed or ahead."""

    key: str
    label: str
    look: str

    @property
    def is_current(self) -> bool:
        return self.look in {"now", "doubtful", "failed"}


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call as a page shows it. Cost and hold in `currency`, durations in seconds.

    Lists of the history add the charged legs and the state of the newest dispute.
    """

    reference: str
    customer_number: str
    agent_number: str
    state: str
    live: bool
    cancellable: bool
    awaits_record: bool
    headline: str
    outcome: str
    badge: str
    reason: str
    advice: str
    tone: str
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    recorded_at: datetime | None
    max_seconds: int | None
    billable_seconds: int | None
    hold_amount: Decimal | None
    cost: Decimal | None
    currency: str
    record_id: str
    legs: tuple[LegCharge, ...] = ()
    dispute: str = ""

    @property
    def dispute_label(self) -> str:
        return str(Dispute.State(self.dispute).label) if self.dispute else ""

    @property
    def dispute_badge(self) -> str:
        return DISPUTE_BADGES.get(self.dispute, "")

    @property
    def has_record_page(self) -> bool:
        return self.record_id.isdecimal()

    @property
    def is_disputable(self) -> bool:
        """Its record is there, and no dispute about it is open."""
        return not self.live and self.recorded_at is not None and self.dispute != Dispute.State.OPEN


def shown_call(call: Callback, placer: Placer) -> ShownCall:
    """The row in words, for whoever looks."""
    live = call.rank < OVER
    advice, tone = _advice(call)
    return ShownCall(
        reference=call.reference,
        customer_number=number_shown(call.customer_number, placer),
        agent_number=call.agent_number,
        state=call.state,
        live=live,
        cancellable=live and not call.cancel_policy and call.provider_call_id is not None,
        awaits_record=call.state == State.ENDED and call.recorded_at is None,
        headline=str(_("Cancelling…") if live and call.cancel_policy else HEADLINES[call.state]),
        outcome=_outcome(call),
        badge="" if live and call.state != State.UNKNOWN else _badge(call),
        reason=call.refusal,
        advice=advice,
        tone=tone,
        created_at=call.created_at,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        recorded_at=call.recorded_at,
        max_seconds=call.max_seconds,
        billable_seconds=call.billable_seconds,
        hold_amount=call.hold_amount,
        cost=call.cost,
        currency=call.currency or "CNY",
        record_id=call.record_id,
    )


def rail_of(call: Callback, *, passed: Iterable[str]) -> list[Step]:
    """The five steps: what is done, what is now, where the call left the rail. `passed` are the states it had."""
    present = len(STEPS) - 1 if call.rank >= OVER else _place(call.state)
    lived = [_place(state) for state in passed if RANKS[State(state)] < OVER]
    reached = max([*lived, _place(State.BRIDGED) if _talked(call) else 0])
    return [_step(call.state, place, present=present, reached=reached) for place in range(len(STEPS))]


def _place(state: str) -> int:
    return next(place for place, (_key, _label, states) in enumerate(STEPS) if state in states)


def _step(state: str, place: int, *, present: int, reached: int) -> Step:
    key, label, _states = STEPS[place]
    if place != present:
        return Step(key, str(label), "done" if place < present and place <= reached else "ahead")
    if state in EXITS:
        label, look = EXITS[state]
        return Step(key, str(label), look)
    if state == State.UNKNOWN:
        return Step(key, str(label), "doubtful")
    return Step(key, str(label), "done" if state == State.ENDED else "now")


def _outcome(call: Callback) -> str:
    """One word or two: what came of it."""
    if call.rank < OVER and call.state != State.UNKNOWN:
        return pgettext("call", "live")
    if _talked(call):
        return _("talked")
    if call.state == State.ENDED and call.recorded_at:
        return str(CAUSES.get(call.cause, _("no answer")))
    if call.state == State.FAILED and call.cause in CAUSES:
        return str(CAUSES[call.cause])
    return str(State(call.state).label)


def _talked(call: Callback) -> bool:
    """Did both sides speak, as far as anybody knows? The record, once there, knows best."""
    return bool(call.billable_seconds) if call.recorded_at else call.answered_at is not None


def _badge(call: Callback) -> str:
    if call.state == State.ENDED and call.recorded_at and not call.billable_seconds:
        return "warn"
    return BADGES[State(call.state)]


def _advice(call: Callback) -> tuple[str, str]:
    """What to do about it, and the tone of the notice."""
    if call.state == State.UNKNOWN:
        text = _("The platform did not answer: the call may still ring. Do not call again; we keep asking.")
        return text, "warning"
    if call.state == State.EXPIRED:
        return _(
            "The held money was released. If the call took place after all, its record will still be charged."
        ), "warning"
    if call.state == State.FAILED and call.refusal:
        return f"{title_for(call.refusal)} {advice_for(call.refusal)}".strip(), "error"
    return "", ""
