"""Uses that go on, and uses whose time is over: the expiry moves, or the use ends by the item's rule."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing_platform.transactions import limit_waiting
from counter import committer, holding, packs, records
from counter.errors import InsufficientBalance, Invalid, RecordNotFound, ReferenceClosed
from counter.items import Mode, find_openings, opening_at, read_item
from counter.metered import Submission
from counter.models import ServiceItem, ServiceRecord
from counter.records import State, Stored
from counter.uses import ServiceUse
from ledger import accounts, holds
from ledger.errors import InsufficientBalance as LedgerInsufficient

HOLD_MAX = timedelta(hours=24)
UNNAMED_MAX = 100
OnExpire = ServiceItem.OnExpire


@transaction.atomic(durable=True)  # the expiry moves only together with the money for the time until then
def keep_service(
    accno: str, label: str, *, providerno: str, expire: datetime | None, organizations: frozenset[str] | None,
    at: datetime,
) -> tuple[str, datetime]:  # fmt: skip
    """Move the expiry of the named use, or of every open use of (accno, label); the newest svcno and its expiry.

    It never shortens. Raises RecordNotFound, ReferenceClosed, InsufficientBalance (the old expiry stays), Invalid.
    """
    limit_waiting()
    item = read_item(label)
    until = expire or at + timedelta(seconds=item.keep_seconds)
    if not at < until <= at + HOLD_MAX:
        raise Invalid("expire is in the past or more than 24 hours ahead", fields={"expire": "out of range"})
    account = accounts.find_account(accno)
    if account is None or (organizations is not None and account.organization not in organizations):
        raise RecordNotFound
    kept = [
        (stored, _keep(stored, item.mode, until=until, at=at)) for stored in _open_uses(account.id, item.id, providerno)
    ]
    newest, expires_at = max(kept, key=lambda pair: pair[0].id)
    return newest.svcno, expires_at


def _open_uses(account_id: int, item_id: int, providerno: str) -> list[Stored]:
    rows = ServiceRecord.objects.filter(account_id=account_id, item_id=item_id)
    rows = rows.filter(providerno=providerno) if providerno else rows.filter(state=State.STARTED)
    found = records.lock_records(rows.values_list("pk", flat=True).order_by("-pk")[:UNNAMED_MAX])
    if not found:
        raise RecordNotFound
    ended = next((stored for stored in found.values() if stored.state != State.STARTED), None)
    if ended is not None:
        raise ReferenceClosed(state=ended.state)
    return list(found.values())


def _keep(stored: Stored, mode: str, *, until: datetime, at: datetime) -> datetime:
    assert stored.expires_at is not None
    expires_at = max(stored.expires_at, until)
    if stored.hold_id is not None:
        try:
            holds.extend_hold(stored.hold_id, more=_next_window(stored, mode, at), expires_at=expires_at)
        except LedgerInsufficient as refusal:
            raise InsufficientBalance from refusal
    ServiceRecord.objects.filter(pk=stored.id).update(expires_at=expires_at)
    return expires_at


def _next_window(stored: Stored, mode: str, at: datetime) -> Decimal:
    """What the next window of a per_duration use costs; other modes held everything when they started."""
    if mode != Mode.PER_DURATION:
        return Decimal(0)
    label, count = ServiceRecord.objects.filter(pk=stored.id).values_list("item__label", "count").get()
    item = read_item(label)
    opening = opening_at(find_openings([(stored.account_id, item.id)])[stored.account_id, item.id], stored.start_at)
    return holding.window_price(item, opening, seconds=item.hold_seconds, count=count, at=stored.start_at)


def expire_uses(*, at: datetime, limit: int) -> int:
    """End started uses whose expiry has passed, by their item's rule: release, or charge as an estimate."""
    due = list(
        ServiceRecord.objects.filter(state=State.STARTED, expires_at__lte=at)
        .order_by("expires_at")
        .values_list("pk", "item__on_expire")[:limit]
    )
    _charge_expired([pk for pk, rule in due if rule == OnExpire.CHARGE])
    released = [pk for pk, rule in due if rule != OnExpire.CHARGE]
    if released:
        _release_expired(released, at=at)
    return len(due)


@transaction.atomic(durable=True)  # record, hold and units end together
def _release_expired(record_ids: list[int], *, at: datetime) -> None:
    limit_waiting()
    due = [
        stored for stored in records.lock_records(record_ids).values()
        if stored.state == State.STARTED and stored.expires_at is not None and stored.expires_at <= at
    ]  # fmt: skip
    ids = [stored.id for stored in due]
    ServiceRecord.objects.filter(pk__in=ids).update(state=State.EXPIRED)
    packs.free_reservations(ids)
    holds.expire_holds([stored.hold_id for stored in due if stored.hold_id], cause="expired")


def _charge_expired(record_ids: list[int]) -> None:
    """As if the use had ended when it expired; a true end may replace this once."""
    rows = ServiceRecord.objects.filter(pk__in=record_ids).values_list(
        "providerno", "item__label", "account_id", "expires_at", "count", "organization", "application", "summary"
    )
    submissions = []
    for providerno, label, account_id, expires_at, count, organization, application, summary in rows:
        accno = accounts.read_account(account_id).accno
        use = ServiceUse(
            accno, label, providerno, None, expires_at, count, summary=summary, application=application,
            organization=organization, estimated=True,
        )  # fmt: skip
        submissions.append(Submission(use))
    if submissions:
        committer.settle(submissions)
