"""The filter chain, as a table. Pure."""

from dataclasses import dataclass

import pytest

from cdr.filters import Decision, Rule, filter_call

CHAIN = (
    Rule("unanswered", 1, {}),
    Rule("too_short", 3, {"seconds": 5}),
    Rule("test_number", 2, {"numbers": ["13800000000"]}),
)


@dataclass(frozen=True)
class Facts:
    is_answered: bool
    billable_seconds: int
    caller: str = "13800000001"
    called: str = "13800000002"


@pytest.mark.parametrize(
    ("call", "decision"),
    [
        (Facts(is_answered=False, billable_seconds=0), Decision("unanswered", 1, "no charged leg was answered")),
        (Facts(is_answered=True, billable_seconds=0), Decision("too_short", 3, "answered, 0 s, under 5 s")),
        (Facts(is_answered=True, billable_seconds=4), Decision("too_short", 3, "answered, 4 s, under 5 s")),
        (Facts(is_answered=True, billable_seconds=5), None),
        (
            Facts(is_answered=True, billable_seconds=60, called="13800000000"),
            Decision("test_number", 2, "13800000000 is a test number"),
        ),
        (
            Facts(is_answered=True, billable_seconds=60, caller="13800000000"),
            Decision("test_number", 2, "13800000000 is a test number"),
        ),
        (
            Facts(is_answered=False, billable_seconds=0, called="13800000000"),
            Decision("unanswered", 1, "no charged leg was answered"),
        ),
    ],
)
def test_first_rule_that_catches_decides(call: Facts, decision: Decision | None) -> None:
    assert filter_call(call, CHAIN) == decision


def test_rule_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        filter_call(Facts(is_answered=True, billable_seconds=60), [Rule("guess", 1, {})])
