"""What beat and the operator start: sealing, verifying, expiring, making partitions."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from billing_platform import clock
from billing_platform.models import JobRun
from billing_platform.runs import AlreadyRunning, VerificationMismatch, job_run
from ledger.accounts import read_account
from ledger.funding import Funding, grant
from ledger.models import Seal
from ledger.tasks import expire_lots_task, make_partitions_task, seal_day_task, verify_recent_task
from tests.ledger_facts import NOON, funded_account

pytestmark = pytest.mark.usefixtures("fresh_database")


def move_to_yesterday() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE ledger_transfer SET created_at = created_at - interval '1 day'")
        cursor.execute("SET session_replication_role = origin")


def exit_code(*arguments: str) -> int:
    try:
        call_command(*arguments, stdout=StringIO())
    except SystemExit as end:
        return int(str(end.code))
    return 0


def test_yesterday_is_sealed_once_by_task_or_command() -> None:
    funded_account("10")
    move_to_yesterday()

    seal_day_task()
    again = exit_code("seal_ledger")

    assert (Seal.objects.get().rows, again) == (1, 0)
    runs = JobRun.objects.filter(job="seal_ledger").order_by("id")
    assert [run.counts for run in runs] == [{"sealed": 1}, {"sealed": 0}]


def test_seals_are_verified_with_0_or_6() -> None:
    funded_account("10")
    move_to_yesterday()
    seal_day_task()

    whole = exit_code("seal_ledger", "--verify")
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE ledger_transfer SET memo = 'nothing to see'")
        cursor.execute("SET session_replication_role = origin")

    assert (whole, exit_code("seal_ledger", "--verify")) == (0, 6)


def test_two_seal_runs_do_not_meet() -> None:
    with job_run("seal_ledger", exclusive=True), pytest.raises(AlreadyRunning):
        seal_day_task()


def test_recent_verification_leaves_its_watermark_and_raises_on_a_breach() -> None:
    account = funded_account("10")
    verify_recent_task()
    first = JobRun.objects.get(job="verify_ledger")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_billingaccount SET balance = 11 WHERE id = %s", [account.id])
    with pytest.raises(VerificationMismatch):
        verify_recent_task()

    assert (first.state, first.exit_code, first.counts["invariant_2"]) == ("done", 0, 0)
    assert abs(first.counts["clean_at"] - clock.now().timestamp()) < 60
    last = JobRun.objects.filter(job="verify_ledger").latest("id")
    assert (last.exit_code, last.counts["invariant_2"]) == (6, 1)


def test_expired_credit_goes_back() -> None:
    account = funded_account("10")
    grant(Funding(account.accno, Decimal(5), "gift", NOON), expires_at=clock.now() - timedelta(seconds=1))

    expire_lots_task()

    assert read_account(account.id).balance == 10


@pytest.fixture
def stop_clock() -> Iterator[Callable[[datetime], None]]:
    yield clock.set_test_instant
    clock.set_test_instant(None)


def test_partitions_are_there_already_on_a_new_database(stop_clock: Callable[[datetime], None]) -> None:
    default, *months = partitions()
    stop_clock(datetime.strptime(f"{months[0][-6:]}15+0800", "%Y%m%d%z"))  # in the month in which it was made

    make_partitions_task()

    assert (default, len(months)) == ("ledger_transfer_default", 4)  # that month and three ahead
    assert partitions() == [default, *months]


def partitions() -> list[str]:
    """Names, the default first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger_transfer'::regclass")
        return sorted((name for (name,) in cursor.fetchall()), key=lambda name: (name[-1].isdigit(), name))
