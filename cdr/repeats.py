"""The same record again: duplicate, update or conflict? Pure: the stored row and the new one in, a verdict out."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cdr.records import CallRow
from counter.errors import CounterUnavailable


class Verdict(StrEnum):
    """What the new delivery does to the stored record."""

    DUPLICATE = "duplicate"
    ENRICHED = "enriched"  # values that no charge depends on
    REPLACED = "replaced"  # other facts, nothing charged yet
    CONFLICT = "conflict"  # other facts after the charge


Value = str | int | datetime | bool | None

FREE = ("recording_url", "display_number", "provider_cost", "hangup_by", "user_data")
FACTS = (
    "start_time", "answer_time", "end_time", "billable_seconds", "caller", "called", "call_type",
    "answer_basis", "trunk", "carrier",
)  # fmt: skip
FILLED = ("a_answer_time", "hangup_cause")  # may be added at any time, but never changed
ABSENT = (None, "", "unknown")
START_ASSUMED = "start_time_assumed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict and the differing values, old and new, by column."""

    verdict: Verdict
    before: Mapping[str, Value]
    after: Mapping[str, Value]


def compare(stored: CallRow, new: CallRow) -> Comparison:
    """What the new row, of the same key, says that the stored one does not."""
    if new.version < stored.version:
        return Comparison(Verdict.DUPLICATE, {}, {})
    facts = _differing(stored, new, FACTS)
    added = [name for name in FILLED if getattr(stored, name) in ABSENT and getattr(new, name) not in ABSENT]
    facts += [name for name in _differing(stored, new, FILLED) if name not in added]
    changed = [*facts, *added, *_differing(stored, new, FREE)]
    if not changed:
        return Comparison(Verdict.DUPLICATE, {}, {})
    before: dict[str, Value] = {name: getattr(stored, name) for name in changed}
    after: dict[str, Value] = {name: getattr(new, name) for name in changed}
    if not facts:
        return Comparison(Verdict.ENRICHED, before, after)
    return Comparison(Verdict.CONFLICT if _may_be_charged(stored) else Verdict.REPLACED, before, after)


def _may_be_charged(stored: CallRow) -> bool:
    """Charged, or asked for without an answer: then the counter may have charged the facts as they were."""
    return stored.billed or stored.bill_error.startswith(CounterUnavailable.code)


def _differing(stored: CallRow, new: CallRow, names: tuple[str, ...]) -> list[str]:
    """Names whose new value is said and another one; an answer that is not repeated takes its seconds with it."""
    differing = [name for name in names if getattr(new, name) not in (*ABSENT, getattr(stored, name))]
    if new.answer_time is None and stored.answer_time is not None and "billable_seconds" in differing:
        differing.remove("billable_seconds")
    if START_ASSUMED in new.warnings and "start_time" in differing:
        differing.remove("start_time")
    return differing


def merge(stored: CallRow, new: CallRow, comparison: Comparison) -> CallRow:
    """The stored row with what the new one says; after a conflict, the stored row as it is."""
    merged = copy(stored)
    if comparison.verdict is not Verdict.CONFLICT:
        for name, value in comparison.after.items():
            setattr(merged, name, value)
        merged.version = new.version
        merged.duration_seconds = new.duration_seconds if new.duration_seconds is not None else stored.duration_seconds
    return merged
