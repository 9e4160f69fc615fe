"""A run that prices charges again dies between two of its transactions, after the first is committed."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from counter.committer import settle
from counter.metered import Submission
from counter.models import ReplacedCharge
from counter.uses import CallFacts, ServiceUse
from ledger import accounts, audit
from tests import cast
from tests.faults.supervisor import ROOT

CALLS, BATCH = 201, 200
FINISH = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


@pytest.mark.faults
@pytest.mark.usefixtures("fresh_database")
def test_killed_after_its_commit_it_charges_each_call_anew_once() -> None:
    acme = cast.make_account("acme", money="100.00")
    cast.make_item("voice", "by_deck", opened_for=(acme,))
    cast.make_deck("flat", "021,0.12,60,60")
    cast.make_deck("cheap", "021,0.10,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    settle([Submission(use(acme.accno, number)) for number in range(CALLS)])
    cast.price_by("cheap", label="voice", organization="acme")

    died = rerate(FAILPOINTS="counter.replacing.after_commit:kill9@1")

    assert (died.returncode, died.stdout) == (-signal.SIGKILL, ""), died.stderr
    assert ReplacedCharge.objects.count() == BATCH

    told = json.loads(rerate().stdout)

    assert told["counts"]["changed"] == CALLS - BATCH
    assert ReplacedCharge.objects.values("record_id").distinct().count() == ReplacedCharge.objects.count() == CALLS
    assert accounts.load_account(acme.accno).balance == Decimal(100) - CALLS * Decimal("0.10")
    assert [finding for finding in audit.verify() if finding.breaches] == []


def use(accno: str, number: int) -> ServiceUse:
    return ServiceUse(
        accno, "voice", f"use-{number}", start=FINISH - timedelta(seconds=60), finish=FINISH,
        call=CallFacts("13800000001", "02160001234", "direct"),
    )  # fmt: skip


def rerate(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "rerate", "--period", "2026-03", "--apply", "--skip-checks", "--format", "json"],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, check=False,
    )  # fmt: skip
