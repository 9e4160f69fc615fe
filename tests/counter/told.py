"""What callers tell the counter in these tests, and what the tests look at afterwards."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing_platform import clock
from billing_platform.auth import forget_keys
from counter import access, client, committer, items, metering, starting
from counter.audit import use_findings
from counter.errors import CounterError
from counter.keeping import expire_uses
from counter.metered import Submission
from counter.models import ServiceRecord
from counter.uses import CallFacts, ServiceUse, StartReceipt, UseReceipt, UseRequest
from ledger import accounts
from ledger.accounts import Account
from ledger.audit import ledger_findings
from ledger.models import Transfer
from rating import tariffs

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai, a Monday


def look_afresh() -> None:
    """What this process remembers comes from the test before."""
    items._cache.read_at = float("-inf")
    access._trees.clear()
    tariffs.refresh()
    forget_keys()
    client.forget_payers()


def breaches() -> list[Any]:
    """What the ledger's and this room's checks find wrong; outbox events may still be waiting here."""
    return [found for check in (ledger_findings, use_findings) for found in check() if found.breaches]


def stop_clock(at: datetime) -> None:
    """For this process; it runs again after the test."""
    clock.set_test_instant(at)


def expire_at(at: datetime) -> int:
    """Let the time of uses run out."""
    stop_clock(at)
    return expire_uses(at=at, limit=100)


def use(account: Account, label: str, providerno: str, seconds: int = 60, **more: Any) -> ServiceUse:
    """A use that ended just now and lasted so many seconds."""
    finish = more.pop("finish", clock.now())
    start = more.pop("start", None if finish is None else finish - timedelta(seconds=seconds))
    return ServiceUse(account.accno, label, providerno, start, finish, **more)


def call(called: str = "02160001234", **more: Any) -> CallFacts:
    return CallFacts(called=called, call_type="callback", **more)


def end(*uses: ServiceUse, organizations: frozenset[str] | None = None) -> list[Any]:
    """Each outcome: a receipt, or the code of the refusal."""
    outcomes = committer.settle([Submission(one, organizations) for one in uses])
    return [one if isinstance(one, UseReceipt) else one.code for one in outcomes]


def end_one(one: ServiceUse) -> UseReceipt:
    return metering.end_service(Submission(one), at=clock.now())


def start(account: Account, label: str, providerno: str, **more: Any) -> StartReceipt:
    request = UseRequest(account.accno, label, providerno, **more)
    return committer.start_repeatedly(request, organizations=None)


def refusal_of(function: Any, *arguments: Any, **more: Any) -> CounterError:
    """The refusal that a call ends in."""
    try:
        answer = function(*arguments, **more)
    except CounterError as refusal:
        return refusal
    raise AssertionError(f"not refused: {answer}")


def check(account: Account | str, label: str, **more: Any) -> tuple[bool, int, str]:
    accno = account if isinstance(account, str) else account.accno
    verdict = starting.check_service(UseRequest(accno, label, **more), organizations=None, at=clock.now())
    return verdict.usable, verdict.code, verdict.reason


def money(account: Account) -> tuple[str, str]:
    """Balance and held, as plain decimals."""
    now = accounts.load_account(account.accno)
    return f"{now.balance.normalize():f}", f"{now.held.normalize():f}"


def transfers_of_uses() -> list[Decimal]:
    rows = Transfer.objects.filter(cause_type__in=["use", "reversal"]).order_by("pk")
    return [amount if cause == "use" else -amount for amount, cause in rows.values_list("amount", "cause_type")]


def states() -> list[tuple[str, str]]:
    return list(ServiceRecord.objects.order_by("pk").values_list("providerno", "state"))
