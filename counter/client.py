"""The counter over the wire: the face for the rooms above. Kept channels, one deadline a question, no hidden repeats.

A refusal arrives as its own CounterError; trouble and deadlines as CounterUnavailable, which means *unknown*: repeat
the same content under the same key, or ask again. Gate questions share 2 s, charges have 10 s.
"""

import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import grpc
from django.conf import settings

from billing_platform.health import Part
from billing_platform.money import parse_amount
from counter.errors import REFUSALS, CounterError, CounterUnavailable, Invalid
from counter.payers import Answers, Payers
from counter.uses import (
    AccountFacts,
    CallFacts,
    Cancelled,
    PayerAsked,
    PayerFound,
    Quote,
    QuoteLine,
    ServiceUse,
    StartReceipt,
    UseReceipt,
    UseRequest,
    Verdict,
)  # fmt: skip
from protos import counter_pb2 as wire
from protos.counter_pb2_grpc import CounterServiceStub

GATE_SECONDS = 2.0
FIRST_TRY_SECONDS = 0.8  # at the gate, when there is a second address
CHARGE_SECONDS = 10.0
BATCH_MAX = 1000
BREAKER_FAILURES, BREAKER_WINDOW, PROBE_SECONDS = 5, 10.0, 1.0
UNKNOWN = frozenset({
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNIMPLEMENTED,  # a counter of an older release: it is about to be replaced
})  # fmt: skip


class _Line:
    """One counter address: its channel and a breaker that lets a single probe through while the counter is away."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.stub = CounterServiceStub(_channel(address))  # type: ignore[no-untyped-call]  # generated
        self.failures: list[float] = []
        self.open_until = 0.0

    def admits(self) -> bool:
        return time.monotonic() >= self.open_until

    def note(self, *, failed: bool) -> None:
        now = time.monotonic()
        if not failed:
            self.failures.clear()
            self.open_until = 0.0
            return
        self.failures = [at for at in self.failures if now - at < BREAKER_WINDOW] + [now]
        if len(self.failures) >= BREAKER_FAILURES:
            self.open_until = now + PROBE_SECONDS


_lines: list[_Line] = []
_lines_key: tuple[int, tuple[str, ...]] = (0, ())
_lines_lock = threading.Lock()
_until: ContextVar[float] = ContextVar("counter_until", default=math.inf)


def _channel(address: str) -> grpc.Channel:
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", 16 << 20),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 2000),  # for one attempt: who has just begun may be slow
        ("grpc.max_reconnect_backoff_ms", 1000),  # a counter that is back is found within a second
    ]
    if settings.COUNTER_TLS_CA:
        with open(settings.COUNTER_TLS_CA, "rb") as file:
            return grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()), options)
    return grpc.insecure_channel(address, options)


def _current_lines() -> list[_Line]:
    """The lines of this process (a channel must not cross a fork) to the addresses that the settings name now."""
    global _lines, _lines_key
    key = (os.getpid(), tuple(settings.COUNTER_ADDRESS))
    if key != _lines_key:
        with _lines_lock:
            if key != _lines_key:
                _lines, _lines_key = [_Line(address) for address in key[1]], key
    return _lines


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All questions of the block share these seconds, however many they are."""
    token = _until.set(min(time.monotonic() + seconds, _until.get()))
    try:
        yield
    finally:
        _until.reset(token)


def _ask(method: str, request: object, *, seconds: float) -> Any:
    """Ask the first line that admits; the next one only when nothing was reached. Raises CounterError."""
    until = min(time.monotonic() + seconds, _until.get())
    lines = [line for line in _current_lines() if line.admits()]
    for position, line in enumerate(lines):
        left = until - time.monotonic()
        last = position == len(lines) - 1
        try:
            answer = getattr(line.stub, method)(
                request, timeout=left if last else min(left, FIRST_TRY_SECONDS), metadata=_metadata()
            )
        except grpc.RpcError as error:
            refusal = _refusal(error)
            line.note(failed=refusal.retryable)
            if refusal.retryable and not last:
                continue
            raise refusal from error
        line.note(failed=False)
        return answer
    raise CounterUnavailable


def _metadata() -> list[tuple[str, str]]:
    return [("apikey", settings.COUNTER_API_KEY)] if settings.COUNTER_API_KEY else []


def _refusal(error: grpc.RpcError) -> CounterError:
    status = error.code()
    if status in UNKNOWN:
        return CounterUnavailable(error.details() or "")
    facts: dict[str, str] = {}
    for key, value in cast("Iterable[tuple[str, str]]", error.trailing_metadata() or ()):
        facts[key] = value
    refusal = REFUSALS.get(str(facts.get("x-reason", "")))
    if refusal is None:
        return Invalid(error.details() or status.name)
    state = {"state": str(facts["x-state"])} if "x-state" in facts else {}
    return refusal(error.details() or "", **state)


# --- questions --------------------------------------------------------------------------------------------------------


def query_account(
    *, organization: str = "", application: str = "", user: str = "", at: datetime | None = None
) -> AccountFacts:
    """The account that pays (at an instant). Raises AccountNotBound."""
    request = wire.QueryAccountRequest(
        userid=user, applicationid=application, organizationid=organization, at=_text(at)
    )
    answer = _ask("QueryAccount", request, seconds=GATE_SECONDS)
    _payers.hear(answer.directory)
    return _account_facts(answer)


def usable_service(accno: str, label: str, *, count: int = 1) -> Verdict:
    """May the service be used now? Raises AccountNotFound, ServiceUnknown, CounterUnavailable."""
    request = wire.UsableServiceRequest(accno=accno, label=label, count=count)
    answer = _ask("UsableService", request, seconds=GATE_SECONDS)
    return Verdict(answer.usable, answer.code, answer.reason, answer.detail)


def query_account_service(accno: str, label: str) -> Verdict:
    """The same as an in-band code: unknown accounts and labels answer too."""
    request = wire.QueryAccountServiceRequest(accno=accno, label=label)
    answer = _ask("QueryAccountService", request, seconds=GATE_SECONDS)
    return Verdict(answer.code == 0, answer.code, answer.reason, answer.detail)


def quote(request: UseRequest) -> Quote:
    """What start_service would say, without writing. Raises AccountNotFound, ServiceUnknown, CounterUnavailable."""
    question = wire.QuoteRequest(
        accno=request.accno, label=request.label, count=request.count, call=_call(request.call),
        start_time=_text(request.start), max_seconds=request.max_seconds, ring_timeout=request.ring_timeout,
        max_seconds_step=request.step,
    )  # fmt: skip
    answer = _ask("Quote", question, seconds=GATE_SECONDS)
    lines = tuple(
        QuoteLine(
            leg.leg, leg.number, leg.prefix, leg.carrier, leg.band, _amount(leg.price_exact), leg.increment_seconds,
            _amount(leg.connect_fee_exact),
        )
        for leg in answer.legs
    )  # fmt: skip
    return Quote(
        answer.allowed, answer.code, answer.reason, answer.detail, _amount(answer.price_exact),
        answer.increment_seconds, _amount(answer.connect_fee_exact), answer.currency, answer.max_seconds,
        answer.limit_reason, _amount(answer.hold_exact), _amount(answer.available_exact), lines, answer.deck_version,
        answer.charged_legs, tuple(answer.warnings),
    )  # fmt: skip


# --- uses -------------------------------------------------------------------------------------------------------------


def start_service(request: UseRequest) -> StartReceipt:
    """Hold money for a use that may begin. Raises the counter's refusals."""
    question = wire.StartServiceRequest(
        accno=request.accno, label=request.label, start_time=_text(request.start), count=request.count,
        providerno=request.providerno, summary=request.summary, application=request.application,
        organization=request.organization, expire=_text(request.expire), check_quota=request.check_quota,
        call=_call(request.call), max_seconds=request.max_seconds, ring_timeout=request.ring_timeout,
        max_seconds_step=request.step,
    )  # fmt: skip
    answer = _ask("StartService", question, seconds=GATE_SECONDS)
    expire = _instant(answer.expire)
    assert expire is not None
    return StartReceipt(
        answer.svcno, answer.record_id, expire, answer.max_seconds, answer.limit_reason, _amount(answer.hold_exact),
        _amount(answer.available_exact), answer.currency, answer.charged_legs, _amount(answer.pack_units_exact),
        answer.duplicate,
    )  # fmt: skip


def cancel_service(accno: str, label: str, *, providerno: str, reason: str = "") -> Cancelled:
    """Release what a started use holds. Raises RecordNotFound, ReferenceClosed when it was charged."""
    request = wire.CancelServiceRequest(accno=accno, label=label, providerno=providerno, reason=reason)
    answer = _ask("CancelService", request, seconds=GATE_SECONDS)
    return Cancelled(answer.svcno, answer.state, _amount(answer.released_exact), answer.currency, answer.duplicate)


def end_service(use: ServiceUse) -> UseReceipt:
    """Charge one use. Raises the refusal."""
    (outcome,) = end_services([use])
    if isinstance(outcome, CounterError):
        raise outcome
    return outcome


def end_services(uses: Sequence[ServiceUse], *, seconds: float = CHARGE_SECONDS) -> list[UseReceipt | CounterError]:
    """Charge up to 1,000 uses; each is answered alone, in order. Raises CounterUnavailable for the whole: unknown."""
    assert 0 < len(uses) <= BATCH_MAX
    answer = _ask("EndServices", wire.EndServicesRequest(items=map(_end_request, uses)), seconds=seconds)
    _payers.hear(answer.directory)
    return [_end_outcome(outcome) for outcome in answer.outcomes]


def _end_request(use: ServiceUse) -> wire.EndServiceRequest:
    if use.finish is None:
        raise ValueError("a use that has happened has an end: a late report must not bill its delay")
    return wire.EndServiceRequest(
        accno=use.accno, svcno=use.svcno, label=use.label, start_time=_text(use.start), finish_time=_text(use.finish),
        count=use.count, providerno=use.providerno, summary=use.summary, application=use.application,
        organization=use.organization, call=_call(use.call), estimated=use.estimated, rate_policy=use.rate_policy,
        correction=use.correction,
    )  # fmt: skip


def _end_outcome(outcome: wire.EndServiceOutcome) -> UseReceipt | CounterError:
    if outcome.status:
        return REFUSALS.get(outcome.reason, Invalid)(outcome.detail)
    answer = outcome.response
    start, finish = _instant(answer.start_time), _instant(answer.finish_time)
    assert start is not None
    assert finish is not None
    return UseReceipt(
        answer.svcno, answer.record_id, start, finish, _amount(answer.count_exact), _amount(answer.cost_exact),
        answer.currency, answer.charged_seconds, answer.deck_version, _amount(answer.pack_units_exact),
        tuple(answer.warnings), answer.duplicate, _amount(answer.balance_exact), answer.account_state,
    )  # fmt: skip


# --- who pays, remembered ---------------------------------------------------------------------------------------------


_payers = Payers()


def paying_account(organization: str, label: str, *, at: datetime) -> str:
    """The account that pays for an organisation's use at an instant: the first of account and sub-accounts that has
    the service open, else the bound account itself. Remembered for BILLING["ACCOUNT_CACHE_TTL"] seconds, and as long
    as the counter says that its directory has not moved.

    Raises AccountNotBound, CounterUnavailable.
    """
    (payer,) = paying_accounts([PayerAsked(organization, label, at)])
    if isinstance(payer, CounterError):
        raise payer
    return payer


def paying_accounts(asked: Sequence[PayerAsked]) -> list[str | CounterError]:
    """The same for up to 1,000 uses, asked for together; each is answered alone, in order.

    Raises CounterUnavailable for the whole.
    """
    return _payers.tell(asked, _ask_who_pays)


def _ask_who_pays(asked: Sequence[PayerAsked]) -> Answers:
    items = [
        wire.PayingAccountQuestion(organization=one.organization, label=one.label, at=_text(one.at)) for one in asked
    ]
    answer = _ask("PayingAccounts", wire.PayingAccountsRequest(items=items), seconds=GATE_SECONDS)
    return Answers([_payer_outcome(one) for one in answer.items], answer.directory)


def _payer_outcome(told: wire.PayingAccount) -> PayerFound | CounterError:
    if told.status:
        return REFUSALS.get(told.reason, Invalid)(told.detail)
    return PayerFound(told.accno, _instant(told.valid_from), _instant(told.valid_until))


def forget_payers() -> None:
    """Drop what this process remembers (a binding was changed here)."""
    _payers.forget()


def ready_part() -> Part:
    """Does a counter answer? For /readyz."""
    try:
        query_account_service("C00000000", "readiness")
    except CounterError as error:
        return Part("counter", ok=False, detail=error.code)
    return Part("counter", ok=True)


# --- values -----------------------------------------------------------------------------------------------------------


def _text(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _amount(text: str) -> Decimal:
    return parse_amount(text) if text else Decimal(0)


def _call(call: CallFacts | None) -> wire.CallFacts | None:
    if call is None:
        return None
    return wire.CallFacts(
        caller=call.caller, called=call.called, call_type=call.call_type, ring_time=_text(call.ring_at),
        agent_answer_time=_text(call.agent_answer_at), answered=call.answered, answer_basis=call.answer_basis,
        trunk=call.trunk, carrier=call.carrier, record_ref=call.record_ref,
    )  # fmt: skip


def _account_facts(answer: wire.AccountResponse) -> AccountFacts:
    kind = "company" if answer.kind == wire.AccountResponse.CO else "personal"
    return AccountFacts(
        answer.accno, answer.name, kind, answer.state, _amount(answer.balance_exact), _amount(answer.held_exact),
        _amount(answer.credit_exact), _amount(answer.warning_exact), _amount(answer.available_exact), answer.currency,
        answer.parent, _instant(answer.valid_from), _instant(answer.valid_until), answer.directory,
    )  # fmt: skip
