"""Uses that begin: may the service be used, what would it cost, money held, kept, given back - the prospective half.

Everything here may be refused; nothing here charges. Amounts are Decimals in the item's currency.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from django.db import IntegrityError, transaction

from billing_platform.money import amount_text, parse_amount
from billing_platform.transactions import limit_waiting
from counter import holding, packs, records
from counter.content import START_FIELDS, record_id_of, require_same, start_content, svcno_of
from counter.errors import (
    REFUSALS,
    AccountClosed,
    AccountNotFound,
    AccountSuspended,
    CounterError,
    InsufficientBalance,
    Invalid,
    QuotaExceeded,
    RecordNotFound,
    ReferenceClosed,
    ServiceNotOpen,
    ServiceUnknown,
    WrongChargeMode,
)  # fmt: skip
from counter.items import Item, Mode, Opening, find_openings, opening_at, read_item
from counter.models import ResourceUsage, ServiceRecord
from counter.quotas import used_in_month
from counter.records import Overtaken, State, Stored
from counter.uses import Cancelled, NamedUse, Quote, StartReceipt, UseRequest, Verdict
from ledger import accounts, holds
from ledger.accounts import Account

ZERO = Decimal(0)
HOLD_MAX = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Parties:
    """Who wants to use what, as stored now."""

    account: Account
    item: Item
    opening: Opening | None


def _parties(accno: str, label: str, *, organizations: frozenset[str] | None, at: datetime) -> Parties:
    """Raises AccountNotFound (also for another organisation's account), ServiceUnknown."""
    account = accounts.find_account(accno)
    if account is None or (organizations is not None and account.organization not in organizations):
        raise AccountNotFound
    item = read_item(label)
    opening = opening_at(find_openings([(account.id, item.id)])[account.id, item.id], at)
    return Parties(account, item, opening)


def check_service(request: UseRequest, *, organizations: frozenset[str] | None, at: datetime) -> Verdict:
    """May the service be used now? Writes and holds nothing. Raises AccountNotFound, ServiceUnknown."""
    try:
        require_service(request, organizations=organizations, at=at)
    except (AccountNotFound, ServiceUnknown):
        raise
    except CounterError as refusal:
        return Verdict(usable=False, code=refusal.billing_code, reason=refusal.code, detail=str(refusal))
    return Verdict(usable=True)


def require_service(request: UseRequest, *, organizations: frozenset[str] | None, at: datetime) -> None:
    """The same check as an error. Raises the refusal."""
    parties = _parties(request.accno, request.label, organizations=organizations, at=at)
    require_usable(parties)
    require_money(parties, count=request.count, at=at)
    if request.check_quota:
        require_quota(parties, count=request.count, at=at)


def require_usable(parties: Parties) -> None:
    """Account active, item enabled and open: the first that fails refuses."""
    state = parties.account.state
    if state == "closed":
        raise AccountClosed
    if state == "suspended":
        raise AccountSuspended
    if state == "overdrawn":
        raise InsufficientBalance("the account is overdrawn")
    if not parties.item.enabled or parties.opening is None:
        raise ServiceNotOpen


def require_money(parties: Parties, *, count: int, at: datetime) -> None:
    """Enough for one use, one increment, or anything at all; package units count as money."""
    needed = holding.least_amount(parties.item, parties.opening, count=count, at=at)
    if needed is None:
        return
    enough = parties.account.available > 0 if needed == 0 else parties.account.available >= needed
    if not enough and not packs.free_units(parties.account.id, parties.item.label, at=at).units:
        raise InsufficientBalance


def require_quota(parties: Parties, *, count: int, at: datetime) -> None:
    """Room for `count` in the month's quota, or in the limit of occupancy."""
    item, opening = parties.item, parties.opening
    if item.mode == Mode.RESOURCE:
        limits = opening.limits if opening is not None and opening.limits is not None else item.limits
        usage = ResourceUsage.objects.filter(account_id=parties.account.id, item_id=item.id).first()
        if limits and (usage.usage if usage else 0) + count > limits:
            raise QuotaExceeded
        return
    quota = opening.quota if opening is not None and opening.quota is not None else item.quota
    if quota is not None and used_in_month(parties.account.id, item.id, at=at) + count > quota:
        raise QuotaExceeded


def quote_service(request: UseRequest, *, organizations: frozenset[str] | None, at: datetime) -> Quote:
    """What start_service would say, without writing. Raises AccountNotFound, ServiceUnknown."""
    parties = _parties(request.accno, request.label, organizations=organizations, at=at)
    try:
        require_usable(parties)
        if parties.item.mode == Mode.RESOURCE:
            raise WrongChargeMode
        holding.warm(parties.account, parties.item, request.call, at=at)
        return holding.plan_hold(parties.account, parties.item, parties.opening, request, at=at).quote()
    except CounterError as refusal:
        return Quote(allowed=False, code=refusal.billing_code, reason=refusal.code, detail=str(refusal))


def start_service(request: UseRequest, *, organizations: frozenset[str] | None, at: datetime) -> StartReceipt:
    """Hold money for a use. The refusal for want of money is stored as the outcome of the key.

    Raises the refusals of the check, IdempotencyConflict, ReferenceClosed, Overtaken (run again).
    """
    parties = _parties(request.accno, request.label, organizations=organizations, at=at)
    if parties.item.mode == Mode.RESOURCE:
        raise WrongChargeMode
    holding.warm(parties.account, parties.item, request.call, at=at)
    outcome = _start(parties, request, start_content(request), at=at)
    if isinstance(outcome, CounterError):
        raise outcome
    return outcome


def _expiry(asked: datetime | None, at: datetime) -> datetime:
    expire = asked or at + HOLD_MAX
    if not at < expire <= at + HOLD_MAX + timedelta(seconds=5):
        raise Invalid("expire is in the past or more than 24 hours ahead", fields={"expire": "out of range"})
    return expire


@transaction.atomic(durable=True)  # the record of the start and the hold appear together, or the refusal is remembered
def _start(parties: Parties, request: UseRequest, content: str, *, at: datetime) -> StartReceipt | CounterError:
    limit_waiting()
    stored = records.find_by_keys([(parties.item.id, request.providerno)]).get((parties.item.id, request.providerno))
    if stored is not None:
        return _repeat_start(stored, content)
    expire = _expiry(request.expire, at)
    require_usable(parties)
    if request.check_quota:
        require_quota(parties, count=request.count, at=at)
    record = _new_record(parties, request, content, expire=expire, at=at)
    try:
        with transaction.atomic():
            receipt = _hold(record, parties, request, expire=expire, at=at)
    except InsufficientBalance as refusal:
        ServiceRecord.objects.filter(pk=record.pk).update(state=State.REFUSED, refusal=refusal.code)
        return refusal
    return receipt


def _new_record(
    parties: Parties, request: UseRequest, content: str, *, expire: datetime, at: datetime
) -> ServiceRecord:
    try:
        with transaction.atomic():
            return ServiceRecord.objects.create(
                item_id=parties.item.id, providerno=request.providerno, account_id=parties.account.id,
                state=State.STARTED, organization=request.organization, application=request.application,
                summary=request.summary, record_ref=request.call.record_ref if request.call else "",
                start_at=request.start or at, count=request.count, created_at=at, start_content=content,
                expires_at=expire, currency=parties.item.currency,
            )  # fmt: skip
    except IntegrityError as error:
        raise Overtaken from error


def _hold(
    record: ServiceRecord, parties: Parties, request: UseRequest, *, expire: datetime, at: datetime
) -> StartReceipt:
    """Reserve units, hold the money for the rest, and keep the answer for repeats. Raises InsufficientBalance."""
    plan = holding.plan_hold(parties.account, parties.item, parties.opening, request, at=at)
    packs.note_reservation(record.pk, plan.reserve_units(parties.account.id, request, at=at))
    hold_id, available = None, parties.account.available
    if plan.hold > 0:
        held = holding.place(parties.account.id, amount=plan.hold, record_id=record.pk, expires_at=expire)
        hold_id, available = held.hold_id, held.available
    receipt = StartReceipt(
        svcno_of(record.pk, record.created_at), str(record.pk), expire, plan.max_seconds, plan.limit_reason, plan.hold,
        available, parties.item.currency, plan.charged_legs, plan.pack_units,
    )  # fmt: skip
    ServiceRecord.objects.filter(pk=record.pk).update(hold_id=hold_id, start_answer=holding.answer_json(receipt))
    return receipt


def _repeat_start(stored: Stored, content: str) -> StartReceipt | CounterError:
    """The first answer while the use is open; never the old yes once it has ended."""
    if stored.start_content is None:
        raise ReferenceClosed(state=str(stored.state))
    require_same(stored.start_content, content, START_FIELDS)
    if stored.state == State.REFUSED:
        refusal = ServiceRecord.objects.values_list("refusal", flat=True).get(pk=stored.id)
        return REFUSALS[refusal]()
    if stored.state != State.STARTED:
        raise ReferenceClosed(state=str(stored.state))
    answer = ServiceRecord.objects.values_list("start_answer", flat=True).get(pk=stored.id)
    assert answer is not None
    assert stored.expires_at is not None
    return replace(holding.answer_from_json(answer), expire=stored.expires_at, duplicate=True)


@transaction.atomic(durable=True)  # the hold returns exactly when the record says so
def cancel_service(named: NamedUse, *, reason: str, organizations: frozenset[str] | None, at: datetime) -> Cancelled:
    """Release the hold of a started use, found by svcno or (label, providerno). Again: the same answer.

    Raises RecordNotFound, ReferenceClosed when it was ended or has expired, AccountNotFound.
    """
    limit_waiting()
    found = _find_started(named, organizations=organizations)
    stored = records.lock_records([found.id])[found.id]
    if stored.state == State.CANCELLED:
        return _cancelled(stored, duplicate=True)
    if stored.state == State.REFUSED:
        raise RecordNotFound
    if stored.state != State.STARTED:
        raise ReferenceClosed(state=str(stored.state))
    packs.free_reservations([stored.id], at=at)
    released = holds.release_hold(stored.hold_id, cause=f"cancelled: {reason}"[:200]) if stored.hold_id else ZERO
    why = {"cancelled": reason, "released": amount_text(released)}
    ServiceRecord.objects.filter(pk=stored.id).update(
        state=State.CANCELLED, ended_at=at, explanation=msgspec.json.encode(why).decode()
    )
    return _cancelled(records.find_by_ids([stored.id])[stored.id], duplicate=False)


def _cancelled(stored: Stored, *, duplicate: bool) -> Cancelled:
    released = parse_amount(msgspec.json.decode(stored.explanation)["released"])
    return Cancelled(stored.svcno, State.CANCELLED.value, released, stored.currency, duplicate)


def _find_started(named: NamedUse, *, organizations: frozenset[str] | None) -> Stored:
    """Raises AccountNotFound, ServiceUnknown, RecordNotFound."""
    account = accounts.find_account(named.accno) if named.accno else None
    if named.accno and (account is None or (organizations is not None and account.organization not in organizations)):
        raise AccountNotFound
    item = read_item(named.label) if named.label else None
    stored: Stored | None = None
    if named.svcno:
        record_id = record_id_of(named.svcno)
        stored = records.find_by_ids([record_id]).get(record_id)
        stored = stored if stored is not None and stored.svcno == named.svcno else None
    elif item is not None:
        stored = records.find_by_keys([(item.id, named.providerno)]).get((item.id, named.providerno))
    if stored is None or (item is not None and stored.item_id != item.id):
        raise RecordNotFound
    owner = account or accounts.read_account(stored.account_id)
    if stored.account_id != owner.id or (organizations is not None and owner.organization not in organizations):
        raise RecordNotFound
    return stored
