"""Pricing a stored charge again, from nothing but what was stored with it.

Its own numbers, carriers, day classes and deck versions answer: later versions, calendars and segments change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing_platform.errors import PlatformError
from billing_platform.money import AmountUnreadable, add_amounts, amount_text, parse_amount, round_amount
from rating.caching.live import compiled_versions
from rating.call import Call, PricingError
from rating.candidates import Loser, candidates_at
from rating.compiled import CompiledVersion
from rating.engine import dearest, price_call
from rating.errors import DeckUnknown, QuestionUnreadable
from rating.explaining.reading import read_instant
from rating.models import DeckVersion, Rate
from rating.numbers import dialling
from rating.segments import Kind, Number, reach_of, read_number
from rating.tariff import Activation, Subject, Tariff
from rating.timetable import FOREVER, Calendar

BY_DECK = "by_deck"
HIGHEST = "highest"  # a call whose end never came: the dearest rate that it could meet
MICROSECOND = timedelta(microseconds=1)
SIX_PLACES = 6
_TEXTS = ("ref", "caller", "called")

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCharge:
    """A charge by deck as it was stored: what was used, what it cost, and why. `ref` names it for people."""

    ref: str
    cost: Decimal
    caller: str
    called: str
    start: datetime
    finish: datetime
    agent_answer: datetime | None
    explanation: Mapping[str, Any]

    @property
    def lines(self) -> Sequence[Line]:
        """One a charged leg; none when nobody answered."""
        lines: Sequence[Line] = () if self.explanation.get("answered") is False else self.explanation["lines"]
        return lines


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A stored charge whose price is another one now. `again` is an amount, or the code of what stood in the way."""

    ref: str
    stored: str
    again: str


def read_charge(raw: object) -> StoredCharge:
    """A line of the export: `ref`, `cost`, `caller`, `called`, `start_time`, `finish_time`, `agent_answer_time`,
    `explanation`. Raises QuestionUnreadable naming the fields."""
    if not isinstance(raw, dict):
        raise QuestionUnreadable("a stored charge is a JSON object")
    errors: dict[str, str] = {}

    def read(name: str, reader: Callable[[Any], Any]) -> Any:
        try:
            return reader(raw.get(name))
        except (ValueError, TypeError, AmountUnreadable):
            errors[name] = "missing or unreadable"

    texts = {name: read(name, _text) for name in _TEXTS}
    cost, start, finish = (
        read("cost", parse_amount),
        read("start_time", read_instant),
        read("finish_time", read_instant),
    )
    agent_answer = raw.get("agent_answer_time") and read("agent_answer_time", read_instant)
    explanation = read("explanation", _explanation)
    if errors:
        raise QuestionUnreadable(errors=errors)
    return StoredCharge(
        **texts, cost=cost, start=start, finish=finish, agent_answer=agent_answer or None, explanation=explanation
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _explanation(value: Any) -> Mapping[str, Any]:
    """That of a use priced by deck, with what is needed to ask again."""
    if value["mode"] != BY_DECK:
        raise ValueError
    for line in value["lines"] if value.get("answered") is not False else ():
        dict(line["versions"]["decks"]), str(line["number"]["key"]), parse_amount(line["amount"]), line["steps"]
        dict(line["day_classes"])
    return dict(value)


def mismatch_of(charge: StoredCharge) -> Mismatch | None:
    """None when every stored amount comes out again. Never raises for the charge's own sake."""
    try:
        amounts = [_line_again(charge, line) for line in charge.lines]
    except PricingError as refused:
        return Mismatch(charge.ref, amount_text(charge.cost), refused.code)
    except PlatformError as gone:
        return Mismatch(charge.ref, amount_text(charge.cost), gone.code)
    total = _sum(amounts)
    stored = [parse_amount(line["amount"]) for line in charge.lines]
    said = parse_amount(charge.explanation.get("amount", "0"))
    if total == charge.cost == said and amounts == stored:
        return None
    return Mismatch(charge.ref, amount_text(charge.cost), amount_text(total))


def amount_again(charge: StoredCharge) -> Decimal:
    """What the charge costs by what was stored with it. Raises PricingError; DeckUnknown when a version is gone."""
    return _sum([_line_again(charge, line) for line in charge.lines])


def call_of(charge: StoredCharge, line: Line) -> Call:
    """The engine's question about a leg. Leg A counts from the agent's own answer; what package units covered was not
    priced."""
    is_first = line["leg"] == "a"
    text = charge.caller if is_first else charge.called
    start = (charge.agent_answer or charge.start) if is_first else charge.start
    microseconds = max(0, (charge.finish - start) // MICROSECOND)
    covered = min(int(charge.explanation.get("covered_seconds", 0)) * 1_000_000, microseconds)
    told = line["number"]
    return Call(
        key=(told["key"] or None) if text else "",
        at=start + timedelta(microseconds=covered),
        quantity=(microseconds - covered) * 1000,
        carrier=told["carrier"] or "",
        reach=told["reach"] if "reach" in told else _reach_then(told["key"] or text, charge.caller),
        elapsed=covered * 1000,
        dialled=told.get("dialled") or text,
    )


def losers_of(charge: StoredCharge, line: Line) -> list[Loser]:
    """The rates of the versions that answered then which did not count. Raises DeckUnknown when one is gone."""
    call = _asked_of(charge, line)
    return candidates_at(call, _tariff_of(line), call.at)


def _asked_of(charge: StoredCharge, line: Line) -> Call:
    """As it was put to the deck that answered: the default deck takes a number that is none by its empty prefix."""
    call = call_of(charge, line)
    return replace(call, key=call.key or "") if "error" in charge.explanation else call


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    return round_amount(add_amounts(*amounts), method="half_up", decimals=SIX_PLACES)


def _line_again(charge: StoredCharge, line: Line) -> Decimal:
    estimated = charge.explanation.get("rate_policy") == HIGHEST and "error" not in charge.explanation
    price = dearest if estimated else price_call
    return price(_asked_of(charge, line), _tariff_of(line)).amount


def _reach_then(called: str, caller: str) -> str:
    """The reach of a charge that was stored without it: only areas that a number carries in itself counted."""
    number = _number(called)
    return reach_of(number.country, area=number.area, caller_area=_number(caller).area)


def _number(text: str) -> Number:
    """The number behind a key, or behind a text that has none."""
    if text.startswith("86."):
        return read_number(text[3:])
    number = read_number(text, dialling.at_home())
    return read_number(f"+{text}") if number.kind == Kind.INVALID and text.isdigit() else number


def _tariff_of(line: Line) -> Tariff:
    """The versions that answered then, as if there had never been others, under the days as they were then."""
    days = {date.fromisoformat(day): str(name) for day, name in line["day_classes"].items()}
    calendar = Calendar(revision=int(line["versions"].get("calendar", 0)), days=days)
    timelines = {
        deck: _timeline(deck, met if isinstance(met, list) else [met])
        for deck, met in line["versions"]["decks"].items()
    }
    return Tariff((Subject("*any", _activations(line, timelines)),), calendar, line["currency"])


def _timeline(deck: str, numbers: Sequence[int]) -> tuple[CompiledVersion, ...]:
    ids = DeckVersion.objects.filter(deck__code=deck, number__in=numbers).order_by("effective_from", "number")
    found = [compiled_versions.load(version_id) for version_id in ids.values_list("pk", flat=True)]
    if len(found) != len(numbers):
        raise DeckUnknown(deck=deck, version=", ".join(map(str, numbers)))
    return (replace(found[0], in_force_from=-FOREVER), *found[1:])


def _activations(line: Line, timelines: Mapping[str, tuple[CompiledVersion, ...]]) -> tuple[Activation, ...]:
    """One deck: always. Where the call went down the chain, each deck from the step on at which it answered."""
    if len(timelines) == 1:
        (only,) = timelines.values()
        return (Activation({"": only}),)
    steps = [step for step in line["steps"] if step["what"] == "increments"]
    decks = dict(Rate.objects.filter(pk__in={step["rate_id"] for step in steps}).values_list("pk", "deck__code"))
    activations: list[Activation] = []
    last = ""
    for step in steps:
        deck = decks.get(step["rate_id"], "")
        if deck != last:
            since = datetime.fromisoformat(step["at"]) if activations else None
            activations.append(Activation({"": timelines[deck]}, since))
            last = deck
    return tuple(activations)
