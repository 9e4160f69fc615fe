"""What callers say about a use, and the answers they get: plain values on both ends of the wire, no database.

What is made for every charge is a struct: twenty times cheaper to make than a frozen dataclass.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec


class CallFacts(msgspec.Struct, frozen=True, gc=False):
    """What a call is, for charge mode by_deck; "" and None mean not given."""

    caller: str = ""
    called: str = ""
    call_type: str = ""
    ring_at: datetime | None = None
    agent_answer_at: datetime | None = None
    answered: bool = True
    answer_basis: str = ""
    trunk: str = ""
    carrier: str = ""
    record_ref: str = ""


class ServiceUse(msgspec.Struct, frozen=True, gc=False):
    """A use that has happened. `start` and `finish` None: not given."""

    accno: str
    label: str
    providerno: str
    start: datetime | None = None
    finish: datetime | None = None
    count: int = 1
    svcno: str = ""
    summary: str = ""
    application: str = ""
    organization: str = ""
    call: CallFacts | None = None
    estimated: bool = False
    rate_policy: str = ""
    correction: str = ""


class PayerAsked(NamedTuple):
    """Who pays for what this organisation uses (by label), at an instant?"""

    organization: str
    label: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PayerFound:
    """The account that pays, and the period in which the same question has the same answer."""

    accno: str
    valid_from: datetime | None
    valid_until: datetime | None

    def holds(self, at: datetime) -> bool:
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class UseRequest:
    """A use that may begin. `step` is the platform's unit of max_seconds; 0 = no limit known."""

    accno: str
    label: str
    providerno: str = ""
    start: datetime | None = None
    count: int = 1
    summary: str = ""
    application: str = ""
    organization: str = ""
    expire: datetime | None = None
    check_quota: bool = False
    call: CallFacts | None = None
    max_seconds: int = 0
    ring_timeout: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class NamedUse:
    """A started use as a caller names it: by svcno, or by (label, providerno)."""

    accno: str
    label: str
    providerno: str
    svcno: str = ""


@dataclass(frozen=True, slots=True)
class StartReceipt:
    """The answer of StartService; amounts in `currency`, `available` after the hold."""

    svcno: str
    record_id: str
    expire: datetime
    max_seconds: int
    limit_reason: str
    hold: Decimal
    available: Decimal
    currency: str
    charged_legs: str
    pack_units: Decimal
    duplicate: bool = False


class UseReceipt(msgspec.Struct, frozen=True, gc=False):
    """The answer of EndService. `balance` and `account_state` are those after this charge, never stored."""

    svcno: str
    record_id: str
    start: datetime
    finish: datetime
    count: Decimal
    cost: Decimal
    currency: str
    charged_seconds: int
    deck_version: str
    pack_units: Decimal
    warnings: tuple[str, ...] = ()
    duplicate: bool = False
    balance: Decimal = Decimal(0)
    account_state: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the service be used? code 0 and reason "" mean yes."""

    usable: bool
    code: int = 0
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """The price of one increment of one charged leg."""

    leg: str
    number: str
    prefix: str
    carrier: str
    band: str
    price: Decimal
    increment_seconds: int
    connect_fee: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """What StartService would say. `price` is that of one increment of all charged legs together."""

    allowed: bool
    code: int = 0
    reason: str = ""
    detail: str = ""
    price: Decimal = Decimal(0)
    increment_seconds: int = 0
    connect_fee: Decimal = Decimal(0)
    currency: str = ""
    max_seconds: int = 0
    limit_reason: str = ""
    hold: Decimal = Decimal(0)
    available: Decimal = Decimal(0)
    lines: tuple[QuoteLine, ...] = ()
    deck_version: str = ""
    charged_legs: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account as the counter shows it; `valid_from`/`valid_until` bound the period in which the answer holds."""

    accno: str
    name: str
    kind: str
    state: str
    balance: Decimal
    held: Decimal
    credit: Decimal
    warning: Decimal
    available: Decimal
    currency: str
    parent: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer of CancelService."""

    svcno: str
    state: str
    released: Decimal
    currency: str
    duplicate: bool
