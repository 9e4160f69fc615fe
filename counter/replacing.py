"""Replacing charges in force by those of today's tariffs: a full reversal and a new charge, linked to each other."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from billing_platform.auth import Caller
from billing_platform.failpoints import failpoint
from billing_platform.models import AuditEntry
from billing_platform.outbox import NewEvent, record_events
from billing_platform.trail import record_act
from billing_platform.transactions import limit_waiting
from counter import quotas, records
from counter.charged import Charged, read_ids
from counter.errors import CounterError
from counter.items import Item, Opening, find_openings, load_items, opening_at
from counter.metered import replaced_charge
from counter.models import ReplacedCharge
from counter.pricing import Charge, price_use
from counter.records import Stored
from counter.repricing import question_again
from ledger.accounts import Account, read_accounts
from ledger.posting import NewTransfer, lock_wallets, post_transfers
from ledger.reversals import Reversal, opposite_transfers

TOPIC, ACT = "use.repriced", "uses.reprice"
CHUNK = 2_000
ZERO = Decimal(0)
FROM_THE_PRICE = frozenset({"no_number", "default_rate", "maximum_rate"})  # warnings that the new price gives itself
_ACTOR = Caller("command", "rerate")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A use to be charged anew; `dated`: the instant at which the reversal and the new charge count.

    `cost`: what it is to come out at, None for whatever it costs today.
    """

    record_id: int
    dated: datetime
    cost: Decimal | None = None


class Replaced(NamedTuple):
    """A use that was charged anew, what its supplier asked before and now (None: nobody knows), and the transfers of
    it: reversal and charge, where there was something to move."""

    record_id: int
    currency: str
    old: Decimal
    new: Decimal
    supplier_old: Decimal | None
    supplier_new: Decimal | None
    transfer_ids: tuple[int, ...]


class Difference(NamedTuple):
    """A use whose charge comes out otherwise, or did; amounts in `currency`, `supplier_*` as in `Replaced`.

    `closed`: its period's documents were issued.
    """

    record_id: int
    account_id: int
    accno: str
    start: datetime
    finish: datetime
    currency: str
    old: Decimal
    new: Decimal
    supplier_old: Decimal | None
    supplier_new: Decimal | None
    closed: bool = False


# What a run made of a use is what the next one found, or what is in force.
_REPLACED_BY = """
    SELECT c.record_id, r.account_id, a.accno, r.start_at, r.finish_at, r.currency, c.cost,
           COALESCE(next.cost, r.cost), c.supplier_cost,
           CASE WHEN next.cost IS NULL THEN r.supplier_cost ELSE next.supplier_cost END
      FROM counter_replacedcharge c
      JOIN counter_servicerecord r ON r.id = c.record_id JOIN ledger_account_facts a ON a.id = r.account_id
      LEFT JOIN LATERAL (SELECT n.cost, n.supplier_cost FROM counter_replacedcharge n
                          WHERE n.record_id = c.record_id AND n.id > c.id ORDER BY n.id LIMIT 1) next ON true
     WHERE c.cause = %s ORDER BY c.record_id
"""


@dataclass(slots=True)
class _Changing:
    """One use on its way through a batch."""

    use: Charged
    stored: Stored
    item: Item
    opening: Opening | None
    account: Account
    charge: Charge
    dated: datetime
    reversal_id: int | None = None
    transfer_id: int | None = None

    @property
    def supplier_cost(self) -> Decimal | None:
        """One that is no longer known stays."""
        known = self.charge.supplier.amount
        return self.stored.supplier_cost if known is None else known

    @property
    def warnings(self) -> str:
        kept = [one for one in self.stored.warnings.split(",") if one and one not in FROM_THE_PRICE]
        return ",".join(dict.fromkeys([*kept, *self.charge.warnings, "repriced"]))[:200]


@transaction.atomic(durable=True)  # reversal, new charge, the record, its history and the event of a use: all or none
def replace_charges(wanted: Sequence[Replacement], *, cause: str, at: datetime, reason: str = "") -> list[Replaced]:
    """Charge these uses by today's tariffs; those whose amount stays the same, or is not what was wanted, are left.

    `cause` names the run in the ledger's and the record's history, `reason` stands in the trail. A use without a price
    keeps its charge.
    """
    limit_waiting()
    by_id = {one.record_id: one for one in wanted}
    changing = _priced(records.lock_records(by_id), by_id)
    if not changing:
        return []
    _move_money(changing, cause=cause)
    ReplacedCharge.objects.bulk_create(
        replaced_charge(one.stored, cause=cause, by=one.stored.content, reversal_id=one.reversal_id, at=at)
        for one in changing
    )
    records.replace_charges([_change(one) for one in changing])
    quotas.count_uses(
        (one.account.id, one.item.id, one.use.start, one.charge.count - one.stored.charged_count)
        for one in changing
        if one.item.quota is not None or (one.opening is not None and one.opening.quota is not None)
    )
    record_events([_event(one) for one in changing])
    sums = [{"calls": len(changing), "cost": str(sum(costs, ZERO))} for costs in (_old(changing), _new(changing))]
    record_act(_ACTOR, ACT, target=("run", cause), change=(sums[0], sums[1]), reason=reason)
    failpoint("counter.replacing.before_commit")
    return [
        Replaced(
            one.use.id, one.use.currency, one.stored.cost, one.charge.cost, one.stored.supplier_cost,
            one.supplier_cost, tuple(number for number in (one.reversal_id, one.transfer_id) if number is not None),
        )
        for one in changing
    ]  # fmt: skip


def replaced_by(cause: str) -> Iterator[Difference]:
    """What a run has made so far, by record; nothing when it has not begun."""
    if not AuditEntry.objects.filter(object_type="run", object_id=cause, act=ACT).exists():
        return  # the trail has an index, the history has none
    with transaction.atomic(), connection.chunked_cursor() as cursor:  # a cursor of the server lives in a transaction
        cursor.execute(_REPLACED_BY, [cause])
        while rows := cursor.fetchmany(CHUNK):
            yield from (Difference(*row) for row in rows)


def moved_by(transfer_ids: Collection[int]) -> dict[str, Decimal]:
    """By how much these transfers together changed the wallets, by currency, as the ledger holds them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT currency, sum(change) FROM ledger_transfer_facts WHERE id = ANY(%s) GROUP BY currency",
            [list(transfer_ids)],
        )
        return dict(cursor.fetchall())


def _priced(locked: dict[int, Stored], wanted: dict[int, Replacement]) -> list[_Changing]:
    """The uses whose price is another one now, and the one that was wanted, with their new charges."""
    uses = read_ids(locked)
    items = {item.id: item for item in load_items().values()}
    openings = find_openings((use.account_id, use.item_id) for use in uses)
    accounts = read_accounts({use.account_id for use in uses})
    changing = []
    for use in uses:
        item, account = items[use.item_id], accounts[use.account_id]
        opening = opening_at(openings[use.account_id, use.item_id], use.start)
        try:
            charge = price_use(question_again(use, item, opening, organization=account.organization))
        except CounterError:
            continue  # no deck has a price: the charge stays as it is
        one = wanted[use.id]
        if charge.cost != use.cost and one.cost in {None, charge.cost}:
            changing.append(_Changing(use, locked[use.id], item, opening, account, charge, one.dated))
    return changing


def _move_money(changing: Sequence[_Changing], *, cause: str) -> None:
    lock_wallets({one.account.id for one in changing})
    posted = [one for one in changing if one.stored.transfer_id is not None]
    opposites = opposite_transfers([
        Reversal(one.stored.transfer_id, cause, one.dated) for one in posted if one.stored.transfer_id is not None
    ])  # fmt: skip
    charged = [one for one in changing if one.charge.cost > 0]
    transfers = [
        NewTransfer(
            one.account.id, -one.charge.cost, f"revenue:{one.item.label}", "use", str(one.use.id), one.dated,
            cause_leg=cause, memo=f"instead of {one.stored.transfer_id}" if one.stored.transfer_id else "",
        )
        for one in charged
    ]  # fmt: skip
    moved = post_transfers([*opposites, *transfers])
    for one, reversal in zip(posted, moved[: len(posted)], strict=True):
        one.reversal_id = reversal.transfer_id
    for one, new in zip(charged, moved[len(posted) :], strict=True):
        one.transfer_id = new.transfer_id


def _change(one: _Changing) -> dict[str, object]:
    """The columns of the charge in force."""
    charge, supplier, cost = one.charge, one.charge.supplier, one.supplier_cost
    return {
        "id": one.use.id, "cost": str(charge.cost), "charged_seconds": charge.charged_seconds,
        "charged_count": str(charge.count), "deck_version": charge.deck_version, "warnings": one.warnings,
        "explanation": charge.explanation, "transfer_id": one.transfer_id,
        "supplier_cost": None if cost is None else str(cost),
        "supplier_deck_version": (
            one.stored.supplier_deck_version if supplier.amount is None else supplier.deck_version
        ),
    }  # fmt: skip


def _event(one: _Changing) -> NewEvent:
    """Told to the account's organisation, and what the call record takes its new cost from."""
    payload = {
        "accno": one.account.accno, "label": one.item.label, "providerno": one.stored.providerno,
        "start_time": one.use.start.isoformat(), "cost": str(one.charge.cost), "cost_before": str(one.stored.cost),
        "currency": one.use.currency, "deck_version": one.charge.deck_version,
    }  # fmt: skip
    return NewEvent(TOPIC, one.account.organization, str(one.use.id), payload)


def _old(changing: Sequence[_Changing]) -> list[Decimal]:
    return [one.stored.cost for one in changing]


def _new(changing: Sequence[_Changing]) -> list[Decimal]:
    return [one.charge.cost for one in changing]
