"""What a sender is told about each of its records."""

from dataclasses import dataclass
from decimal import Decimal

from cdr import records
from cdr.messages import Rejection
from cdr.records import CallRow

ACCEPTED, DUPLICATE, UPDATED, CONFLICT, REJECTED = "accepted", "duplicate", "updated", "conflict_queued", "rejected"


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of one record: `cost` in `currency`, `status` is the HTTP status where it was sent alone."""

    result: str
    cdr_id: str = ""
    state: str = ""
    cost: Decimal | None = None
    currency: str = ""
    rule: str = ""
    code: str = ""
    detail: str = ""
    status: int = 200


def cost_text(cost: Decimal) -> str:
    """Plain digits without needless zeros, so that a repeat reads like the first answer: `0.24`."""
    return f"{cost.normalize():f}"


PENDING = RecordOutcome(ACCEPTED, state=records.PENDING)  # stored, and queued to be settled


def outcome_of(result: str, row: CallRow) -> RecordOutcome:
    """The record as it stands now."""
    code, _, detail = row.bill_error.partition(": ")
    cost, currency = (row.cost, row.currency) if row.billed else (None, "")
    return RecordOutcome(result, str(row.id), row.state, cost, currency, row.rule, code, detail)


def rejected(rejection: Rejection) -> RecordOutcome:
    """The record was not taken in."""
    return RecordOutcome(REJECTED, code=rejection.code, detail=rejection.detail, status=rejection.status)
