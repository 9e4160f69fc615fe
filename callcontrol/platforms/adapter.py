"""What every callback platform's module offers: a declaration of its limits, and five functions in its wire format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Account:
    """Our account with a platform, credentials in the clear: never stored, logged or shown."""

    code: str
    base_url: str
    hook_base: str
    credentials: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """What a platform is told. Numbers as dialled, seconds; `reference` is our call id, nothing of the customer's."""

    reference: str
    agent_number: str
    customer_number: str
    display_to_agent: str
    display_to_customer: str
    max_seconds: int
    ring_timeout: int
    warn_before_seconds: int | None
    dial_first: str
    record: bool


class Answer(StrEnum):
    """How placing may end."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_CAPACITY = "no_capacity"  # a clear refusal: another platform may be tried
    NOT_SENT = "not_sent"  # nothing reached the platform: another one may be tried
    UNKNOWN = "unknown"  # it may be calling


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of an order; `code` is the platform's own word for its refusal."""

    answer: Answer
    provider_call_id: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One status, pushed or found. `event_id` is "" where the platform numbers nothing; states are ours."""

    provider_call_id: str
    reference: str
    state: str
    at: datetime
    event_id: str = ""

    @property
    def identity(self) -> str:
        """What makes it the same event when it comes again."""
        return self.event_id or f"{self.state}@{self.at.isoformat()}"


@dataclass(frozen=True, slots=True)
class CallNamed:
    """Which call a platform's question is about."""

    provider_call_id: str
    reference: str


class PlatformSilent(Exception):
    """No answer that says anything: the question may be asked again."""


class BodyUnreadable(ValueError):
    """A platform sent something that is not in its format."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One platform: what it can do, and how it is spoken to.

    `place` never raises; `cancel` answers None or the platform's refusal; `find` (by reference, or by its call id)
    answers None for a call that the platform does not know. Both raise PlatformSilent. `read_…` raise BodyUnreadable.
    """

    name: str
    max_seconds_step: int  # its unit of the time limit
    max_seconds_bound: int  # 0: none
    reference_field: str
    reference_bytes: int
    cancel_policies: frozenset[str]
    reports_after_cancel: bool
    can_find: bool
    place: Callable[[Account, Order], Placement]
    cancel: Callable[[Account, str, str], str | None]
    find: Callable[[Account, str, str], StatusEvent | None]
    read_status: Callable[[Any], StatusEvent]
    read_auth: Callable[[Any], CallNamed]
