import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# A platform without a limit of its own would let scenario 0006 talk for ever.
PLATFORM_LIMIT_SECONDS: Final = 7200


class Reaction(StrEnum):
    """What one party does when its phone is dialled."""

    ANSWERS = "answers"
    BUSY = "busy"
    SILENT = "silent"
    REFUSES = "refuses"
    INVALID = "invalid"


class Talk(StrEnum):
    """How long the two talk once they are joined."""

    BY_NUMBER = "by_number"
    UNTIL_LIMIT = "until_limit"
    NOT_AT_ALL = "not_at_all"


class Quirk(StrEnum):
    """What goes wrong between the platform and us, while the call itself is fine."""

    PLACE_REFUSED = "place_refused"
    PLACE_LATE = "place_late"
    PLACE_CUT = "place_cut"
    TWICE = "twice"
    FIVE_AT_ONCE = "five_at_once"
    REVERSED = "reversed"
    CDR_FIRST = "cdr_first"
    CDR_LATE = "cdr_late"
    CDR_LOST = "cdr_lost"
    ANSWER_LOST = "answer_lost"
    FORGED = "forged"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Scenario:
    title: str
    agent: Reaction = Reaction.ANSWERS
    customer: Reaction = Reaction.ANSWERS
    talk: Talk = Talk.BY_NUMBER
    hangup_by: str = "customer"
    quirk: Quirk | None = None


NORMAL: Final = Scenario("both answer, the customer hangs up")

SCENARIOS: Final[dict[str, Scenario]] = {
    "0001": Scenario("customer busy", customer=Reaction.BUSY),
    "0002": Scenario("customer does not answer", customer=Reaction.SILENT),
    "0003": Scenario("agent does not answer", agent=Reaction.SILENT),
    "0004": Scenario("customer refuses", customer=Reaction.REFUSES),
    "0005": Scenario("invalid number", customer=Reaction.INVALID),
    "0006": Scenario("talks until the time limit", talk=Talk.UNTIL_LIMIT),
    "0007": Scenario("customer hangs up in the same second", talk=Talk.NOT_AT_ALL),
    "0008": Scenario("agent hangs up", hangup_by="agent"),
    "0010": Scenario("placing refused", quirk=Quirk.PLACE_REFUSED),
    "0011": Scenario("placing answered late, though the call runs", quirk=Quirk.PLACE_LATE),
    "0012": Scenario("connection cut after acting", quirk=Quirk.PLACE_CUT),
    "0020": Scenario("every push twice", quirk=Quirk.TWICE),
    "0021": Scenario("every push five times at once", quirk=Quirk.FIVE_AT_ONCE),
    "0022": Scenario("status events in reverse", quirk=Quirk.REVERSED),
    "0023": Scenario("call record before its status events", quirk=Quirk.CDR_FIRST),
    "0030": Scenario("call record 60 s late", quirk=Quirk.CDR_LATE),
    "0031": Scenario("call record lost", quirk=Quirk.CDR_LOST),
    "0032": Scenario("the hook's answer is lost once, then the record is repeated", quirk=Quirk.ANSWER_LOST),
    "0033": Scenario("wrong signature", quirk=Quirk.FORGED),
    "0034": Scenario("end time corrected in a second record", quirk=Quirk.CORRECTED),
}


def scenario_for(customer_number: str) -> Scenario:
    """The scenario that the last four digits of the customer's number ask for."""
    digits = "".join(character for character in customer_number if character.isdigit())
    return SCENARIOS.get(digits[-4:], NORMAL)


def talk_seconds_for(customer_number: str) -> int:
    """6–20 s, always the same for the same number."""
    return 6 + hashlib.sha256(customer_number.encode()).digest()[0] % 15


@dataclass(frozen=True, slots=True)
class Step:
    """The call reaches this state `offset` seconds after it was placed."""

    offset: int
    state: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole call, in whole seconds after its start. The last step is its end; `answer` is when both talk."""

    steps: tuple[Step, ...]
    agent_answer: int | None
    answer: int | None
    cause: str
    hangup_by: str

    @property
    def end(self) -> int:
        return self.steps[-1].offset

    @property
    def billable_seconds(self) -> int:
        return 0 if self.answer is None else self.end - self.answer


@dataclass(frozen=True, slots=True)
class Leg:
    """One dialled party: its steps, and either its answer or the end of the whole call."""

    steps: tuple[Step, ...]
    answer: int | None = None
    cause: str = ""
    hangup_by: str = "platform"


def plan_call(scenario: Scenario, *, dial_first: str, ring_timeout: int, max_seconds: int | None, talk: int) -> Plan:
    """Play a call on paper: the first party rings +2 and answers +5, the second is dialled then and answers +12."""
    parties = ("agent", "customer") if dial_first == "agent" else ("customer", "agent")
    reactions = {"agent": scenario.agent, "customer": scenario.customer}
    steps: tuple[Step, ...] = ()
    answers: dict[str, int] = {}
    begin = 0
    for party, answer_after in zip(parties, (5, 7), strict=True):
        leg = _dial(party, reactions[party], begin=begin, answer_after=answer_after, ring_timeout=ring_timeout)
        steps += leg.steps
        if leg.answer is None:
            return Plan(steps, answers.get("agent"), None, leg.cause, leg.hangup_by)
        answers[party] = begin = leg.answer
    limit = max_seconds or PLATFORM_LIMIT_SECONDS
    wish = {Talk.BY_NUMBER: talk, Talk.NOT_AT_ALL: 0, Talk.UNTIL_LIMIT: limit + 1}[scenario.talk]
    cause, hangup_by = ("time_limit", "platform") if wish > limit else ("normal_clearing", scenario.hangup_by)
    steps += (Step(begin, "bridged"), Step(begin + min(wish, limit), "ended"))
    return Plan(steps, answers["agent"], begin, cause, hangup_by)


def _dial(party: str, reaction: Reaction, *, begin: int, answer_after: int, ring_timeout: int) -> Leg:
    letter = "a" if party == "agent" else "b"
    dialled, ringing = Step(begin, f"{letter}_dialing"), Step(begin + 2, f"{letter}_ringing")
    match reaction:
        case Reaction.ANSWERS:
            answer = begin + answer_after
            answered = (Step(answer, "a_answered"),) if party == "agent" else ()
            return Leg((dialled, ringing, *answered), answer=answer)
        case Reaction.BUSY:
            return Leg((dialled, Step(begin + 2, "ended")), cause="busy")
        case Reaction.SILENT:
            return Leg((dialled, ringing, Step(begin + 2 + ring_timeout, "ended")), cause="no_answer")
        case Reaction.REFUSES:
            return Leg((dialled, ringing, Step(begin + 5, "ended")), cause="rejected", hangup_by=party)
        case Reaction.INVALID:
            return Leg((dialled, Step(begin + 1, "failed")), cause="invalid_number")


def cut_short(plan: Plan, *, steps: int, after: int) -> Plan:
    """The call as it went when cancelled `after` seconds, with its first `steps` taken: the rest never comes."""
    taken = plan.steps[:steps]
    agent_answered = any(step.state == "a_answered" for step in taken)
    answered = any(step.state == "bridged" for step in taken)
    return Plan(
        steps=(*taken, Step(after, "ended" if answered else "cancelled")),
        agent_answer=plan.agent_answer if agent_answered else None,
        answer=plan.answer if answered else None,
        cause="cancelled",
        hangup_by="platform",
    )
