"""Accounts: opening them, reading them, their states and limits, and the system accounts on the other side."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from django.db import IntegrityError, connection, transaction

from billing_platform.auth import Caller
from billing_platform.outbox import NewEvent, record_events
from billing_platform.trail import record_act
from ledger.amounts import require_amount
from ledger.errors import AccountClosed, AccountNotFound, CauseConflict
from ledger.models import BillingAccount, LedgerAccount

Kind = BillingAccount.Kind
State = BillingAccount.State


@dataclass(frozen=True, slots=True)
class Account:
    """An account as stored now. Amounts in `currency`; available = balance − held + credit limit."""

    id: int
    accno: str
    kind: str
    name: str
    owner: str
    organization: str
    parent_accno: str
    currency: str
    balance: Decimal
    held: Decimal
    credit_limit: Decimal
    warning_threshold: Decimal
    state: str

    @property
    def available(self) -> Decimal:
        return self.balance - self.held + self.credit_limit


# Written out: asked for every batch, and the ORM takes longer to build the question than PostgreSQL to answer it.
_ACCOUNTS = """
    SELECT a.id, a.accno, a.kind, a.name, a.owner, a.organization, coalesce(p.accno, ''), a.currency, a.balance,
           a.held, a.credit_limit, a.warning_threshold, a.state
    FROM ledger_billingaccount a LEFT JOIN ledger_billingaccount p ON p.id = a.parent_id
"""


def accounts_where(condition: str, *values: object) -> list[Account]:
    """The accounts (`a`) that meet a constant condition; for the modules of this room."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTS + condition, values)  # type: ignore[arg-type]  # plain values
        return [Account(*row) for row in cursor.fetchall()]


def _first(found: list[Account]) -> Account | None:
    return found[0] if found else None


def open_account(
    *,
    kind: str,
    name: str,
    owner: str = "",
    organization: str = "",
    parent_id: int | None = None,
    currency: str = "CNY",
) -> Account:
    """The owner's account: opened now, or the one that is there. Balance 0, credit 0, state active.

    One personal account per owner; company accounts are one per (owner, name).
    Raises CauseConflict for a second personal account with another name.
    """
    found = _find_same(kind=kind, owner=owner, name=name)
    if found is None:
        try:
            with transaction.atomic():
                found = _insert_account(kind, name, owner, organization, parent_id, currency)
        except IntegrityError:  # opened by somebody else in this moment
            found = _find_same(kind=kind, owner=owner, name=name)
            assert found is not None
    if found.name != name:
        raise CauseConflict(fields=["name"])
    return found


def _find_same(*, kind: str, owner: str, name: str) -> Account | None:
    if kind == Kind.COMPANY:
        return _first(accounts_where("WHERE a.kind = 'company' AND a.owner = %s AND a.name = %s", owner, name))
    return find_personal_account(owner)


def _insert_account(
    kind: str, name: str, owner: str, organization: str, parent_id: int | None, currency: str
) -> Account:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('ledger_accno_seq')")
        accno = f"{'P' if kind == Kind.PERSONAL else 'C'}{cursor.fetchone()[0]:08d}"
    wallet = LedgerAccount.objects.create(code=f"wallet/{accno}", kind=LedgerAccount.Kind.WALLET, currency=currency)
    row = BillingAccount.objects.create(
        accno=accno, kind=kind, name=name, owner=owner, organization=organization, parent_id=parent_id,
        currency=currency, wallet=wallet,
    )  # fmt: skip
    return read_account(row.pk)


def find_account(accno: str) -> Account | None:
    """The account with this number, or None."""
    return _first(accounts_where("WHERE a.accno = %s", accno))


def load_account(accno: str) -> Account:
    """The account with this number. Raises AccountNotFound."""
    found = find_account(accno)
    if found is None:
        raise AccountNotFound
    return found


def find_accounts(accnos: Iterable[str]) -> dict[str, Account]:
    """The accounts with these numbers, by number; unknown ones are absent."""
    return {account.accno: account for account in accounts_where("WHERE a.accno = ANY(%s)", list(set(accnos)))}


def read_accounts(account_ids: Iterable[int]) -> dict[int, Account]:
    """The accounts with these ids, by id."""
    return {account.id: account for account in accounts_where("WHERE a.id = ANY(%s)", list(set(account_ids)))}


def read_account(account_id: int) -> Account:
    """The account with this id. Raises AccountNotFound."""
    found = _first(accounts_where("WHERE a.id = %s", account_id))
    if found is None:
        raise AccountNotFound
    return found


def find_personal_account(owner: str) -> Account | None:
    """The owner's personal account, or None."""
    return _first(accounts_where("WHERE a.kind = 'personal' AND a.owner = %s", owner))


def list_sub_accounts(parent_id: int) -> list[Account]:
    """The sub-accounts of an account, by number, at most 1,000."""
    return accounts_where("WHERE a.parent_id = %s ORDER BY a.accno LIMIT 1000", parent_id)


def set_limits(
    accno: str, *, credit_limit: Decimal, warning_threshold: Decimal, by: Caller | None = None, reason: str = ""
) -> Account:
    """Set credit limit and warning threshold, both ≥ 0; the state follows. Raises AccountNotFound, AccountClosed.

    `by` leaves an audit entry with `reason`.
    """
    for amount in (credit_limit, warning_threshold):
        if amount != 0:
            require_amount(amount)
        if amount < 0:
            raise ValueError(f"a limit is 0 or more: {amount!r}")
    with transaction.atomic():
        row = _lock(accno)
        before = _limits_of(row)
        row.credit_limit, row.warning_threshold = credit_limit, warning_threshold
        row.save(update_fields=["credit_limit", "warning_threshold"])
        if by is not None:
            target = "billingaccount", accno
            record_act(by, "account.limits", target=target, change=(before, _limits_of(row)), reason=reason)
        if row.state in {State.ACTIVE, State.OVERDRAWN}:
            _store_state(row, State.OVERDRAWN if row.balance < -credit_limit else State.ACTIVE)
    return read_account(row.pk)


def suspend_account(accno: str, *, by: Caller | None = None, reason: str = "") -> Account:
    """No new uses; money stays. Suspending twice is suspending once. Raises AccountNotFound, AccountClosed.

    `by` leaves an audit entry with `reason` when the state has changed; so it does below.
    """
    return _move(accno, State.SUSPENDED, act="suspend", by=by, reason=reason)


def resume_account(accno: str, *, by: Caller | None = None, reason: str = "") -> Account:
    """Back from suspension to active, or to overdrawn when the balance says so. Raises as suspend_account."""
    return _move(accno, State.ACTIVE, act="resume", by=by, reason=reason)


def close_account(accno: str, *, by: Caller | None = None, reason: str = "") -> Account:
    """Final; only at balance 0 without holds. Raises AccountNotFound, AccountClosed, CauseConflict."""
    return _move(accno, State.CLOSED, act="close", by=by, reason=reason)


def _move(accno: str, to: str, *, act: str, by: Caller | None, reason: str) -> Account:
    with transaction.atomic():
        row = _lock(accno)
        if to == State.ACTIVE and row.balance < -row.credit_limit:
            to = State.OVERDRAWN
        if to == State.CLOSED and (row.balance != 0 or row.held != 0):
            raise CauseConflict("only an empty account can be closed", fields=["balance", "held"])
        _store_state(row, to)
        if by is not None and row.state != to:
            change = {"state": row.state}, {"state": str(to)}
            record_act(by, f"account.{act}", target=("billingaccount", accno), change=change, reason=reason)
    return read_account(row.pk)


def _limits_of(row: BillingAccount) -> dict[str, str]:
    return {"credit_limit": f"{row.credit_limit:.6f}", "warning_threshold": f"{row.warning_threshold:.6f}"}


def _store_state(row: BillingAccount, to: str) -> None:
    """Write the state of a locked account and tell it when it is another one."""
    if row.state != to:
        BillingAccount.objects.filter(pk=row.pk).update(state=to)
        record_events([state_event(row.accno, organization=row.organization, state=to)])


def state_event(accno: str, *, organization: str, state: str) -> NewEvent:
    """What is told when an account has another state, in the transaction that changed it."""
    return NewEvent("account.state", organization, accno, {"accno": accno, "state": str(state)})


def _lock(accno: str) -> BillingAccount:
    row = BillingAccount.objects.select_for_update(no_key=True).filter(accno=accno).first()
    if row is None:
        raise AccountNotFound
    if row.state == State.CLOSED:
        raise AccountClosed
    return row


_system_ids: dict[tuple[str, str, str], int] = {}


def system_account_ids(wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Ids of system accounts by (`kind[:label]`, currency), made when missing.

    They never change, so the process keeps them, per database, once the transaction that read them has committed.
    """
    database = str(connection.settings_dict["NAME"])
    ids = {key: _system_ids[database, *key] for key in wanted if (database, *key) in _system_ids}
    for counterpart, currency in sorted(wanted - ids.keys()):  # one order, so that two first uses cannot deadlock
        kind = LedgerAccount.Kind(counterpart.partition(":")[0])
        account, _created = LedgerAccount.objects.get_or_create(
            code=f"{counterpart}/{currency}", defaults={"kind": kind, "currency": currency}
        )
        ids[counterpart, currency] = account.pk
        transaction.on_commit(partial(_system_ids.__setitem__, (database, counterpart, currency), account.pk))
    return ids
