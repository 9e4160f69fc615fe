"""The filter chain: which calls are not charged, and by which rule. Pure: rules and facts in, a decision out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

UNANSWERED, TOO_SHORT, TEST_NUMBER = "unanswered", "too_short", "test_number"


class Facts(Protocol):
    """What the rules look at; seconds are whole."""

    @property
    def is_answered(self) -> bool: ...
    @property
    def billable_seconds(self) -> int: ...
    @property
    def caller(self) -> str: ...
    @property
    def called(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the chain, in force: its code, its parameters, and the version that a decision names."""

    code: str
    version: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """The call is not charged by this version of this rule; `because` is the fact that decided."""

    rule: str
    version: int
    because: str


def _unanswered(call: Facts, _parameters: Mapping[str, Any]) -> str:
    return "" if call.is_answered else "no charged leg was answered"


def _too_short(call: Facts, parameters: Mapping[str, Any]) -> str:
    seconds = int(parameters["seconds"])
    short = call.is_answered and call.billable_seconds < seconds
    return f"answered, {call.billable_seconds} s, under {seconds} s" if short else ""


def _test_number(call: Facts, parameters: Mapping[str, Any]) -> str:
    numbers = parameters["numbers"]
    found = next((number for number in (call.called, call.caller) if number in numbers), "")
    return f"{found} is a test number" if found else ""


RULES = {UNANSWERED: _unanswered, TOO_SHORT: _too_short, TEST_NUMBER: _test_number}


def filter_call(call: Facts, rules: Sequence[Rule]) -> Decision | None:
    """The decision of the first rule that catches the call; None: it is charged. Raises KeyError: unknown rule."""
    for rule in rules:
        because = RULES[rule.code](call, rule.parameters)
        if because:
            return Decision(rule.code, rule.version, because)
    return None
