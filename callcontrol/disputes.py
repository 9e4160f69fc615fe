"""Disputes (申诉): an agent objects to one call, a supervisor answers. A dispute never changes a charge by itself.

Face for floor 4: disputes_about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.errors import Forbidden, NotFound
from billing_platform.logs import masked_number
from billing_platform.models import Membership, Role
from billing_platform.notices import notify
from billing_platform.paging import Page, PageRequest
from billing_platform.states import claim
from billing_platform.trail import record_act
from callcontrol.charges import LegCharge, charge_facts, told_legs
from callcontrol.context import BillingContext
from callcontrol.errors import BodyInvalid, DisputeClosed, DisputeOpen, NothingToDispute
from callcontrol.models import Callback, Dispute
from callcontrol.models.calls import OVER
from callcontrol.screening import visible_calls
from callcontrol.shown import number_shown
from callcontrol.wishes import Placer, placer_of

State, Reason = Dispute.State, Dispute.Reason
VIEW = "disputes"
TEXT_MAX = 1000  # characters
ABOUT_A_CALL_MAX = 20  # the newest of a call are shown
WAITING_MAX = 99  # counted so far
ANSWERED = (State.ACCEPTED.value, State.DECLINED.value)
FILTERS = {"open": (State.OPEN.value,), "answered": ANSWERED, "withdrawn": (State.WITHDRAWN.value,)}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a call: a reason of the list, and words; without words only where the reason says it all."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is accepted or declined; `answer` the words to the agent."""

    state: str
    answer: str


@dataclass(frozen=True, slots=True)
class ShownDispute:
    """A dispute as a reader sees it. Cost and legs are those of the opening, in `currency`."""

    id: int
    call_id: str
    customer_number: str
    agent_number: str
    state: str
    state_label: str
    reason: str
    reason_label: str
    text: str
    cost: str | None
    currency: str
    billable_seconds: int | None
    legs: tuple[LegCharge, ...]
    opened_by: str
    opened_at: datetime
    answer: str
    closed_by: str
    closed_at: datetime | None
    is_own: bool

    @property
    def is_open(self) -> bool:
        return self.state == State.OPEN

    @property
    def is_answered(self) -> bool:
        return self.state in ANSWERED


def read_complaint(body: Mapping[str, Any]) -> Complaint:
    """Reason and text of a body or a form. Raises BodyInvalid."""
    reason, text, errors = body.get("reason", ""), body.get("text", ""), {}
    if reason not in Reason.values:
        errors["reason"] = [_("choose one of: %(choices)s") % {"choices": ", ".join(Reason.values)}]
    if not _is_text(text):
        errors["text"] = [_("text of at most %(length)s characters") % {"length": TEXT_MAX}]
    elif reason == Reason.OTHER and not text.strip():
        errors["text"] = [_("say what is wrong")]
    if errors:
        raise BodyInvalid(errors=errors)
    return Complaint(reason, text.strip())


def read_verdict(body: Mapping[str, Any]) -> Verdict:
    """Decision and answer of a body or a form. Raises BodyInvalid."""
    decision, answer, errors = body.get("decision", ""), body.get("answer", ""), {}
    if decision not in ANSWERED:
        errors["decision"] = [_("choose one of: %(choices)s") % {"choices": ", ".join(ANSWERED)}]
    if not _is_text(answer) or not answer.strip():
        errors["answer"] = [_("an answer of at most %(length)s characters") % {"length": TEXT_MAX}]
    if errors:
        raise BodyInvalid(errors=errors)
    return Verdict(decision, answer.strip())


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_MAX and "\0" not in value


@transaction.atomic(durable=True)  # the ticket, its audit row and the notices: all or none
def open_dispute(reference: str, complaint: Complaint, by: BillingContext) -> int:
    """Open a dispute about a call, its charge as it stands attached; the id.

    Raises NotFound, Forbidden (somebody else's call), NothingToDispute, DisputeOpen.
    """
    placer = placer_of(by)
    call = (
        Callback.objects.select_for_update(of=("self",))
        .select_related("agent")
        .filter(visible_calls(placer), reference=reference)
        .first()
    )
    if call is None:
        raise NotFound
    if not may_dispute(call, placer):
        raise Forbidden(_("only the agent of the call, or a supervisor, may dispute it"))
    if call.rank < OVER or call.recorded_at is None:
        raise NothingToDispute(state=call.state)
    present = Dispute.objects.filter(call=call, state=State.OPEN).first()
    if present is not None:
        raise DisputeOpen(dispute=present.pk)
    dispute = Dispute.objects.create(
        call=call, organization=call.organization, reason=complaint.reason, text=complaint.text,
        charge=charge_facts(call), opened_by=placer.actor, user_id=placer.user_id, opened_at=clock.now(),
    )  # fmt: skip
    _note(by, "dispute.open", dispute, change=(None, {"call": reference, "reason": complaint.reason}))
    _tell(_supervisors(call.organization, but=placer.user_id), dispute, call, kind="dispute.opened")
    return dispute.pk


@transaction.atomic(durable=True)  # the answer, its audit row and the notice: all or none
def answer_dispute(dispute_id: int, verdict: Verdict, by: BillingContext) -> None:
    """Answer an open dispute and tell the agent. Raises NotFound, Forbidden (one's own), DisputeClosed."""
    dispute = _load(dispute_id, placer_of(by))
    if dispute.opened_by == by.caller.actor:
        raise Forbidden(_("somebody else answers a dispute of your own"))
    _close(dispute, verdict.state, by, answer=verdict.answer)
    agent = dispute.call.agent
    told = {person for person in (dispute.user_id, agent.user_id if agent is not None else None) if person is not None}
    names = User.objects.filter(pk__in=told).values_list("username", flat=True)
    _tell(names, dispute, dispute.call, kind=f"dispute.{verdict.state}", answer=verdict.answer)


@transaction.atomic(durable=True)  # the move and its audit row
def withdraw_dispute(dispute_id: int, by: BillingContext) -> None:
    """Take back one's own open dispute. Raises NotFound, Forbidden (somebody else's), DisputeClosed."""
    dispute = _load(dispute_id, placer_of(by))
    if dispute.opened_by != by.caller.actor:
        raise Forbidden(_("only who opened a dispute may withdraw it"))
    _close(dispute, State.WITHDRAWN, by)


def may_dispute(call: Callback, placer: Placer) -> bool:
    """The agent of the call, a supervisor, or a program of the organisation."""
    own = call.agent is not None and call.agent.user_id == placer.user_id
    return own or not placer.is_person or Role.SUPERVISOR.value in placer.roles


def list_disputes(state: str, placer: Placer, page: PageRequest, *, call: str = "") -> Page[ShownDispute]:
    """One page, newest first: those of a key of FILTERS, all for another text; of one call where it is named."""
    rows = _visible(placer).order_by("-id")
    if state in FILTERS:
        rows = rows.filter(state__in=FILTERS[state])
    if call:
        rows = rows.filter(call__reference=call)
    if page.after is not None:
        rows = rows.filter(id__lt=int(page.after[0]))
    found = page.page(list(rows[: page.limit + 1]), lambda row: [row.pk], view=VIEW)
    return Page([shown_dispute(row, placer) for row in found.items], found.next_cursor)


def read_dispute(dispute_id: int, placer: Placer) -> ShownDispute:
    """One dispute. Raises NotFound."""
    return shown_dispute(_load(dispute_id, placer), placer)


def disputes_of(reference: str, placer: Placer) -> list[ShownDispute]:
    """The disputes about a call that this reader may see, the newest first."""
    rows = _visible(placer).filter(call__reference=reference).order_by("-id")[:ABOUT_A_CALL_MAX]
    return [shown_dispute(row, placer) for row in rows]


def disputes_about(reference: str, *, organization: str) -> list[ShownDispute]:
    """The disputes about a call, for a reader who may see the call's record; the newest first."""
    reader = Placer(organization, "", "", None, frozenset())
    return disputes_of(reference, reader) if reference and organization else []


def newest_states(calls: Iterable[Callback]) -> dict[int, str]:
    """By row id of the call the state of its newest dispute."""
    rows = Dispute.objects.filter(call__in=list(calls)).order_by("call_id", "-id").distinct("call_id")
    return dict(rows.values_list("call_id", "state"))


def count_waiting(placer: Placer) -> int:
    """How many open disputes this reader may see; at most WAITING_MAX are counted."""
    return _visible(placer).filter(state=State.OPEN)[:WAITING_MAX].count()


def shown_dispute(dispute: Dispute, placer: Placer) -> ShownDispute:
    """The row in the reader's language; the customer's number masked by role."""
    facts, call = dispute.charge, dispute.call
    return ShownDispute(
        id=dispute.pk,
        call_id=call.reference,
        customer_number=number_shown(call.customer_number, placer),
        agent_number=call.agent_number,
        state=dispute.state,
        state_label=str(State(dispute.state).label),
        reason=dispute.reason,
        reason_label=str(Reason(dispute.reason).label),
        text=dispute.text,
        cost=facts["cost"],
        currency=facts["currency"] or "CNY",
        billable_seconds=facts["billable_seconds"],
        legs=told_legs(facts),
        opened_by=dispute.opened_by.partition(":")[2],
        opened_at=dispute.opened_at,
        answer=dispute.answer,
        closed_by=dispute.closed_by.partition(":")[2],
        closed_at=dispute.closed_at,
        is_own=dispute.opened_by == placer.actor,
    )


def _visible(placer: Placer) -> "QuerySet[Dispute]":
    """The disputes about calls that this reader may see."""
    rows = Dispute.objects.select_related("call", "call__agent").filter(organization=placer.organization)
    return rows if placer.sees_organization else rows.filter(Q(call__agent__user_id=placer.user_id))


def _load(dispute_id: int, placer: Placer) -> Dispute:
    dispute = _visible(placer).filter(pk=dispute_id).first()
    if dispute is None:
        raise NotFound
    return dispute


def _close(dispute: Dispute, to: str, by: BillingContext, *, answer: str = "") -> None:
    """The one way out of OPEN, with its audit row. Raises DisputeClosed when somebody was first."""
    moved = claim(
        Dispute.objects.filter(pk=dispute.pk), Dispute.TRANSITIONS, to, answer=answer,
        closed_by=by.caller.actor, closed_at=clock.now(),
    )  # fmt: skip
    if not moved:
        raise DisputeClosed(state=Dispute.objects.values_list("state", flat=True).get(pk=dispute.pk))
    act = {State.ACCEPTED: "dispute.accept", State.DECLINED: "dispute.decline"}.get(State(to), "dispute.withdraw")
    _note(by, act, dispute, change=(State.OPEN.value, str(to)), reason=answer)


def _note(by: BillingContext, act: str, dispute: Dispute, *, change: tuple[object, object], reason: str = "") -> None:
    """The audit row, in the organisation of the call."""
    who: Caller = replace(by.caller, organization=dispute.organization)
    record_act(who, act, target=("dispute", dispute.pk), change=change, reason=reason)


def _supervisors(organization: str, *, but: int | None) -> "QuerySet[User, str]":
    ids = Membership.objects.filter(organization=organization, role=Role.SUPERVISOR.value).values("user_id")
    return User.objects.filter(pk__in=ids).exclude(pk=but or 0).values_list("username", flat=True)


def _tell(names: Iterable[str], dispute: Dispute, call: Callback, *, kind: str, answer: str = "") -> None:
    facts = {"number": masked_number(call.customer_number), "answer": answer}
    address = reverse("agent_call", args=[call.reference])
    notify(names, kind=kind, facts=facts, path=f"{address}#dispute", key=f"dispute:{dispute.pk}:{kind}")
