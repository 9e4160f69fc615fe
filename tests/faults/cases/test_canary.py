"""F64: a rule is broken from outside, on a database that is thrown away. An oracle that is silent then is worthless."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.clerk import Clerk, Tenant
from tests.faults.servers import TEMPLATE, Books, FaultServers
from tests.faults.workload import ANSWERED, REFUSED, UNKNOWN, Calls, Journal, changed
from tests.together import SHARED

pytestmark = pytest.mark.smoke

SECOND_TRANSFER = """
    CREATE TEMPORARY TABLE again AS SELECT * FROM ledger_transfer ORDER BY id LIMIT 1;
    UPDATE again SET id = id + 1000{change};
    INSERT INTO ledger_transfer SELECT * FROM again
"""
KEY_DROPPED = "ALTER TABLE ledger_transferkey DROP CONSTRAINT ledger_transferkey_pkey;" + SECOND_TRANSFER.format(
    change=""
)
LIMIT_UNGUARDED = "ALTER TABLE ledger_transfer DROP CONSTRAINT transfer_payment_fitted;" + SECOND_TRANSFER.format(
    change=", room_after = -0.000001"
)
BALANCE_EDITED = "UPDATE ledger_billingaccount SET balance = balance + 0.000001"
HELD_EDITED = "UPDATE ledger_billingaccount SET held = held + 0.000001"
KEYS_DELETED = """
    ALTER TABLE ledger_transferkey DISABLE TRIGGER append_only;
    DELETE FROM ledger_transferkey;
    ALTER TABLE ledger_transferkey ENABLE TRIGGER append_only
"""
TRIGGER_OFF = "ALTER TABLE ledger_transferkey DISABLE TRIGGER append_only"
RECORD = Calls("canary").record(1, seconds=61)
STORED = {("first", "canary-1"): [oracle.StoredRecord("1", "charged", Decimal("0.012346"), 61)]}


@pytest.fixture
def clerk(durable_servers: FaultServers) -> Clerk:
    @contextmanager
    def on_clones() -> Iterator[Clerk]:
        clerk = Clerk(durable_servers.environment(TEMPLATE, var_dir=durable_servers.directory))
        yield clerk
        clerk.dismiss()

    return SHARED.get("clerk of the canaries", on_clones)


@pytest.fixture
def books(durable_servers: FaultServers, clerk: Clerk) -> Iterator[Books]:
    name = durable_servers.clone()
    clerk.work_on(name)
    yield Books(durable_servers.url_of(name))
    durable_servers.drop(name)


def test_f64_untouched_books_are_clean(books: Books, clerk: Clerk) -> None:
    assert books.value("SELECT count(*) FROM ledger_transfer") == 1
    assert clerk.breaches() == {}


@pytest.mark.parametrize(
    ("breakage", "invariants"),
    [
        (KEY_DROPPED, {"1", "2", "4"}), (LIMIT_UNGUARDED, {"1", "2", "3", "4"}), (BALANCE_EDITED, {"1", "2"}),
        (HELD_EDITED, {"2"}), (KEYS_DELETED, {"4"}), (TRIGGER_OFF, {"11"}),
    ],
    ids=["key_dropped", "limit_unguarded", "balance_edited", "held_edited", "keys_deleted", "trigger_off"],
)  # fmt: skip
def test_f64_oracle_reports_broken_books(books: Books, clerk: Clerk, breakage: str, invariants: set[str]) -> None:
    books.change(breakage)

    assert set(clerk.breaches()) == invariants


def test_f64_answer_before_commit_is_found_by_the_journal(books: Books, tmp_path: Path) -> None:
    tenant, journal = Tenant("first", "", ""), Journal(tmp_path / "journal.jsonl")
    said = {"result": "accepted", "cdr_id": "1", "state": "charged", "cost": "0.012346"}
    journal.note(ANSWERED, tenant, RECORD, said)

    with pytest.raises(AssertionError, match="canary-1 was accepted and is stored 0 times"):
        oracle.reconcile(journal.entries(), books)
    with pytest.raises(AssertionError, match="call records: 0 of None CNY, accepted were 1"):
        oracle.check_charges(journal.entries(), books)


@pytest.mark.parametrize(
    ("event", "said", "complaint"),
    [
        (ANSWERED, {"result": "accepted", "cdr_id": "2", "cost": "0.012346"}, "was told id 2 and has 1"),
        (ANSWERED, {"result": "duplicate", "cdr_id": "1", "cost": "0.02"}, "was told cost 0.02 and has 0.012346"),
        (REFUSED, "validation", "was refused with validation and is stored"),
        (UNKNOWN, "no answer", "has no answer"),
    ],
    ids=["other_id", "other_cost", "refused", "unknown"],
)  # fmt: skip
def test_f64_other_receipts_are_found_by_the_journal(tmp_path: Path, event: str, said: object, complaint: str) -> None:
    tenant, journal = Tenant("first", "", ""), Journal(tmp_path / "journal.jsonl")

    journal.note(event, tenant, RECORD, said)

    assert oracle.complaints(journal.entries(), STORED) == [f"canary-1 {complaint}"]


def test_f64_other_content_is_found_by_the_journal(tmp_path: Path) -> None:
    tenant, journal = Tenant("first", "", ""), Journal(tmp_path / "journal.jsonl")

    journal.note(ANSWERED, tenant, changed(RECORD), {"result": "accepted", "cdr_id": "1", "cost": None})

    assert oracle.complaints(journal.entries(), STORED) == ["canary-1 was accepted with 68 s and has 61"]
