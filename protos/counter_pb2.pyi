from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateAccountRequest(_message.Message):
    __slots__ = ("owner", "kind", "name")
    class KindType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PS: _ClassVar[CreateAccountRequest.KindType]
        CO: _ClassVar[CreateAccountRequest.KindType]
    PS: CreateAccountRequest.KindType
    CO: CreateAccountRequest.KindType
    OWNER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    owner: str
    kind: CreateAccountRequest.KindType
    name: str
    def __init__(self, owner: _Optional[str] = ..., kind: _Optional[_Union[CreateAccountRequest.KindType, str]] = ..., name: _Optional[str] = ...) -> None: ...

class AccountResponse(_message.Message):
    __slots__ = ("id", "accno", "name", "balance", "credit", "warning", "state", "kind", "balance_exact", "credit_exact", "warning_exact", "held_exact", "available_exact", "currency", "parent", "valid_from", "valid_until", "directory")
    class KindType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PS: _ClassVar[AccountResponse.KindType]
        CO: _ClassVar[AccountResponse.KindType]
    PS: AccountResponse.KindType
    CO: AccountResponse.KindType
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BALANCE_EXACT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_EXACT_FIELD_NUMBER: _ClassVar[int]
    WARNING_EXACT_FIELD_NUMBER: _ClassVar[int]
    HELD_EXACT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_EXACT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    id: str
    accno: str
    name: str
    balance: float
    credit: float
    warning: float
    state: str
    kind: AccountResponse.KindType
    balance_exact: str
    credit_exact: str
    warning_exact: str
    held_exact: str
    available_exact: str
    currency: str
    parent: str
    valid_from: str
    valid_until: str
    directory: str
    def __init__(self, id: _Optional[str] = ..., accno: _Optional[str] = ..., name: _Optional[str] = ..., balance: _Optional[float] = ..., credit: _Optional[float] = ..., warning: _Optional[float] = ..., state: _Optional[str] = ..., kind: _Optional[_Union[AccountResponse.KindType, str]] = ..., balance_exact: _Optional[str] = ..., credit_exact: _Optional[str] = ..., warning_exact: _Optional[str] = ..., held_exact: _Optional[str] = ..., available_exact: _Optional[str] = ..., currency: _Optional[str] = ..., parent: _Optional[str] = ..., valid_from: _Optional[str] = ..., valid_until: _Optional[str] = ..., directory: _Optional[str] = ...) -> None: ...

class QueryAccountRequest(_message.Message):
    __slots__ = ("userid", "applicationid", "organizationid", "at")
    USERID_FIELD_NUMBER: _ClassVar[int]
    APPLICATIONID_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATIONID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    userid: str
    applicationid: str
    organizationid: str
    at: str
    def __init__(self, userid: _Optional[str] = ..., applicationid: _Optional[str] = ..., organizationid: _Optional[str] = ..., at: _Optional[str] = ...) -> None: ...

class UsableServiceRequest(_message.Message):
    __slots__ = ("accno", "label", "count", "check_quota")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CHECK_QUOTA_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    count: int
    check_quota: bool
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ..., count: _Optional[int] = ..., check_quota: _Optional[bool] = ...) -> None: ...

class UsableServiceResponse(_message.Message):
    __slots__ = ("usable", "code", "reason", "detail")
    USABLE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    usable: bool
    code: int
    reason: str
    detail: str
    def __init__(self, usable: _Optional[bool] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class CallFacts(_message.Message):
    __slots__ = ("caller", "called", "call_type", "ring_time", "agent_answer_time", "answered", "answer_basis", "trunk", "carrier", "record_ref")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    CALL_TYPE_FIELD_NUMBER: _ClassVar[int]
    RING_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_ANSWER_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_BASIS_FIELD_NUMBER: _ClassVar[int]
    TRUNK_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    RECORD_REF_FIELD_NUMBER: _ClassVar[int]
    caller: str
    called: str
    call_type: str
    ring_time: str
    agent_answer_time: str
    answered: bool
    answer_basis: str
    trunk: str
    carrier: str
    record_ref: str
    def __init__(self, caller: _Optional[str] = ..., called: _Optional[str] = ..., call_type: _Optional[str] = ..., ring_time: _Optional[str] = ..., agent_answer_time: _Optional[str] = ..., answered: _Optional[bool] = ..., answer_basis: _Optional[str] = ..., trunk: _Optional[str] = ..., carrier: _Optional[str] = ..., record_ref: _Optional[str] = ...) -> None: ...

class StartServiceRequest(_message.Message):
    __slots__ = ("accno", "label", "start_time", "count", "providerno", "summary", "application", "organization", "expire", "usable", "check_quota", "call", "max_seconds", "ring_timeout", "max_seconds_step")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDERNO_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    CHECK_QUOTA_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RING_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_STEP_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    start_time: str
    count: int
    providerno: str
    summary: str
    application: str
    organization: str
    expire: str
    usable: bool
    check_quota: bool
    call: CallFacts
    max_seconds: int
    ring_timeout: int
    max_seconds_step: int
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ..., start_time: _Optional[str] = ..., count: _Optional[int] = ..., providerno: _Optional[str] = ..., summary: _Optional[str] = ..., application: _Optional[str] = ..., organization: _Optional[str] = ..., expire: _Optional[str] = ..., usable: _Optional[bool] = ..., check_quota: _Optional[bool] = ..., call: _Optional[_Union[CallFacts, _Mapping]] = ..., max_seconds: _Optional[int] = ..., ring_timeout: _Optional[int] = ..., max_seconds_step: _Optional[int] = ...) -> None: ...

class StartServiceResponse(_message.Message):
    __slots__ = ("svcno", "expire", "max_seconds", "limit_reason", "hold_exact", "available_exact", "currency", "duplicate", "record_id", "charged_legs", "pack_units_exact")
    SVCNO_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_REASON_FIELD_NUMBER: _ClassVar[int]
    HOLD_EXACT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_EXACT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    CHARGED_LEGS_FIELD_NUMBER: _ClassVar[int]
    PACK_UNITS_EXACT_FIELD_NUMBER: _ClassVar[int]
    svcno: str
    expire: str
    max_seconds: int
    limit_reason: str
    hold_exact: str
    available_exact: str
    currency: str
    duplicate: bool
    record_id: str
    charged_legs: str
    pack_units_exact: str
    def __init__(self, svcno: _Optional[str] = ..., expire: _Optional[str] = ..., max_seconds: _Optional[int] = ..., limit_reason: _Optional[str] = ..., hold_exact: _Optional[str] = ..., available_exact: _Optional[str] = ..., currency: _Optional[str] = ..., duplicate: _Optional[bool] = ..., record_id: _Optional[str] = ..., charged_legs: _Optional[str] = ..., pack_units_exact: _Optional[str] = ...) -> None: ...

class EndServiceRequest(_message.Message):
    __slots__ = ("accno", "svcno", "label", "start_time", "finish_time", "count", "providerno", "summary", "application", "organization", "call", "estimated", "rate_policy", "correction")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    SVCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDERNO_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    RATE_POLICY_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    accno: str
    svcno: str
    label: str
    start_time: str
    finish_time: str
    count: int
    providerno: str
    summary: str
    application: str
    organization: str
    call: CallFacts
    estimated: bool
    rate_policy: str
    correction: str
    def __init__(self, accno: _Optional[str] = ..., svcno: _Optional[str] = ..., label: _Optional[str] = ..., start_time: _Optional[str] = ..., finish_time: _Optional[str] = ..., count: _Optional[int] = ..., providerno: _Optional[str] = ..., summary: _Optional[str] = ..., application: _Optional[str] = ..., organization: _Optional[str] = ..., call: _Optional[_Union[CallFacts, _Mapping]] = ..., estimated: _Optional[bool] = ..., rate_policy: _Optional[str] = ..., correction: _Optional[str] = ...) -> None: ...

class EndServiceResponse(_message.Message):
    __slots__ = ("svcno", "start_time", "finish_time", "count", "cost", "cost_exact", "count_exact", "currency", "duplicate", "record_id", "balance_exact", "account_state", "deck_version", "warnings", "charged_seconds", "pack_units_exact")
    SVCNO_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    COST_EXACT_FIELD_NUMBER: _ClassVar[int]
    COUNT_EXACT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_EXACT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_STATE_FIELD_NUMBER: _ClassVar[int]
    DECK_VERSION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CHARGED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PACK_UNITS_EXACT_FIELD_NUMBER: _ClassVar[int]
    svcno: str
    start_time: str
    finish_time: str
    count: float
    cost: float
    cost_exact: str
    count_exact: str
    currency: str
    duplicate: bool
    record_id: str
    balance_exact: str
    account_state: str
    deck_version: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    charged_seconds: int
    pack_units_exact: str
    def __init__(self, svcno: _Optional[str] = ..., start_time: _Optional[str] = ..., finish_time: _Optional[str] = ..., count: _Optional[float] = ..., cost: _Optional[float] = ..., cost_exact: _Optional[str] = ..., count_exact: _Optional[str] = ..., currency: _Optional[str] = ..., duplicate: _Optional[bool] = ..., record_id: _Optional[str] = ..., balance_exact: _Optional[str] = ..., account_state: _Optional[str] = ..., deck_version: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., charged_seconds: _Optional[int] = ..., pack_units_exact: _Optional[str] = ...) -> None: ...

class ResourceRequest(_message.Message):
    __slots__ = ("accno", "label", "count", "total", "request_id", "exact_total")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXACT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    count: int
    total: int
    request_id: str
    exact_total: int
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ..., count: _Optional[int] = ..., total: _Optional[int] = ..., request_id: _Optional[str] = ..., exact_total: _Optional[int] = ...) -> None: ...

class ResourceResponse(_message.Message):
    __slots__ = ("usage", "limits", "duplicate")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    usage: int
    limits: int
    duplicate: bool
    def __init__(self, usage: _Optional[int] = ..., limits: _Optional[int] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class KeepServiceRequest(_message.Message):
    __slots__ = ("accno", "label", "providerno", "expire")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDERNO_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    providerno: str
    expire: str
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ..., providerno: _Optional[str] = ..., expire: _Optional[str] = ...) -> None: ...

class KeepServiceResponse(_message.Message):
    __slots__ = ("expire", "svcno")
    EXPIRE_FIELD_NUMBER: _ClassVar[int]
    SVCNO_FIELD_NUMBER: _ClassVar[int]
    expire: str
    svcno: str
    def __init__(self, expire: _Optional[str] = ..., svcno: _Optional[str] = ...) -> None: ...

class QueryAccountServiceRequest(_message.Message):
    __slots__ = ("accno", "label")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class QueryAccountServiceResponse(_message.Message):
    __slots__ = ("code", "detail", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: int
    detail: str
    reason: str
    def __init__(self, code: _Optional[int] = ..., detail: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class QuerySubAccountRequest(_message.Message):
    __slots__ = ("parent", "label", "at")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    label: str
    at: str
    def __init__(self, parent: _Optional[str] = ..., label: _Optional[str] = ..., at: _Optional[str] = ...) -> None: ...

class QuerySubAccountResponse(_message.Message):
    __slots__ = ("accounts", "valid_from", "valid_until", "directory")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    valid_from: str
    valid_until: str
    directory: str
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., valid_from: _Optional[str] = ..., valid_until: _Optional[str] = ..., directory: _Optional[str] = ...) -> None: ...

class EndServicesRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[EndServiceRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[EndServiceRequest, _Mapping]]] = ...) -> None: ...

class EndServiceOutcome(_message.Message):
    __slots__ = ("index", "status", "code", "reason", "detail", "retryable", "response")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    index: int
    status: int
    code: int
    reason: str
    detail: str
    retryable: bool
    response: EndServiceResponse
    def __init__(self, index: _Optional[int] = ..., status: _Optional[int] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., retryable: _Optional[bool] = ..., response: _Optional[_Union[EndServiceResponse, _Mapping]] = ...) -> None: ...

class EndServicesResponse(_message.Message):
    __slots__ = ("outcomes", "directory")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[EndServiceOutcome]
    directory: str
    def __init__(self, outcomes: _Optional[_Iterable[_Union[EndServiceOutcome, _Mapping]]] = ..., directory: _Optional[str] = ...) -> None: ...

class CancelServiceRequest(_message.Message):
    __slots__ = ("accno", "label", "providerno", "svcno", "reason")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDERNO_FIELD_NUMBER: _ClassVar[int]
    SVCNO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    providerno: str
    svcno: str
    reason: str
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ..., providerno: _Optional[str] = ..., svcno: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelServiceResponse(_message.Message):
    __slots__ = ("svcno", "state", "released_exact", "currency", "duplicate")
    SVCNO_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RELEASED_EXACT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    svcno: str
    state: str
    released_exact: str
    currency: str
    duplicate: bool
    def __init__(self, svcno: _Optional[str] = ..., state: _Optional[str] = ..., released_exact: _Optional[str] = ..., currency: _Optional[str] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class QuoteRequest(_message.Message):
    __slots__ = ("accno", "label", "count", "call", "start_time", "max_seconds", "ring_timeout", "max_seconds_step")
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RING_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_STEP_FIELD_NUMBER: _ClassVar[int]
    accno: str
    label: str
    count: int
    call: CallFacts
    start_time: str
    max_seconds: int
    ring_timeout: int
    max_seconds_step: int
    def __init__(self, accno: _Optional[str] = ..., label: _Optional[str] = ..., count: _Optional[int] = ..., call: _Optional[_Union[CallFacts, _Mapping]] = ..., start_time: _Optional[str] = ..., max_seconds: _Optional[int] = ..., ring_timeout: _Optional[int] = ..., max_seconds_step: _Optional[int] = ...) -> None: ...

class QuoteLeg(_message.Message):
    __slots__ = ("leg", "number", "prefix", "carrier", "band", "price_exact", "increment_seconds", "connect_fee_exact")
    LEG_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    PRICE_EXACT_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FEE_EXACT_FIELD_NUMBER: _ClassVar[int]
    leg: str
    number: str
    prefix: str
    carrier: str
    band: str
    price_exact: str
    increment_seconds: int
    connect_fee_exact: str
    def __init__(self, leg: _Optional[str] = ..., number: _Optional[str] = ..., prefix: _Optional[str] = ..., carrier: _Optional[str] = ..., band: _Optional[str] = ..., price_exact: _Optional[str] = ..., increment_seconds: _Optional[int] = ..., connect_fee_exact: _Optional[str] = ...) -> None: ...

class QuoteResponse(_message.Message):
    __slots__ = ("allowed", "code", "reason", "detail", "price_exact", "increment_seconds", "connect_fee_exact", "currency", "max_seconds", "limit_reason", "hold_exact", "available_exact", "legs", "deck_version", "charged_legs", "warnings")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PRICE_EXACT_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FEE_EXACT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_REASON_FIELD_NUMBER: _ClassVar[int]
    HOLD_EXACT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_EXACT_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    DECK_VERSION_FIELD_NUMBER: _ClassVar[int]
    CHARGED_LEGS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    code: int
    reason: str
    detail: str
    price_exact: str
    increment_seconds: int
    connect_fee_exact: str
    currency: str
    max_seconds: int
    limit_reason: str
    hold_exact: str
    available_exact: str
    legs: _containers.RepeatedCompositeFieldContainer[QuoteLeg]
    deck_version: str
    charged_legs: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed: _Optional[bool] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., price_exact: _Optional[str] = ..., increment_seconds: _Optional[int] = ..., connect_fee_exact: _Optional[str] = ..., currency: _Optional[str] = ..., max_seconds: _Optional[int] = ..., limit_reason: _Optional[str] = ..., hold_exact: _Optional[str] = ..., available_exact: _Optional[str] = ..., legs: _Optional[_Iterable[_Union[QuoteLeg, _Mapping]]] = ..., deck_version: _Optional[str] = ..., charged_legs: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class PayingAccountQuestion(_message.Message):
    __slots__ = ("organization", "label", "at")
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    organization: str
    label: str
    at: str
    def __init__(self, organization: _Optional[str] = ..., label: _Optional[str] = ..., at: _Optional[str] = ...) -> None: ...

class PayingAccountsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PayingAccountQuestion]
    def __init__(self, items: _Optional[_Iterable[_Union[PayingAccountQuestion, _Mapping]]] = ...) -> None: ...

class PayingAccount(_message.Message):
    __slots__ = ("status", "reason", "detail", "accno", "valid_from", "valid_until")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ACCNO_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    status: int
    reason: str
    detail: str
    accno: str
    valid_from: str
    valid_until: str
    def __init__(self, status: _Optional[int] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., accno: _Optional[str] = ..., valid_from: _Optional[str] = ..., valid_until: _Optional[str] = ...) -> None: ...

class PayingAccountsResponse(_message.Message):
    __slots__ = ("items", "directory")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PayingAccount]
    directory: str
    def __init__(self, items: _Optional[_Iterable[_Union[PayingAccount, _Mapping]]] = ..., directory: _Optional[str] = ...) -> None: ...
