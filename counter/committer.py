"""Group commit of charges: what the threads of this process ask at the same time becomes one batch, answered alone.

Never waits for more than what is queued. A wallet locked elsewhere stops its own uses only; a row that the database
refuses is found by settling the batch item by item.
"""

import logging
from collections.abc import Sequence
from functools import partial

from django.conf import settings
from django.db import DatabaseError

from billing_platform import clock, metrics
from billing_platform.errors import Unavailable
from billing_platform.failpoints import failpoint
from billing_platform.gathering import Gatherer
from billing_platform.transactions import LOCK_TIMEOUT, PASSING, repeated, sqlstate
from counter import metering, starting
from counter.errors import CounterUnavailable, Invalid
from counter.metered import Outcome, Submission
from counter.records import Overtaken
from counter.uses import StartReceipt, UseRequest
from ledger.accounts import find_accounts
from ledger.posting import find_free_wallets

BATCH_MAX = 1000
THREADS = 2  # two batches overlap: one computes while the other waits for the disk
OVERTAKEN_MAX = 5
_log = logging.getLogger(__name__)


def _commit(groups: Sequence[Sequence[Submission]]) -> list[list[Outcome]]:
    """Settle the requests of several callers as one batch and hand each its own part."""
    submissions = [submission for group in groups for submission in group]
    metrics.counter_batch_size.observe(len(submissions))
    failpoint("counter.committer.before_commit")
    outcomes = iter(settle(submissions))
    failpoint("counter.committer.after_commit")
    return [[next(outcomes) for _ in group] for group in groups]


charges: Gatherer[Sequence[Submission], list[Outcome]] = Gatherer(
    "charges", _commit, weight_max=BATCH_MAX, threads=THREADS
)


def settle(submissions: Sequence[Submission]) -> list[Outcome]:
    """Settle a batch whatever one of its items does to it. Trouble is answered per item as CounterUnavailable."""
    try:
        return _end_repeatedly(submissions)
    except Unavailable:
        return [CounterUnavailable()] * len(submissions)
    except DatabaseError as error:
        if sqlstate(error) == LOCK_TIMEOUT:
            return _settle_free_wallets(submissions)
        _log.warning("a batch of %s was refused by the database (%s)", len(submissions), sqlstate(error))
        if len(submissions) == 1:
            return [Invalid("the database refuses these values")]
        return [outcome for submission in submissions for outcome in settle([submission])]


def _end_repeatedly(submissions: Sequence[Submission]) -> list[Outcome]:
    """Deadlocks and lost connections: the whole batch again - it begins by reading its keys."""
    return repeated(
        partial(_end, submissions),
        seconds=settings.COUNTER_RPC_TIMEOUT, passing=PASSING - {LOCK_TIMEOUT}, repeat_cut=True,
    )  # fmt: skip


def _end(submissions: Sequence[Submission]) -> list[Outcome]:
    for _ in range(OVERTAKEN_MAX):
        try:
            return metering.end_services(submissions, at=clock.now())
        except Overtaken:  # committed elsewhere in this moment: now it is there to be read
            continue
    raise Unavailable("the same use is being ended elsewhere")


def _settle_free_wallets(submissions: Sequence[Submission]) -> list[Outcome]:
    """A foreign transaction sits on a wallet: its uses are to be repeated later, all others are settled now."""
    accounts = find_accounts(submission.use.accno for submission in submissions)
    free = find_free_wallets(account.id for account in accounts.values())
    stuck = {account.accno for account in accounts.values() if account.id not in free}
    movable = [submission for submission in submissions if submission.use.accno not in stuck]
    try:
        settled = iter(_end_repeatedly(movable) if movable else [])
    except (Unavailable, DatabaseError):
        return [CounterUnavailable()] * len(submissions)
    return [CounterUnavailable() if submission.use.accno in stuck else next(settled) for submission in submissions]


def start_repeatedly(request: UseRequest, *, organizations: frozenset[str] | None) -> StartReceipt:
    """Start a use, again when the database could not decide or another start of the key was first.

    Raises the refusals of starting.start_service, CounterUnavailable.
    """
    try:
        return repeated(partial(_start, request, organizations), seconds=settings.COUNTER_RPC_TIMEOUT, repeat_cut=True)
    except Unavailable as trouble:
        raise CounterUnavailable from trouble


def _start(request: UseRequest, organizations: frozenset[str] | None) -> StartReceipt:
    for _ in range(OVERTAKEN_MAX):
        try:
            return starting.start_service(request, organizations=organizations, at=clock.now())
        except Overtaken:
            continue
    raise Unavailable("the same use is being started elsewhere")
