# ruff: noqa: S608  the canaries write SQL from ids of this test
"""ledger.audit: the oracle finds every rule that is broken from outside, and nothing in books that were kept."""

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from billing_platform import clock
from billing_platform.models import JobRun, OutboxEvent
from billing_platform.oracle import looking_since
from ledger import holds
from ledger.accounts import Account
from ledger.audit import verify
from ledger.funding import Funding, grant
from ledger.holds import place_hold, release_hold
from ledger.posting import NewTransfer, post_payment, post_transfers
from ledger.reversals import Reversal, reverse_transfers
from ledger.seals import day_of, seal_day
from tests.ledger_facts import LATER, LEDGER_CHECKS, NOON, broken_invariants, funded_account

pytestmark = pytest.mark.usefixtures("fresh_database")


def charge(account: Account, amount: str, cause: str) -> NewTransfer:
    return NewTransfer(account.id, -Decimal(amount), "revenue:voice", "fee", cause, NOON)


@pytest.fixture
def acme(fresh_database: object) -> Account:
    """Books with a bit of everything, clean: charges, a payment, a reversal, holds of every kind, a lot, an event."""
    account = funded_account("100")
    grant(Funding(account.accno, Decimal(5), "gift", NOON), expires_at=LATER)
    with transaction.atomic():
        (posted, _) = post_transfers([charge(account, "7", "call-1"), charge(account, "3", "call-2")])
        post_payment(charge(account, "10", "order-1"))
        reverse_transfers([Reversal(posted.transfer_id, "complaint", NOON, Decimal(2))])
        place_hold(account.id, amount=Decimal(4), reference="open", expires_at=LATER)
        released = place_hold(account.id, amount=Decimal(1), reference="released", expires_at=LATER)
        release_hold(released.hold_id, cause="cancelled")
    OutboxEvent.objects.create(
        topic="account.low_balance", subject=account.accno, payload={}, next_attempt_at=clock.now()
    )
    return account


def break_from_outside(*statements: str) -> None:
    """As the owner of the database: triggers and foreign keys are asleep, CHECKs are dropped by name."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
            assert statement.startswith("ALTER") or cursor.rowcount > 0, "the canary itself touched nothing"
        cursor.execute("SET session_replication_role = origin")


def test_kept_books_are_clean_and_every_invariant_is_told(acme: Account) -> None:
    findings = verify(LEDGER_CHECKS)

    assert [(finding.invariant, finding.breaches) for finding in findings] == [
        (invariant, 0) for invariant in (1, 2, 3, 4, 5, 10, 11, 12)
    ]


NO_FIT = "ALTER TABLE ledger_hold DROP CONSTRAINT hold_fitted"
COLUMNS = "account_id, debit_id, credit_id, amount, currency, cause_type, cause_id, effective_at"


@pytest.mark.parametrize(
    ("invariant", "statements"),
    [
        pytest.param(1, ["UPDATE ledger_billingaccount SET balance = balance + 1"], id="1 money made in a balance"),
        pytest.param(1, ["UPDATE ledger_transfer SET currency = 'USD' WHERE cause_id = 'call-2'"], id="1 currency"),
        pytest.param(
            1, ["UPDATE ledger_transfer SET credit_id = 987654 WHERE cause_id = 'call-2'"], id="1 no such side"
        ),
        pytest.param(2, ["UPDATE ledger_transfer SET amount = 4 WHERE cause_id = 'call-2'"], id="2 transfer changed"),
        pytest.param(2, ["DELETE FROM ledger_transfer WHERE cause_id = 'call-2'"], id="2 transfer lost"),
        pytest.param(2, ["UPDATE ledger_billingaccount SET held = held - 1"], id="2 held"),
        pytest.param(2, ["DELETE FROM ledger_hold WHERE state = 'open'"], id="2 hold lost"),
        pytest.param(2, ["UPDATE ledger_creditlot SET remaining = remaining + 1"], id="2 lot"),
        pytest.param(2, ["DELETE FROM ledger_lotconsumption WHERE amount > 0"], id="2 consumption lost"),
        pytest.param(
            2,
            [
                "UPDATE ledger_lotconsumption SET amount = amount + 10 WHERE amount > 0",
                "UPDATE ledger_creditlot SET granted = granted + 10",
            ],
            id="2 more drawn than charged",
        ),
        pytest.param(
            2, ["UPDATE ledger_creditlot SET granted = granted + 1, remaining = remaining + 1"], id="2 lot from nothing"
        ),
        pytest.param(3, [NO_FIT, "UPDATE ledger_hold SET room_after = -1 WHERE reference = 'open'"], id="3 hold"),
        pytest.param(
            3,
            [
                "ALTER TABLE ledger_transfer DROP CONSTRAINT transfer_payment_fitted",
                "UPDATE ledger_transfer SET room_after = -1 WHERE cause_id = 'order-1'",
            ],
            id="3 payment",
        ),
        pytest.param(3, ["UPDATE ledger_billingaccount SET state = 'overdrawn'"], id="3 state"),
        pytest.param(4, ["DELETE FROM ledger_transferkey WHERE cause_id = 'call-2'"], id="4 key lost"),
        pytest.param(4, ["UPDATE ledger_transferkey SET cause_id = 'x' WHERE cause_id = 'call-2'"], id="4 key changed"),
        pytest.param(4, ["UPDATE ledger_transferkey SET transfer_id = 1 WHERE cause_id = 'call-2'"], id="4 key moved"),
        pytest.param(4, ["DELETE FROM ledger_transfer WHERE cause_id = 'call-2'"], id="4 transfer lost"),
        pytest.param(4, ["UPDATE ledger_transfer SET amount = 8 WHERE reverses IS NOT NULL"], id="4 reversed too much"),
        pytest.param(5, ["DELETE FROM ledger_holdresolution"], id="5 no resolution"),
        pytest.param(5, ["UPDATE ledger_holdresolution SET outcome = 'captured'"], id="5 other outcome"),
        pytest.param(5, ["UPDATE ledger_hold SET state = 'open' WHERE reference = 'released'"], id="5 open again"),
        pytest.param(5, ["UPDATE ledger_hold SET expires_at = now() - interval '6 minutes'"], id="5 overdue"),
        pytest.param(11, ["ALTER TABLE ledger_transfer_default DISABLE TRIGGER append_only"], id="11 trigger off"),
        pytest.param(11, ["ALTER TABLE ledger_seal DISABLE TRIGGER ALL"], id="11 seals unguarded"),
        pytest.param(
            12,
            ["UPDATE billing_platform_outboxevent SET next_attempt_at = now() - interval '11 minutes'"],
            id="12 stuck",
        ),
        pytest.param(
            12,
            [
                "UPDATE billing_platform_outboxevent"
                " SET created_at = now() - interval '11 days', next_attempt_at = now()"
            ],
            id="12 too old",
        ),
    ],
)
def test_canary(acme: Account, invariant: int, statements: list[str]) -> None:
    assert broken_invariants(LEDGER_CHECKS) == {}

    break_from_outside(*statements)

    assert invariant in broken_invariants(LEDGER_CHECKS)


def test_money_between_two_organisations_is_found(acme: Account) -> None:
    echo = funded_account("1", organization="echo")

    break_from_outside(
        f"INSERT INTO ledger_transfer ({COLUMNS}) SELECT a.id, a.wallet_id, e.wallet_id, 1, 'CNY', 'use', 'leak', now()"
        f" FROM ledger_billingaccount a, ledger_billingaccount e WHERE a.id = {acme.id} AND e.id = {echo.id}"
    )

    assert f"between wallet/{acme.accno} and wallet/{echo.accno}" in broken_invariants(LEDGER_CHECKS)[10][0]


def test_transfer_booked_on_a_stranger_is_found(acme: Account) -> None:
    echo = funded_account("1", organization="echo")

    break_from_outside(f"UPDATE ledger_transfer SET account_id = {echo.id} WHERE cause_id = 'call-2'")

    assert 10 in broken_invariants(LEDGER_CHECKS)


def test_touched_day_is_found_by_its_seal(acme: Account) -> None:
    break_from_outside("UPDATE ledger_transfer SET created_at = '2026-01-05T00:00:00Z'")
    seal_day(day_of(clock.now().replace(2026, 1, 5, 0)), at=LATER)
    assert broken_invariants(LEDGER_CHECKS) == {}

    break_from_outside("UPDATE ledger_transfer SET memo = 'nothing to see' WHERE cause_id = 'call-2'")

    (example,) = broken_invariants(LEDGER_CHECKS)[11]
    assert example.startswith("seal of 2026-01-05: 6 rows")


def test_double_charge_is_found_when_the_last_line_of_defence_is_gone(acme: Account) -> None:
    break_from_outside("ALTER TABLE ledger_transferkey DROP CONSTRAINT ledger_transferkey_pkey")

    with transaction.atomic():
        (again,) = post_transfers([charge(acme, "3", "call-2")])

    assert not again.repeated
    assert set(broken_invariants(LEDGER_CHECKS)) == {4}


def test_hold_past_the_limit_is_found_when_the_guard_is_replaced(
    acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = holds._SET_ASIDE
    unguarded = guarded.replace("AND balance - held - expired.amount - %(amount)s >= -credit_limit", "")
    assert unguarded != guarded
    monkeypatch.setattr(holds, "_SET_ASIDE", unguarded)
    break_from_outside(NO_FIT)

    with transaction.atomic():
        place_hold(acme.id, amount=Decimal(1000), reference="greedy", expires_at=LATER)

    assert set(broken_invariants(LEDGER_CHECKS)) == {3}


def test_recent_check_finds_what_is_new_and_passes_by_what_was_covered(acme: Account) -> None:
    break_from_outside(
        "UPDATE ledger_transfer SET created_at = created_at - interval '1 hour'",
        "DELETE FROM ledger_transferkey WHERE cause_id = 'call-2'",
    )
    beta = funded_account("50")
    half_an_hour_ago = clock.now() - timedelta(minutes=30)

    with looking_since(half_an_hour_ago):
        assert broken_invariants(LEDGER_CHECKS) == {}
        break_from_outside(f"UPDATE ledger_billingaccount SET balance = 51 WHERE id = {beta.id}")
        assert set(broken_invariants(LEDGER_CHECKS)) == {2}

    assert set(broken_invariants(LEDGER_CHECKS)) == {1, 2, 4}


def test_examples_are_twenty_at_most_and_the_count_is_whole(acme: Account) -> None:
    with transaction.atomic():
        post_transfers([charge(acme, "0.1", f"many-{number}") for number in range(25)])

    break_from_outside("DELETE FROM ledger_transferkey WHERE cause_id LIKE 'many-%'")

    (finding,) = [finding for finding in verify(LEDGER_CHECKS) if finding.breaches]
    assert (finding.invariant, finding.breaches, len(finding.examples)) == (4, 25, 20)


def run_command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_ledger", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_command_ends_with_0_when_clean_and_6_when_not(acme: Account) -> None:
    clean_code, clean_text = run_command("--format", "json")
    recent_code, _ = run_command("--recent")
    break_from_outside("UPDATE ledger_billingaccount SET held = held + 1")
    broken_code, broken_text = run_command()
    broken_recent_code, _ = run_command("--recent")

    assert (clean_code, recent_code, broken_code, broken_recent_code) == (0, 0, 6, 6)
    items = {item["invariant"]: item["breaches"] for item in json.loads(clean_text)["items"]}
    assert {1, 2, 3, 4, 5, 10, 11, 12} <= items.keys()
    assert set(items.values()) == {0}
    assert f"invariant  2: 1\n    {acme.accno}: held 5.000000, open holds 4.000000\n" in broken_text
    assert "invariant  1: holds\n" in broken_text
    runs = JobRun.objects.filter(job="verify_ledger").order_by("id")
    assert [(run.state, run.exit_code, "clean_at" in run.counts) for run in runs] == [
        ("done", 0, True), ("done", 0, True), ("failed", 6, False), ("failed", 6, False),
    ]  # fmt: skip
