"""A use on its way through a batch, and the money and rows that come of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from billing_platform.copying import Cell
from counter import notices, packs, quotas, records
from counter.content import CONTENT_FIELDS, require_same, svcno_of, use_content
from counter.errors import CounterError
from counter.items import Item, Opening
from counter.models import ReplacedCharge
from counter.packs import NOTHING, Drawn
from counter.parties import Party
from counter.pricing import Charge
from counter.records import State, Stored
from counter.uses import ServiceUse, UseReceipt
from ledger import holds
from ledger.posting import NewTransfer, Posted, lock_wallets, post_transfers
from ledger.reversals import Reversal, opposite_transfers

Outcome = UseReceipt | CounterError
ZERO = Decimal(0)
CAUSE_LEG_MAX = 40
STATE_WARNINGS = {State.EXPIRED: "after_expiry", State.CANCELLED: "after_cancel"}


class Submission(msgspec.Struct, frozen=True, gc=False):
    """A use and the organisations whose accounts its sender may see; None = all."""

    use: ServiceUse
    organizations: frozenset[str] | None = None


@dataclass(slots=True)
class Metered:
    """One use of a batch; `outcome` set means that it needs nothing more. Fields fill up from stage to stage."""

    use: ServiceUse
    content: str = ""
    outcome: Outcome | None = None
    account: Party = field(init=False)
    item: Item = field(init=False)
    opening: Opening | None = None
    named_record_id: int = 0  # the record that the caller names by svcno; 0 when none
    stored: Stored | None = None
    replaces: str = ""  # why the charge in force is replaced: "estimate" or "correction:<id>"
    start: datetime = field(init=False)
    finish: datetime = field(init=False)
    charge: Charge = field(init=False)
    drawn: Drawn = NOTHING
    record_id: int = 0
    warnings: list[str] = field(default_factory=list)
    posted: Posted | None = None

    def __post_init__(self) -> None:
        self.content = use_content(self.use)

    @property
    def key(self) -> tuple[int, str]:
        return self.item.id, self.use.providerno

    @property
    def identity(self) -> tuple[int, str, str]:
        """What makes two items of a batch the same use: their key, or their svcno where no providerno is given."""
        return (*self.key, "" if self.use.providerno else self.use.svcno)

    @property
    def cause_leg(self) -> str:
        """What tells the transfers of one record apart; the ledger's column is short."""
        if len(self.replaces) <= CAUSE_LEG_MAX:
            return self.replaces
        return f"correction:{sha256(self.replaces.encode()).hexdigest()[: CAUSE_LEG_MAX - len('correction:')]}"

    @property
    def is_answered(self) -> bool:
        return self.use.call is None or self.use.call.answered

    @property
    def all_warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.warnings, *self.charge.warnings]))

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)


def started_record(use: Metered, by_svcno: Stored | None, by_key: Stored | None) -> Stored | None:
    """The record that this use ends: the one it names, when it is of this item, else the one under its key."""
    if by_svcno is not None and (by_svcno.item_id, by_svcno.svcno) == (use.item.id, use.use.svcno):
        return by_svcno if by_key is None else by_key
    return by_key


def is_repeat(use: Metered, stored: Stored) -> bool:
    """The same content under the same key, ended before. What was estimated is priced anew when the true end comes."""
    if stored.state != State.ENDED or stored.content != use.content or use.use.correction:
        return False
    return use.use.estimated or not stored.estimated


def decide_about_correction(use: Metered, stored: Stored) -> None:
    """A person's correction replaces the charge in force, once per correction id."""
    cause = f"correction:{use.use.correction}"
    earlier = ReplacedCharge.objects.filter(record_id=stored.id, cause=cause).first()
    if earlier is None:
        use.replaces = cause
        return
    require_same(earlier.replaced_by_content, use.content, CONTENT_FIELDS)
    use.outcome = stored.receipt(duplicate=True)


# --- money ------------------------------------------------------------------------------------------------------------


def move_money(uses: Sequence[Metered], *, at: datetime) -> None:
    """Return holds, reverse what is replaced, post what is new: all wallets of the batch locked at once, last."""
    account_ids = {use.account.id for use in uses}
    hold_ids = [use.stored.hold_id for use in uses if use.stored and use.stored.hold_id]
    captured = holds.capture_holds(hold_ids, cause="end", with_wallets=account_ids) if hold_ids else {}
    for use in uses:
        _warn_about_hold(use, captured)
    replaced = [use for use in uses if use.replaces]
    opposites = _opposites(replaced, account_ids, at=at) if replaced else []
    charged = [use for use in uses if use.charge.cost > 0]
    transfers = [
        NewTransfer(
            use.account.id, -use.charge.cost, f"revenue:{use.item.label}", "use", str(use.record_id), use.finish,
            cause_leg=use.cause_leg,
        )
        for use in charged
    ]  # fmt: skip
    moved = post_transfers([*opposites, *transfers])
    if replaced:
        _keep_replaced(replaced, moved[: len(opposites)], at=at)
    for use, posted in zip(charged, moved[len(opposites) :], strict=True):
        use.posted = posted
        if posted.state == "overdrawn":
            use.warn("overdrawn")


def _warn_about_hold(use: Metered, captured: dict[int, Decimal]) -> None:
    if use.replaces:
        use.warn("replaced_estimate" if use.replaces == "estimate" else "corrected")
    elif use.stored is not None and use.stored.state in STATE_WARNINGS:
        use.warn(STATE_WARNINGS[State(use.stored.state)])
    elif use.stored is None or use.stored.state == State.REFUSED:
        use.warn("no_hold")


def _opposites(uses: Sequence[Metered], account_ids: set[int], *, at: datetime) -> list[NewTransfer]:
    """What gives back the charges in force, one for each use that moved money."""
    lock_wallets(account_ids)
    return opposite_transfers(
        [Reversal(use.stored.transfer_id, use.cause_leg, at) for use in uses if use.stored and use.stored.transfer_id]
    )


def _keep_replaced(uses: Sequence[Metered], reversals: Sequence[Posted], *, at: datetime) -> None:
    """Note in the records' history what was in force."""
    reversed_uses = [use for use in uses if use.stored and use.stored.transfer_id]
    reversal_of = {id(use): reversal.transfer_id for use, reversal in zip(reversed_uses, reversals, strict=True)}
    ReplacedCharge.objects.bulk_create(
        replaced_charge(use.stored, cause=use.replaces, by=use.content, reversal_id=reversal_of.get(id(use)), at=at)
        for use in uses
        if use.stored
    )


def replaced_charge(stored: Stored, *, cause: str, by: str, reversal_id: int | None, at: datetime) -> ReplacedCharge:
    """The charge that was in force, as the record's history keeps it; `by` is the content that replaced it."""
    return ReplacedCharge(
        record_id=stored.id, cause=cause, content=stored.content, cost=stored.cost,
        charged_seconds=stored.charged_seconds, deck_version=stored.deck_version, warnings=stored.warnings,
        explanation=stored.explanation, transfer_id=stored.transfer_id, reversal_id=reversal_id,
        replaced_by_content=by, replaced_at=at, supplier_cost=stored.supplier_cost,
        supplier_deck_version=stored.supplier_deck_version,
    )  # fmt: skip


# --- rows -------------------------------------------------------------------------------------------------------------


def write_records(uses: Sequence[Metered], *, at: datetime) -> None:
    """Every use in its final state, once; then what follows from it: quota, units, notices. Raises Overtaken."""
    records.insert_ended([_row(use, at) for use in sorted(uses, key=lambda use: use.key) if use.stored is None])
    records.update_ended([_change(use, at) for use in uses if use.stored is not None])
    quotas.count_uses(
        (use.account.id, use.item.id, use.start, use.charge.count - _counted_before(use))
        for use in uses
        if _quota(use) is not None
    )
    packs.note_draws((use.record_id, use.drawn) for use in uses if use.drawn is not NOTHING)
    notices.note_default_rates(
        (use.account.organization, use.account.accno, use.charge.default_rate_head, quotas.day_of(use.start))
        for use in uses
        if "default_rate" in use.charge.warnings and use.charge.charged_seconds > 0
    )
    for use in uses:
        use.outcome = _receipt(use, at)


def _quota(use: Metered) -> Decimal | None:
    return use.opening.quota if use.opening is not None and use.opening.quota is not None else use.item.quota


def _counted_before(use: Metered) -> Decimal:
    """What the replaced charge had added to the month."""
    return use.stored.charged_count if use.replaces and use.stored else ZERO


def _receipt(use: Metered, at: datetime) -> UseReceipt:
    created_at = use.stored.created_at if use.stored else at
    charge, posted = use.charge, use.posted
    return UseReceipt(
        svcno_of(use.record_id, created_at), str(use.record_id), use.start, use.finish, charge.count, charge.cost,
        charge.currency, charge.charged_seconds, charge.deck_version, use.drawn.units, use.all_warnings,
        balance=posted.balance if posted else ZERO, account_state=posted.state if posted else "",
    )  # fmt: skip


def _row(use: Metered, at: datetime) -> tuple[Cell, ...]:
    """The columns of records.ENDED_COLUMNS."""
    given, charge = use.use, use.charge
    return (
        use.record_id, use.item.id, given.providerno, use.account.id, State.ENDED.value, given.organization,
        given.application, given.summary, given.call.record_ref if given.call else "", use.start, use.finish,
        given.count, at, at, "", use.content, charge.cost, charge.currency, charge.charged_seconds, charge.count,
        use.drawn.units, charge.deck_version, ",".join(use.all_warnings), charge.explanation, given.estimated,
        use.posted.transfer_id if use.posted else None, charge.supplier.amount, charge.supplier.deck_version,
    )  # fmt: skip


def _change(use: Metered, at: datetime) -> dict[str, Any]:
    """The columns that ending a stored record sets."""
    given, charge, stored = use.use, use.charge, use.stored
    return {
        "id": use.record_id, "providerno": given.providerno or (stored.providerno if stored else ""),
        "organization": given.organization, "application": given.application, "summary": given.summary,
        "record_ref": given.call.record_ref if given.call else "", "start_at": use.start, "finish_at": use.finish,
        "count": given.count, "ended_at": at, "content": use.content, "cost": str(charge.cost),
        "currency": charge.currency, "charged_seconds": charge.charged_seconds, "charged_count": str(charge.count),
        "pack_units": str(use.drawn.units), "deck_version": charge.deck_version,
        "warnings": ",".join(use.all_warnings), "explanation": charge.explanation, "estimated": given.estimated,
        "transfer_id": use.posted.transfer_id if use.posted else None,
        "supplier_cost": None if charge.supplier.amount is None else str(charge.supplier.amount),
        "supplier_deck_version": charge.supplier.deck_version,
    }  # fmt: skip
