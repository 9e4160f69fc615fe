"""Reading a question to the explanation: which fields there are, and what their values may look like."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing_platform import clock
from rating.call import nanoseconds
from rating.errors import QuestionUnreadable
from rating.question import CallFacts
from rating.terms import KINDS, VOICE

DURATION_DEFAULT = Decimal(60)
_CLOCK = re.compile(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,7})s)?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?", re.ASCII)
_TEXT_MAX = 128
LEGS_MAX = 2
DEPTH_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: which tariff (or deck and version), which call. `given` is the question as it came."""

    facts: CallFacts
    given: Mapping[str, Any]
    ref: str | None = None
    plan: str = "main"
    tenant: str = ""
    category: str = "call"
    subject: str = "*any"
    deck: str = ""
    version: int | None = None
    fallback_depth: int | None = None
    known_at: datetime | None = None


def read_question(raw: object) -> Question:
    """Raises QuestionUnreadable; its `errors` name each field that is unknown or unreadable."""
    if not isinstance(raw, dict):
        raise QuestionUnreadable("a question is a JSON object")
    values, errors = _read_fields(raw)
    if "version" in values and "deck" not in values:
        errors["version"] = "needs a deck"
    if errors:
        raise QuestionUnreadable(errors=errors)
    tariff = {name: values[name] for name in _TARIFF if name in values}
    return Question(facts=_facts(values), given=raw, **tariff)


def _read_fields(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, value in raw.items():
        read = _FIELDS.get(name)
        if read is None:
            errors[name] = "unknown field"
        elif value is not None:
            try:
                values[name] = read(value)
            except ValueError as unreadable:
                errors[name] = str(unreadable)
    return values, errors


def _facts(values: Mapping[str, Any]) -> CallFacts:
    kind = values.get("kind", VOICE)
    duration = values.get("duration", DURATION_DEFAULT)
    units = values.get("units")
    if kind != VOICE and units is None:
        units = nanoseconds(duration)  # so many seconds' worth of base units
    return CallFacts(
        values.get("destination"),
        at=values.get("answer_time") or clock.now(),
        duration=duration,
        units=units if kind != VOICE else None,
        kind=kind,
        caller=values.get("caller", ""),
        carrier=values.get("carrier", ""),
        elapsed=values.get("elapsed", 0),
        continued=values.get("continued"),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        raise ValueError(f"a text of at most {_TEXT_MAX} characters")
    return value


def read_instant(value: object) -> datetime:
    """An aware time. Raises ValueError for anything else."""
    text = _text(value)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time like 2026-10-10T17:58:30+08:00") from None
    if at.tzinfo is None:
        raise ValueError("a time with an offset: naive times are refused")
    return at


def read_duration(value: object) -> Decimal:
    """Seconds from a number, a decimal string, or `1m30s`. Raises ValueError."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        value = format(value, "f") if isinstance(value, Decimal) else str(value)
    text = _text(value)
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    clocked = _CLOCK.fullmatch(text)
    if not text or clocked is None:
        raise ValueError("seconds: a number, or a text like 1m30s")
    hours, minutes, seconds = (int(part or 0) for part in clocked.groups())
    return Decimal(hours * 3600 + minutes * 60 + seconds)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("a whole number from 0")
    return value


def _depth(value: object) -> int:
    depth = _whole(value)
    if not 1 <= depth <= DEPTH_MAX:
        raise ValueError(f"levels of the fallback chain, 1 to {DEPTH_MAX}")
    return depth


def _truth(value: object) -> bool:
    if value is not True and value is not False:
        raise ValueError("true or false")
    return value


def _kind(value: object) -> str:
    if value not in KINDS:
        raise ValueError(f"one of {', '.join(KINDS)}")
    return str(value)


_TARIFF = ("ref", "plan", "tenant", "category", "subject", "deck", "version", "fallback_depth", "known_at")
_FIELDS: Mapping[str, Callable[[object], Any]] = {
    "ref": _text,
    "plan": _text,
    "tenant": _text,
    "category": _text,
    "subject": _text,
    "deck": _text,
    "version": _whole,
    "destination": _text,
    "caller": _text,
    "carrier": _text,
    "kind": _kind,
    "answer_time": read_instant,
    "duration": read_duration,
    "units": _whole,
    "elapsed": read_duration,
    "continued": _truth,
    "fallback_depth": _depth,
    "known_at": read_instant,
}
