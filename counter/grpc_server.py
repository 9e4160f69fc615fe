"""The counter's gRPC door: parse, call one function, show the receipt."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

import grpc
import msgspec
from django.conf import settings

from billing_platform import clock
from billing_platform.money import amount_text
from counter import directory, keeping, resources, starting
from counter.access import Access
from counter.committer import charges, start_repeatedly
from counter.directory import Bound
from counter.errors import CounterError, Invalid
from counter.generation import directory_generation
from counter.metered import Outcome, Submission
from counter.parsing import (
    PROVIDERNO_BYTES,
    parse_accno,
    parse_count,
    parse_instant,
    parse_label,
    parse_quote,
    parse_text,
    parse_use,
    parse_use_request,
)  # fmt: skip
from counter.resources import Change, Occupied
from counter.serving import Running, answered, start_server
from counter.uses import NamedUse, PayerAsked, PayerFound, Quote, StartReceipt, UseReceipt, UseRequest
from protos import counter_pb2 as wire
from protos.counter_pb2_grpc import CounterServiceServicer, add_CounterServiceServicer_to_server

READ, USE, ADMIN = "counter:read", "counter:use", "counter:admin"
ITEMS_MAX = 1000
KINDS = {wire.CreateAccountRequest.PS: "personal", wire.CreateAccountRequest.CO: "company"}
Context = grpc.ServicerContext


class CounterServicer(CounterServiceServicer):
    """One method per call of the contract."""

    def CreateAccount(self, request: wire.CreateAccountRequest, context: Context) -> wire.AccountResponse:
        return answered("CreateAccount", context, ADMIN, partial(_create_account, request))

    def QueryAccount(self, request: wire.QueryAccountRequest, context: Context) -> wire.AccountResponse:
        return answered("QueryAccount", context, READ, partial(_query_account, request))

    def UsableService(self, request: wire.UsableServiceRequest, context: Context) -> wire.UsableServiceResponse:
        return answered("UsableService", context, READ, partial(_usable_service, request))

    def StartService(self, request: wire.StartServiceRequest, context: Context) -> wire.StartServiceResponse:
        return answered("StartService", context, USE, partial(_start_service, request))

    def EndService(self, request: wire.EndServiceRequest, context: Context) -> wire.EndServiceResponse:
        return answered("EndService", context, USE, partial(_end_service, request))

    def IncreaseResource(self, request: wire.ResourceRequest, context: Context) -> wire.ResourceResponse:
        return answered("IncreaseResource", context, USE, partial(_increase_resource, request))

    def ReduceResource(self, request: wire.ResourceRequest, context: Context) -> wire.ResourceResponse:
        return answered("ReduceResource", context, USE, partial(_reduce_resource, request))

    def KeepService(self, request: wire.KeepServiceRequest, context: Context) -> wire.KeepServiceResponse:
        return answered("KeepService", context, USE, partial(_keep_service, request))

    def QueryAccountService(
        self, request: wire.QueryAccountServiceRequest, context: Context
    ) -> wire.QueryAccountServiceResponse:
        return answered("QueryAccountService", context, READ, partial(_query_account_service, request))

    def QuerySubAccount(self, request: wire.QuerySubAccountRequest, context: Context) -> wire.QuerySubAccountResponse:
        return answered("QuerySubAccount", context, READ, partial(_query_sub_account, request))

    def EndServices(self, request: wire.EndServicesRequest, context: Context) -> wire.EndServicesResponse:
        return answered("EndServices", context, USE, partial(_end_services, request))

    def CancelService(self, request: wire.CancelServiceRequest, context: Context) -> wire.CancelServiceResponse:
        return answered("CancelService", context, USE, partial(_cancel_service, request))

    def Quote(self, request: wire.QuoteRequest, context: Context) -> wire.QuoteResponse:
        return answered("Quote", context, READ, partial(_quote, request))

    def PayingAccounts(self, request: wire.PayingAccountsRequest, context: Context) -> wire.PayingAccountsResponse:
        return answered("PayingAccounts", context, READ, partial(_paying_accounts, request))


def serve(addresses: list[str]) -> Running:
    """Start the counter on these addresses."""
    return start_server(partial(add_CounterServiceServicer_to_server, CounterServicer()), addresses)


# --- accounts ---------------------------------------------------------------------------------------------------------


def _create_account(request: wire.CreateAccountRequest, access: Access) -> wire.AccountResponse:
    owner, name = parse_text(request.owner, "owner"), parse_text(request.name, "name", bytes_max=200)
    if not owner or not name:
        raise Invalid("owner and name are needed", fields={"owner" if not owner else "name": "missing"})
    kind = KINDS.get(request.kind)
    if kind is None:
        raise Invalid("kind: unknown", fields={"kind": "unknown"})
    account = directory.create_account(owner=owner, kind=kind, name=name, organization=access.organization)
    return _account_reply(Bound(account, None, None))


def _query_account(request: wire.QueryAccountRequest, access: Access) -> wire.AccountResponse:
    generation = directory_generation()
    bound = directory.query_account(
        user=parse_text(request.userid, "userid"), application=parse_text(request.applicationid, "applicationid"),
        organization=parse_text(request.organizationid, "organizationid"),
        at=parse_instant(request.at, "at") or clock.now(), organizations=access.organizations,
    )  # fmt: skip
    reply = _account_reply(bound)
    reply.directory = generation
    return reply


def _query_sub_account(request: wire.QuerySubAccountRequest, access: Access) -> wire.QuerySubAccountResponse:
    generation = directory_generation()
    found = directory.query_sub_accounts(
        parse_accno(request.parent, "parent"), label=parse_text(request.label, "label"),
        at=parse_instant(request.at, "at") or clock.now(), organizations=access.organizations,
    )  # fmt: skip
    return wire.QuerySubAccountResponse(
        accounts=found.accnos, valid_from=_time(found.valid_from), valid_until=_time(found.valid_until),
        directory=generation,
    )  # fmt: skip


def _paying_accounts(request: wire.PayingAccountsRequest, access: Access) -> wire.PayingAccountsResponse:
    """Malformed questions are answered alone; all others together."""
    if not 0 < len(request.items) <= ITEMS_MAX:
        raise Invalid(f"1 to {ITEMS_MAX} items", fields={"items": "count"})
    generation = directory_generation()
    parsed = [_payer_asked(item) for item in request.items]
    asked = [one for one in parsed if isinstance(one, PayerAsked)]
    answers = iter(directory.find_payers(asked, organizations=access.organizations))
    replies = [_payer_reply(one if isinstance(one, CounterError) else next(answers)) for one in parsed]
    return wire.PayingAccountsResponse(items=replies, directory=generation)


def _payer_asked(item: wire.PayingAccountQuestion) -> PayerAsked | CounterError:
    try:
        return PayerAsked(
            parse_text(item.organization, "organization"), parse_label(item.label),
            parse_instant(item.at, "at") or clock.now(),
        )  # fmt: skip
    except CounterError as refusal:
        return refusal


def _payer_reply(answer: PayerFound | CounterError) -> wire.PayingAccount:
    if isinstance(answer, CounterError):
        status: int = getattr(grpc.StatusCode, answer.grpc_status).value[0]
        return wire.PayingAccount(status=status, reason=answer.code, detail=str(answer))
    return wire.PayingAccount(
        accno=answer.accno, valid_from=_time(answer.valid_from), valid_until=_time(answer.valid_until)
    )


def _account_reply(bound: Bound) -> wire.AccountResponse:
    account = bound.account
    return wire.AccountResponse(
        id=str(account.id), accno=account.accno, name=account.name, balance=_shown(account.balance),
        credit=_shown(account.credit_limit), warning=_shown(account.warning_threshold), state=account.state,
        kind=wire.AccountResponse.CO if account.kind == "company" else wire.AccountResponse.PS,
        balance_exact=_exact(account.balance), credit_exact=_exact(account.credit_limit),
        warning_exact=_exact(account.warning_threshold), held_exact=_exact(account.held),
        available_exact=_exact(account.available), currency=account.currency, parent=account.parent_accno,
        valid_from=_time(bound.valid_from), valid_until=_time(bound.valid_until),
    )  # fmt: skip


# --- before a use -----------------------------------------------------------------------------------------------------


def _usable_service(request: wire.UsableServiceRequest, access: Access) -> wire.UsableServiceResponse:
    asked = UseRequest(
        parse_accno(request.accno), parse_label(request.label), count=parse_count(request.count),
        check_quota=request.check_quota,
    )  # fmt: skip
    verdict = starting.check_service(asked, organizations=access.organizations, at=clock.now())
    return wire.UsableServiceResponse(
        usable=verdict.usable, code=verdict.code, reason=verdict.reason, detail=verdict.detail
    )


def _query_account_service(
    request: wire.QueryAccountServiceRequest, access: Access
) -> wire.QueryAccountServiceResponse:
    try:
        asked = UseRequest(parse_accno(request.accno), parse_label(request.label))
        verdict = starting.check_service(asked, organizations=access.organizations, at=clock.now())
    except CounterError as refusal:
        return wire.QueryAccountServiceResponse(code=refusal.billing_code, detail=str(refusal), reason=refusal.code)
    return wire.QueryAccountServiceResponse(code=verdict.code, detail=verdict.detail, reason=verdict.reason)


def _start_service(request: wire.StartServiceRequest, access: Access) -> wire.StartServiceResponse:
    asked, at = parse_use_request(request), clock.now()
    if request.usable:
        starting.require_service(asked, organizations=access.organizations, at=at)
        return wire.StartServiceResponse()
    if not asked.providerno:
        raise Invalid("providerno: missing", fields={"providerno": "missing"})
    return _start_reply(start_repeatedly(asked, organizations=access.organizations))


def _start_reply(receipt: StartReceipt) -> wire.StartServiceResponse:
    return wire.StartServiceResponse(
        svcno=receipt.svcno, expire=_time(receipt.expire), max_seconds=receipt.max_seconds,
        limit_reason=receipt.limit_reason, hold_exact=_exact(receipt.hold),
        available_exact=_exact(receipt.available), currency=receipt.currency, duplicate=receipt.duplicate,
        record_id=receipt.record_id, charged_legs=receipt.charged_legs,
        pack_units_exact=_exact(receipt.pack_units),
    )  # fmt: skip


def _quote(request: wire.QuoteRequest, access: Access) -> wire.QuoteResponse:
    asked = parse_quote(request)
    return _quote_reply(
        starting.quote_service(asked, organizations=access.organizations, at=asked.start or clock.now())
    )


def _quote_reply(quote: Quote) -> wire.QuoteResponse:
    legs = [
        wire.QuoteLeg(
            leg=line.leg, number=line.number, prefix=line.prefix, carrier=line.carrier, band=line.band,
            price_exact=_exact(line.price), increment_seconds=line.increment_seconds,
            connect_fee_exact=_exact(line.connect_fee),
        )
        for line in quote.lines
    ]  # fmt: skip
    return wire.QuoteResponse(
        allowed=quote.allowed, code=quote.code, reason=quote.reason, detail=quote.detail,
        price_exact=_exact(quote.price), increment_seconds=quote.increment_seconds,
        connect_fee_exact=_exact(quote.connect_fee), currency=quote.currency, max_seconds=quote.max_seconds,
        limit_reason=quote.limit_reason, hold_exact=_exact(quote.hold),
        available_exact=_exact(quote.available), legs=legs, deck_version=quote.deck_version,
        charged_legs=quote.charged_legs, warnings=quote.warnings,
    )  # fmt: skip


def _keep_service(request: wire.KeepServiceRequest, access: Access) -> wire.KeepServiceResponse:
    svcno, expire = keeping.keep_service(
        parse_accno(request.accno), parse_label(request.label),
        providerno=parse_text(request.providerno, "providerno", bytes_max=PROVIDERNO_BYTES),
        expire=parse_instant(request.expire, "expire"), organizations=access.organizations, at=clock.now(),
    )  # fmt: skip
    return wire.KeepServiceResponse(svcno=svcno, expire=_time(expire))


def _cancel_service(request: wire.CancelServiceRequest, access: Access) -> wire.CancelServiceResponse:
    named = NamedUse(
        parse_accno(request.accno), parse_text(request.label, "label"),
        parse_text(request.providerno, "providerno", bytes_max=PROVIDERNO_BYTES),
        parse_text(request.svcno, "svcno", bytes_max=32),
    )  # fmt: skip
    cancelled = starting.cancel_service(
        named, reason=parse_text(request.reason, "reason", bytes_max=200), organizations=access.organizations,
        at=clock.now(),
    )  # fmt: skip
    return wire.CancelServiceResponse(
        svcno=cancelled.svcno, state=cancelled.state, released_exact=_exact(cancelled.released),
        currency=cancelled.currency, duplicate=cancelled.duplicate,
    )  # fmt: skip


# --- after a use ------------------------------------------------------------------------------------------------------


def _end_service(request: wire.EndServiceRequest, access: Access) -> wire.EndServiceResponse:
    (outcome,) = _charge([_submission(request, access)])
    if isinstance(outcome, CounterError):
        raise outcome
    return _end_reply(outcome)


def _end_services(request: wire.EndServicesRequest, access: Access) -> wire.EndServicesResponse:
    """Malformed items are answered alone; all others are settled together."""
    if not 0 < len(request.items) <= ITEMS_MAX:
        raise Invalid(f"1 to {ITEMS_MAX} items", fields={"items": "count"})
    parsed = [_parsed(item, access) for item in request.items]
    settled = iter(_charge([one for one in parsed if isinstance(one, Submission)]))
    outcomes = [one if isinstance(one, CounterError) else next(settled) for one in parsed]
    replies = [_outcome_reply(index, one) for index, one in enumerate(outcomes)]
    return wire.EndServicesResponse(outcomes=replies, directory=directory_generation())


def _parsed(item: wire.EndServiceRequest, access: Access) -> Submission | CounterError:
    try:
        return _submission(item, access)
    except CounterError as refusal:
        return refusal


def _submission(request: wire.EndServiceRequest, access: Access) -> Submission:
    use = parse_use(request)
    if use.correction:
        access.require(ADMIN)
    return Submission(use, access.organizations)


def _charge(submissions: Sequence[Submission]) -> list[Outcome]:
    if not submissions:
        return []
    return charges.submit(submissions, weight=len(submissions), timeout=settings.COUNTER_RPC_TIMEOUT)


def _outcome_reply(index: int, outcome: Outcome) -> wire.EndServiceOutcome:
    if isinstance(outcome, UseReceipt):
        return wire.EndServiceOutcome(index=index, response=_end_reply(outcome))
    status: int = getattr(grpc.StatusCode, outcome.grpc_status).value[0]
    return wire.EndServiceOutcome(
        index=index, status=status, code=outcome.billing_code, reason=outcome.code, detail=str(outcome),
        retryable=outcome.retryable,
    )  # fmt: skip


def _end_reply(receipt: UseReceipt) -> wire.EndServiceResponse:
    return wire.EndServiceResponse(
        svcno=receipt.svcno, start_time=_time(receipt.start), finish_time=_time(receipt.finish),
        count=_shown(receipt.count), cost=_shown(receipt.cost), cost_exact=_exact(receipt.cost),
        count_exact=_exact(receipt.count), currency=receipt.currency, duplicate=receipt.duplicate,
        record_id=receipt.record_id, balance_exact=_exact(receipt.balance), account_state=receipt.account_state,
        deck_version=receipt.deck_version, warnings=receipt.warnings, charged_seconds=receipt.charged_seconds,
        pack_units_exact=_exact(receipt.pack_units),
    )  # fmt: skip


# --- resources --------------------------------------------------------------------------------------------------------


def _increase_resource(request: wire.ResourceRequest, access: Access) -> wire.ResourceResponse:
    change = _change(request, access)
    return _occupied_reply(resources.increase(change, organizations=access.organizations, at=clock.now()))


def _reduce_resource(request: wire.ResourceRequest, access: Access) -> wire.ResourceResponse:
    change = _change(request, access)
    return _occupied_reply(resources.reduce(change, organizations=access.organizations, at=clock.now()))


def _change(request: wire.ResourceRequest, access: Access) -> Change:
    """`exact_total` can say 0; `total` 0 means not given."""
    total = request.exact_total if request.HasField("exact_total") else (request.total or None)
    if total is not None and total < 0:
        raise Invalid("total: negative", fields={"total": "negative"})
    return Change(
        parse_accno(request.accno), parse_label(request.label), parse_count(request.count), total,
        parse_text(request.request_id, "request_id", bytes_max=128), access.actor,
    )  # fmt: skip


def _occupied_reply(occupied: Occupied) -> wire.ResourceResponse:
    return wire.ResourceResponse(usage=occupied.usage, limits=occupied.limits, duplicate=occupied.duplicate)


# --- values -----------------------------------------------------------------------------------------------------------


def _time(at: datetime | None) -> str:
    """As isoformat() gives it, in an eighth of the time."""
    return msgspec.to_builtins(at).replace("Z", "+00:00") if at is not None else ""


def _exact(amount: Decimal) -> str:
    """Plain digits without needless zeros, so that a stored answer reads like the first one."""
    if not amount:
        return "0"
    text = amount_text(amount)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shown(amount: Decimal) -> float:
    """For the contract's float32 fields, which are display only."""
    return float(amount)
