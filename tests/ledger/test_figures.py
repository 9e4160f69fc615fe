"""What the metrics tell of the books: wallets, open holds, the sum of all accounts."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing_platform import clock
from billing_platform.runs import Run, VerificationMismatch
from ledger.accounts import suspend_account
from ledger.audit import verify_all
from ledger.figures import hold_readings, wallet_readings
from ledger.holds import place_hold, release_hold
from ledger.models import Hold
from tests.ledger_facts import LATER, funded_account
from tests.scraped import read_now, scraped

IMBALANCE = "billing_ledger_imbalance{currency=CNY}"


@pytest.mark.django_db
def test_wallets_are_told_by_state_also_those_that_nobody_has() -> None:
    before = read_now(wallet_readings())
    funded_account("10")
    suspend_account(funded_account("10").accno)

    now = read_now(wallet_readings())

    assert {state: now[state] - before[state] for state in now} == {
        "billing_wallets{state=active}": 1, "billing_wallets{state=overdrawn}": 0,
        "billing_wallets{state=suspended}": 1, "billing_wallets{state=closed}": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("fresh_database")
def test_holds_are_told_while_they_are_open() -> None:
    account = funded_account("10")
    none = read_now(hold_readings())
    with transaction.atomic():
        held = place_hold(account.id, amount=Decimal(4), reference="call", expires_at=LATER)
    clock.set_test_instant(Hold.objects.get().created_at + timedelta(minutes=5))
    open_now = read_now(hold_readings())
    clock.set_test_instant(None)
    with transaction.atomic():
        release_hold(held.hold_id, cause="cancelled")

    assert none == {"billing_holds_open": 0, "billing_hold_oldest_age_seconds": 0.0}
    assert open_now == {"billing_holds_open": 1, "billing_hold_oldest_age_seconds": 300.0}
    assert read_now(hold_readings()) == none


@pytest.mark.usefixtures("fresh_database")
def test_the_imbalance_is_what_a_wallet_has_too_much_and_0_again_when_it_is_mended() -> None:
    funded_account("10")

    def verified() -> float:
        run = Run(0, "verify_ledger", dry_run=False)
        try:
            verify_all(run)
        except VerificationMismatch:
            assert run.counts["invariant_1"] == 1
        return scraped()[IMBALANCE]

    def give(amount: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_billingaccount SET balance = balance + %s", [amount])

    clean = verified()
    give("2.5")
    wrong = verified()
    give("-2.5")

    assert (clean, wrong, verified()) == (0.0, 2.5, 0.0)
