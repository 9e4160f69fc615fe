"""Charging records at the counter: one batch, one question; each record takes its own answer.

The charge key is fixed before the first attempt, the times come from the record: the same question may be asked any
number of times and late, the answer is the same. What the counter did not answer stays pending, and due at once.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from billing_platform.failpoints import failpoint
from billing_platform.logs import masked_number
from cdr.figures import count_attempts
from cdr.judging import Service, send_to_review, service_items
from cdr.records import CHARGED, PENDING, REVIEW, CallRow
from cdr.schedule import CHINA, next_attempt
from counter import client
from counter.errors import CounterError, CounterUnavailable
from counter.uses import CallFacts, PayerAsked, ServiceUse, UseReceipt, UseRequest

LEAST_SECONDS = 0.05  # with less left of the budget the counter is not asked at all
_log = logging.getLogger(__name__)


def charge_records(rows: Sequence[CallRow], *, at: datetime, seconds: float) -> None:
    """Charge the pending rows among these within `seconds`; what is not answered in time stays pending."""
    until = time.monotonic() + seconds
    pending = [row for row in rows if row.state == PENDING]
    due = _with_account(pending, until=until)
    asked = due and _ask(due, at=at, until=until)
    count_attempts(row for row in pending if row.state == REVIEW or (asked and row.accno))


def _ask(due: Sequence[CallRow], *, at: datetime, until: float) -> bool:
    """Ask for these and write the answers into them. False where no time is left to ask."""
    left = until - time.monotonic()
    if left < LEAST_SECONDS:
        return False
    services = service_items()
    uses = [use_of(row, services) for row in due]
    failpoint("cdr.charging.before_counter")
    try:
        outcomes = client.end_services(uses, seconds=min(left, client.CHARGE_SECONDS))
    except CounterUnavailable as away:
        for row in due:
            row.bill_error = f"{away.code}: {away.detail}"[:300]
        return True
    failpoint("cdr.charging.after_counter")
    for row, use, outcome in zip(due, uses, outcomes, strict=True):
        apply_outcome(row, use, outcome, at=at)
    return True


def quoted_amount(row: CallRow) -> tuple[Decimal | None, str]:
    """What the call would cost at the price of its start, and the currency; None when the counter quotes nothing.

    Whole increments at the quoted price; bands, tiers and package units may make the charge a different one.
    """
    if not (row.label and _with_account([row], until=time.monotonic() + client.GATE_SECONDS)):
        return None, ""
    use = use_of(row, service_items())
    try:
        quote = client.quote(UseRequest(row.accno, row.label, row.charge_key, start=use.start, call=use.call))
    except CounterError:
        return None, ""
    increments = -(-row.billable_seconds // max(1, quote.increment_seconds))
    return quote.connect_fee + quote.price * increments, quote.currency


def use_of(row: CallRow, services: Mapping[str, Service]) -> ServiceUse:
    """The use that the counter is told about. Times are cut to whole seconds, as the billable seconds are."""
    start = (row.answer_time or row.start_time).replace(microsecond=0)
    finish = (row.end_time or start).replace(microsecond=0)
    call = CallFacts(
        row.caller, row.called, row.call_type, None, row.a_answer_time, row.is_answered, row.answer_basis, row.trunk,
        row.carrier, str(row.id),
    )  # fmt: skip
    service = services.get(row.call_type)
    summary = _summary(row, start, name=service[1] if service is not None else row.label)
    return ServiceUse(row.accno, row.label, row.charge_key, start, finish, 1, "", summary, "", row.organization, call)


def apply_outcome(row: CallRow, use: ServiceUse, outcome: UseReceipt | CounterError, *, at: datetime) -> None:
    """Write the counter's answer into the row: charged, due again, or for review."""
    row.bill_attempts += 1
    if isinstance(outcome, UseReceipt) and outcome.cost >= 0 and outcome.finish == use.finish:
        _take_receipt(row, outcome, at=at)
    elif isinstance(outcome, UseReceipt):
        _log.error("the counter's answer to %s is not what was asked: not applied", use.providerno)
        row.bill_error, row.next_bill_at = "answer_implausible: not applied", next_attempt(row.bill_attempts, at=at)
    elif outcome.retryable:
        row.bill_error = f"{outcome.code}: {outcome.detail}"[:300]
        row.next_bill_at = next_attempt(row.bill_attempts, at=at)
    else:
        send_to_review(row, outcome.code, outcome.detail or str(outcome.title))


def _take_receipt(row: CallRow, receipt: UseReceipt, *, at: datetime) -> None:
    row.state, row.billed, row.billed_at = CHARGED, True, at
    row.bill_error, row.next_bill_at = "", None
    row.cost, row.currency = receipt.cost, receipt.currency
    row.svcno, row.service_record_id = receipt.svcno, int(receipt.record_id)
    if receipt.warnings:
        row.warnings = ",".join(filter(None, (row.warnings, *receipt.warnings)))[:300]


def _with_account(rows: Sequence[CallRow], *, until: float) -> list[CallRow]:
    """Those of which it is known who pays. Our own calls bring the account that holds for them; the others' are asked
    for together."""
    unknown = [row for row in rows if not row.accno]
    left = until - time.monotonic()
    if unknown and left > 0:
        with client.within(left):
            for row, payer in zip(unknown, _payers_of(unknown), strict=True):
                _take_payer(row, payer)
    return [row for row in rows if row.accno]


def _payers_of(rows: Sequence[CallRow]) -> Sequence[str | CounterError]:
    try:
        return client.paying_accounts([PayerAsked(row.organization, row.label, row.start_time) for row in rows])
    except CounterError as refusal:
        return [refusal] * len(rows)


def _take_payer(row: CallRow, payer: str | CounterError) -> None:
    if isinstance(payer, str):
        row.accno = payer
    elif isinstance(payer, CounterUnavailable):
        row.bill_error = f"{payer.code}: {payer.detail}"[:300]
    else:
        row.bill_attempts += 1
        send_to_review(row, payer.code, payer.detail or str(payer.title))


def _summary(row: CallRow, start: datetime, *, name: str) -> str:
    """For people who read an account's uses: who called whom, how long, when, who pays."""
    at = start.astimezone(CHINA).isoformat(" ", "seconds")[:19]
    return f"{name} {row.caller}→{masked_number(row.called)} {row.billable_seconds}s {at} {row.accno}"
