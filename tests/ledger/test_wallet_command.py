"""manage.py wallet: a dry run unless --apply, a guard rail above the limit, known exit codes."""

import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing_platform.models import AuditEntry, JobRun
from ledger.accounts import read_account
from ledger.models import CreditLot
from tests.ledger_facts import LEDGER_CHECKS, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.usefixtures("fresh_database")


def wallet(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON envelope."""
    out = StringIO()
    code = 0
    try:
        call_command("wallet", *arguments, "--format", "json", stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    return code, json.loads(out.getvalue())


def test_show_says_what_the_account_has() -> None:
    account = funded_account("12.5", credit_limit="3")

    code, envelope = wallet("show", account.accno)

    (shown,) = envelope["items"]
    assert (code, envelope["dry_run"]) == (0, False)
    assert (shown["accno"], shown["balance"], shown["available"]) == (account.accno, "12.500000", "15.500000")


def test_unknown_account_is_a_usage_error() -> None:
    code, envelope = wallet("show", "C99999999")

    assert (code, envelope["errors"][0]["code"]) == (2, "account_not_found")


def test_top_up_is_a_dry_run_unless_applied_and_posts_once() -> None:
    account = funded_account("1")
    arguments = ("top-up", account.accno, "20.5", "--reference", "bank 9", "--reason", "transfer slip")
    before = ledger_fingerprint()

    dry = wallet(*arguments)
    assert ledger_fingerprint() == before
    applied = wallet(*arguments, "--apply")
    again = wallet(*arguments, "--apply")

    assert (dry[0], dry[1]["dry_run"], dry[1]["items"][0]["after"]) == (0, True, "21.500000")
    assert (applied[0], applied[1]["amounts"], applied[1]["counts"]) == (0, {"CNY": "20.5"}, {"posted": 1})
    assert (again[0], again[1]["amounts"], again[1]["counts"]) == (0, {"CNY": "0"}, {"repeated": 1})
    assert read_account(account.id).balance == Decimal("21.5")
    assert AuditEntry.objects.get(act="account.top_up").reason == "transfer slip"
    assert JobRun.objects.filter(job="wallet", exit_code=0).count() == 3
    assert_books_clean(LEDGER_CHECKS)


def test_same_reference_with_another_amount_fails_and_moves_nothing() -> None:
    account = funded_account("1")
    wallet("top-up", account.accno, "20", "--reference", "bank 9", "--apply")
    before = ledger_fingerprint()

    code, envelope = wallet("top-up", account.accno, "21", "--reference", "bank 9", "--apply")

    assert (code, envelope["errors"][0]["code"]) == (3, "idempotency_conflict")
    assert ledger_fingerprint() == before


def test_adjustment_above_the_limit_wants_its_token() -> None:
    account = funded_account("5000")
    arguments = ("adjust", account.accno, "-1000.01", "--reference", "case 7", "--apply")
    before = ledger_fingerprint()

    code, envelope = wallet(*arguments)
    assert (code, envelope["errors"][0]["code"]) == (4, "guard_rail")
    assert ledger_fingerprint() == before
    token = envelope["errors"][0]["ref"].removeprefix("token=")
    confirmed, _ = wallet(*arguments, "--confirm", token)

    assert confirmed == 0
    assert read_account(account.id).balance == Decimal("3999.99")


def test_grant_makes_a_lot_that_ends() -> None:
    account = funded_account()

    code, _ = wallet(
        "grant", account.accno, "5", "--reference", "welcome", "--expires", "2099-01-01T00:00:00+08:00", "--apply"
    )

    lot = CreditLot.objects.get(account_id=account.id)
    assert (code, lot.remaining, lot.kind, lot.expires_at.isoformat()) == (0, 5, "gift", "2098-12-31T16:00:00+00:00")
    assert_books_clean(LEDGER_CHECKS)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["top-up", "{}", "1"], id="no reference"),
        pytest.param(["top-up", "{}", "--reference", "x"], id="no amount"),
        pytest.param(["top-up", "{}", "-1", "--reference", "x"], id="negative"),
        pytest.param(["top-up", "{}", "0", "--reference", "x"], id="nothing"),
    ],
)
def test_incomplete_orders_are_usage_errors(arguments: list[str]) -> None:
    account = funded_account("1")
    before = ledger_fingerprint()

    code, envelope = wallet(*(word.format(account.accno) for word in arguments), "--apply")

    assert (code, envelope["errors"][0]["code"]) == (2, "validation")
    assert ledger_fingerprint() == before


@pytest.mark.parametrize("amount", ["1.0000001", "1e3", "NaN", "1000000000000", "ten"])
def test_unreadable_amounts_are_refused_before_anything_runs(amount: str) -> None:
    account = funded_account("1")

    with pytest.raises(CommandError, match="amount"):
        wallet("top-up", account.accno, amount, "--reference", "x", "--apply")

    assert not JobRun.objects.exists()


def test_states_and_limits_change_only_when_applied() -> None:
    account = funded_account("1")

    wallet("suspend", account.accno)
    assert read_account(account.id).state == "active"
    suspended = wallet("suspend", account.accno, "--apply")[1]["items"][0]["state"]
    resumed = wallet("resume", account.accno, "--apply")[1]["items"][0]["state"]
    limited = wallet("limits", account.accno, "--credit-limit", "7", "--apply")[1]["items"][0]
    refused, _ = wallet("close", account.accno, "--apply")

    assert (suspended, resumed, refused) == ("suspended", "active", 3)
    assert (limited["credit_limit"], limited["warning_threshold"], limited["available"]) == (
        "7.000000", "0.000000", "8.000000",
    )  # fmt: skip


def test_much_credit_wants_its_token_and_every_change_leaves_a_trail() -> None:
    account = funded_account("1")
    arguments = ("limits", account.accno, "--credit-limit", "1000.01", "--reason", "large customer", "--apply")
    before = ledger_fingerprint()

    code, envelope = wallet(*arguments)
    assert (code, envelope["errors"][0]["code"]) == (4, "guard_rail")
    assert ledger_fingerprint() == before
    confirmed, _ = wallet(*arguments, "--confirm", envelope["errors"][0]["ref"].removeprefix("token="))
    wallet("suspend", account.accno, "--reason", "fraud", "--apply")

    assert confirmed == 0
    assert read_account(account.id).credit_limit == Decimal("1000.01")
    assert list(AuditEntry.objects.order_by("id").values_list("act", "reason")) == [
        ("account.limits", "large customer"), ("account.suspend", "fraud"),
    ]  # fmt: skip
