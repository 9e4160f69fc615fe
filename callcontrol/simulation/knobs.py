import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any

RATES = ("duplicate", "reorder", "delay", "loss", "slow_answer", "refusal")
SECONDS = ("delay_seconds", "slow_answer_seconds")
SPEED_MAX = 10_000


class BadKnob(ValueError):
    """A knob that does not exist, or a value that it cannot take."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """How the platform misbehaves beyond its scenarios. Rates: 0…1 of pushes (duplicate, delay, loss) or of calls."""

    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    loss: float = 0.0
    slow_answer: float = 0.0
    refusal: float = 0.0
    delay_seconds: float = 60.0
    # Seconds of the caller's wall clock, never divided by the speed: this knob tests the caller's own deadline.
    slow_answer_seconds: float = 30.0
    talk_seconds: int | None = None
    seed: int = 0
    speed: float = 1.0

    def turned(self, changes: Mapping[str, object]) -> "Knobs":
        """These knobs with the changes applied, all or none. Raises BadKnob."""
        names = {field.name for field in fields(self)}
        if unknown := sorted(set(changes) - names):
            raise BadKnob(f"unknown knob: {', '.join(unknown)}")
        checked: dict[str, Any] = {name: _checked(name, value) for name, value in changes.items()}
        return replace(self, **checked)

    def strikes(self, rate_name: str, *, at: str) -> bool:
        """Whether the rate hits this spot; the same seed and spot always give the same answer."""
        rate: float = getattr(self, rate_name)
        return Random(f"{self.seed}|{rate_name}|{at}").random() < rate

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def _checked(name: str, value: object) -> float | int | None:
    if name == "talk_seconds" and value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadKnob(f"{name} must be a number")
    if name in ("talk_seconds", "seed"):
        return _whole(name, value)
    lowest, highest = (0.0, 1.0) if name in RATES else (0.0, 3600.0) if name in SECONDS else (0.01, float(SPEED_MAX))
    if not lowest <= value <= highest:
        raise BadKnob(f"{name} must lie between {lowest:g} and {highest:g}")
    return float(value)


def _whole(name: str, value: float) -> int:
    if value != int(value) or value < 0:
        raise BadKnob(f"{name} must be a whole number and not negative")
    return int(value)
