"""Uses that go on, and uses whose time is over: the expiry moves, or the use ends by the item's rule."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing_platform.transactions import limit_waiting
from counter import committer, holding, packs, records
from counter.content import started_call
from counter.errors import AccountNotFound, Invalid, RecordNotFound, ReferenceClosed
from counter.items import Item, Mode, find_openings, opening_at, read_item
from counter.metered import Submission
from counter.metering import LONGEST_USE
from counter.models import ServiceItem, ServiceRecord
from counter.records import State, Stored
from counter.uses import ServiceUse
from ledger import accounts, holds

HOLD_MAX = timedelta(hours=24)
UNNAMED_MAX = 100
OnExpire = ServiceItem.OnExpire


@transaction.atomic(durable=True)  # the expiry moves only together with the money for the time until then
def keep_service(
    accno: str, label: str, *, providerno: str, expire: datetime | None, organizations: frozenset[str] | None,
    at: datetime,
) -> tuple[str, datetime]:  # fmt: skip
    """Move the expiry of the named use, or of every open use of (accno, label); the newest svcno and its expiry.

    It never shortens. Raises AccountNotFound, ServiceUnknown, RecordNotFound, ReferenceClosed, Invalid, and
    InsufficientBalance: then the old expiry stays.
    """
    limit_waiting()
    item = read_item(label)
    until = expire or at + timedelta(seconds=item.keep_seconds)
    if not at < until <= at + HOLD_MAX:
        raise Invalid("expire is in the past or more than 24 hours ahead", fields={"expire": "out of range"})
    account = accounts.find_account(accno)
    if account is None or (organizations is not None and account.organization not in organizations):
        raise AccountNotFound
    kept = [(stored, _keep(stored, item, until=until)) for stored in _open_uses(account.id, item, providerno)]
    newest, expires_at = max(kept, key=lambda pair: pair[0].id)
    return newest.svcno, expires_at


def _open_uses(account_id: int, item: Item, providerno: str) -> list[Stored]:
    if providerno:
        named = records.find_by_keys([(item.id, providerno)]).get((item.id, providerno))
        ids = [named.id] if named is not None and named.account_id == account_id else []
    else:
        rows = ServiceRecord.objects.filter(account_id=account_id, item_id=item.id, state=State.STARTED)
        ids = list(rows.values_list("pk", flat=True).order_by("-pk")[:UNNAMED_MAX])
    found = list(records.lock_records(ids).values())
    if providerno:
        closed = next((stored.state for stored in found if stored.state != State.STARTED), None)
        if closed is not None and closed != State.REFUSED:
            raise ReferenceClosed(state=str(closed))
    started = [stored for stored in found if stored.state == State.STARTED]
    if not started:
        raise RecordNotFound
    return started


def _keep(stored: Stored, item: Item, *, until: datetime) -> datetime:
    assert stored.expires_at is not None
    expires_at = max(stored.expires_at, until)
    more = _next_window(stored, item)
    if stored.hold_id is not None:
        holding.extend(stored.hold_id, more=more, expires_at=expires_at)
    elif more > 0:  # package units paid for the first window
        held = holding.place(stored.account_id, amount=more, record_id=stored.id, expires_at=expires_at)
        ServiceRecord.objects.filter(pk=stored.id).update(hold_id=held.hold_id)
    ServiceRecord.objects.filter(pk=stored.id).update(expires_at=expires_at)
    return expires_at


def _next_window(stored: Stored, item: Item) -> Decimal:
    """What the next window of a per_duration use costs; other modes held everything when they started."""
    if item.mode != Mode.PER_DURATION:
        return Decimal(0)
    count = ServiceRecord.objects.values_list("count", flat=True).get(pk=stored.id)
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
    ServiceRecord.objects.filter(pk__in=ids).update(state=State.EXPIRED, ended_at=at)
    packs.free_reservations(ids, at=at)
    holds.expire_holds([stored.hold_id for stored in due if stored.hold_id], cause="expired")


def _charge_expired(record_ids: list[int]) -> None:
    """As if the use had ended when it expired; a true end may replace this once."""
    rows = list(ServiceRecord.objects.filter(pk__in=record_ids).select_related("item"))
    accnos = {account.id: account.accno for account in accounts.read_accounts(row.account_id for row in rows).values()}
    if rows:
        committer.settle([Submission(_assumed_use(row, accnos[row.account_id])) for row in rows])


def _assumed_use(row: ServiceRecord, accno: str) -> ServiceUse:
    assert row.expires_at is not None
    assert row.start_content is not None
    return ServiceUse(
        accno, row.item.label, row.providerno, None, min(row.expires_at, row.start_at + LONGEST_USE), row.count,
        summary=row.summary, application=row.application, organization=row.organization,
        call=started_call(row.start_content), estimated=True,
    )  # fmt: skip
