"""What the books say, for tests of every room: a fingerprint for refusals, the oracle for everything else."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from django.db import connection

from billing_platform import registry
from ledger.accounts import Account, open_account, read_account, set_limits
from ledger.audit import verify
from ledger.funding import Funding, top_up

NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
LATER = datetime(2099, 1, 1, tzinfo=UTC)
LEDGER_CHECKS = ("ledger.audit.ledger_findings",)
_FINGERPRINTED = {
    "ledger_billingaccount": "id, balance, held, credit_limit, state",
    "ledger_transfer": "id, account_id, debit_id, credit_id, amount",
    "ledger_transferkey": "cause_type, cause_id, cause_leg, transfer_id",
    "ledger_hold": "id, amount, state, expires_at",
    "ledger_holdresolution": "hold_id, outcome",
    "ledger_creditlot": "id, remaining",
    "ledger_lotconsumption": "id, amount",
}
_numbers = count(1)


def ledger_fingerprint() -> str:
    """Changes with every row of the books that is added, changed or gone: equal before and after a refusal."""
    digest = hashlib.sha256()
    with connection.cursor() as cursor:
        for table, columns in _FINGERPRINTED.items():
            cursor.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}")  # noqa: S608  constants above
            digest.update(repr((table, cursor.fetchall())).encode())
    return digest.hexdigest()


def broken_invariants(checks: Sequence[str] = registry.ORACLE_CHECKS) -> dict[int, tuple[str, ...]]:
    """Examples by broken invariant. Inside a test's own transaction the checks run without a snapshot of their own."""
    if connection.in_atomic_block:
        findings = [finding for check in registry.resolve(list(checks)) for finding in check()]
    else:
        findings = verify(checks)
    return {finding.invariant: finding.examples for finding in findings if finding.breaches}


def assert_books_clean(checks: Sequence[str] = registry.ORACLE_CHECKS) -> None:
    """The oracle finds nothing."""
    assert broken_invariants(checks) == {}


def funded_account(balance: str = "0", *, credit_limit: str = "0", organization: str = "acme") -> Account:
    """A company account of its own with this balance. Needs a database that commits, or a test's transaction."""
    number = next(_numbers)
    account = open_account(kind="company", name=f"Company {number}", owner=f"owner{number}", organization=organization)
    if Decimal(credit_limit):
        set_limits(account.accno, credit_limit=Decimal(credit_limit), warning_threshold=Decimal(0))
    if Decimal(balance):
        top_up(Funding(account.accno, Decimal(balance), "opening", NOON))
    return read_account(account.id)


def in_an_hour(instant: datetime = NOON) -> datetime:
    return instant + timedelta(hours=1)
