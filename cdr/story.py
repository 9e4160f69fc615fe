"""One call as its page shows it: what happened, what it cost and why, what was delivered about it.

An organisation sees its own calls, an agent only those that they placed. Numbers are masked for who need not see them;
what suppliers ask and what platforms wrote is for those who may see it.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing_platform.auth import Caller
from billing_platform.errors import NotFound
from billing_platform.logs import masked, masked_number
from billing_platform.models import Role
from callcontrol import history
from callcontrol.wishes import Placer
from cdr.charge_story import Charges, ChargeStory, read_charges
from cdr.errors import RecordNotFound
from cdr.messages import LEGS
from cdr.models import CallDetail, CallRecord, Delivery, FilterDecision
from cdr.providers import find_provider
from cdr.reading import SEES_NUMBERS, deliveries_of, read_record
from cdr.records import call_key, find_by_keys
from cdr.wording import DOORS, failure_words, filter_words, word

SEES_COST = frozenset({Role.RATE_ADMIN.value, Role.OPS.value, Role.FINANCE.value, Role.AUDITOR.value})
SEES_BODIES = frozenset({Role.OPS.value, Role.AUDITOR.value})
SEES_ALL = frozenset({Role.SUPERVISOR.value, Role.PLATFORM_ADMIN.value, *SEES_COST})
BODY_MAX, DELIVERIES_MAX = 20_000, 50


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """What a platform sent about the call; `body` is masked, None for who may not read it."""

    id: int
    received_at: datetime
    door: str
    adapter: str
    content_type: str
    body: str | None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class FilterStory:
    """Which rule left the call free, in which version, and why. `decided_at` None: nobody wrote it down."""

    rule: str
    because: str
    version: int | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordStory:
    """Everything about one call record that this reader may see."""

    record: CallRecord
    provider: str
    caller: str
    called: str
    charges: Charges
    supplier_cost: Decimal | None
    filtered: FilterStory | None
    failed_because: str
    siblings: list[CallRecord]
    deliveries: list[DeliveryStory]
    details: list[CallDetail]

    @property
    def charge(self) -> ChargeStory | None:
        """The one in force."""
        return self.charges.in_force

    @property
    def ledger(self) -> Decimal:
        """What the transfers of the call took in sum."""
        return -sum((transfer.change for transfer in self.charges.transfers), Decimal(0))

    @property
    def margin(self) -> Decimal | None:
        if self.supplier_cost is None or self.charge is None:
            return None
        return self.charge.cost - self.supplier_cost


def read_story(record_id: int, *, caller: Caller, placer: Placer) -> RecordStory:
    """One of the caller's records. Raises RecordNotFound."""
    record = read_record(record_id, caller=caller)
    if not SEES_ALL & caller.roles:
        _require_own(record, placer)
    sees_numbers = bool(SEES_NUMBERS & caller.roles)
    shown = str if sees_numbers else masked_number
    charges, provider = read_charges(record), find_provider(record.provider_id)
    return RecordStory(
        record=record,
        provider=provider.code if provider is not None else "",
        caller=shown(record.caller),
        called=shown(record.called),
        charges=charges,
        supplier_cost=charges.supplier_cost if SEES_COST & caller.roles else None,
        filtered=_filtered(record, sees_numbers=sees_numbers),
        failed_because=failure_words(record.bill_error) if record.bill_error else "",
        siblings=_siblings(record),
        deliveries=_deliveries(record, with_bodies=bool(SEES_BODIES & caller.roles)),
        details=list(CallDetail.objects.filter(record_id=record.id).order_by("id")[:DELIVERIES_MAX]),
    )


def _require_own(record: CallRecord, placer: Placer) -> None:
    """An agent's own call is one that they placed."""
    try:
        history.read_story(record.call_id or "-", placer)
    except NotFound as not_theirs:
        raise RecordNotFound from not_theirs


def _filtered(record: CallRecord, *, sees_numbers: bool) -> FilterStory | None:
    if not record.rule:
        return None
    made = FilterDecision.objects.filter(record_id=record.id, rule=record.rule).first()
    because = filter_words(record.rule, made.because if made else "", shows_numbers=sees_numbers)
    return FilterStory(record.rule, because, made.version if made else None, made.decided_at if made else None)


def _siblings(record: CallRecord) -> list[CallRecord]:
    """The records of the call's other legs, where the platform reports each leg by itself."""
    keys = [call_key(record.provider_id, record.provider_call_id, leg, record.part) for leg in LEGS]
    ids = [row.id for row in find_by_keys(keys).values() if row.id != record.id]
    return list(CallRecord.objects.filter(id__in=ids, organization=record.organization).order_by("id"))


def _deliveries(record: CallRecord, *, with_bodies: bool) -> list[DeliveryStory]:
    rows = deliveries_of(record, limit=DELIVERIES_MAX)
    if not with_bodies:
        rows = rows.defer("body")
    return [_delivery(row, with_body=with_bodies) for row in rows]


def _delivery(row: Delivery, *, with_body: bool) -> DeliveryStory:
    told = row.id, row.received_at, word(DOORS, row.source), row.adapter, row.content_type
    if not with_body:
        return DeliveryStory(*told, None)
    raw = bytes(row.body)
    return DeliveryStory(*told, masked(raw[:BODY_MAX].decode(errors="replace")), len(raw) > BODY_MAX)
