"""What a caller asks for: the body of a callback or a quote, read strictly; and who asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from billing_platform.models import Role
from callcontrol.context import BillingContext
from callcontrol.errors import BodyInvalid

NUMBER_MAX, USER_DATA_BYTES = 32, 256
RING_TIMEOUT_DEFAULT = 45
LONGEST_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class CallWish:
    """A call as asked for, numbers as typed. `redial_of` names an earlier call in place of its customer's number."""

    customer_number: str = ""
    redial_of: str = ""
    agent_number: str = ""
    display_to_customer: str = ""
    display_to_agent: str = ""
    dial_first: str = "agent"
    ring_timeout: int = RING_TIMEOUT_DEFAULT
    record: bool = False
    warn_before_seconds: int | None = None
    max_seconds: int | None = None
    user_data: str = ""


@dataclass(frozen=True, slots=True)
class Placer:
    """Who asks, for which organisation. `user_id` is a person's; `roles` decide whose calls and numbers count."""

    organization: str
    application: str
    actor: str
    user_id: int | None
    roles: frozenset[str]

    @property
    def is_person(self) -> bool:
        return self.user_id is not None

    @property
    def sees_organization(self) -> bool:
        """All calls of the organisation, or only the own ones?"""
        return not self.is_person or bool(self.roles & {Role.SUPERVISOR.value, Role.AUDITOR.value})

    @property
    def sees_numbers(self) -> bool:
        """Customers' numbers in full; everybody else sees 138****0002."""
        return Role.SUPERVISOR.value in self.roles


def placer_of(context: BillingContext) -> Placer:
    """The placer behind a billing context."""
    caller = context.caller
    return Placer(context.organization, context.application, caller.actor, caller.user_id, caller.roles)


def read_wish(body: object) -> CallWish:
    """The wish in a JSON body. Raises BodyInvalid naming every field that is wrong."""
    if not isinstance(body, Mapping):
        raise BodyInvalid(errors={"": [_("send one JSON object")]})
    errors = {str(name): [_("unknown field")] for name in body if name not in _READERS}
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        if body.get(name) is None:
            continue
        try:
            values[name] = read(body[name])
        except ValueError as wrong:
            errors[name] = [str(wrong)]
    if bool(values.get("customer_number")) == bool(values.get("redial_of")) and "customer_number" not in errors:
        errors["customer_number"] = [_("required")]
    if errors:
        raise BodyInvalid(errors=errors)
    return CallWish(**values)


def _text(length_max: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or len(value) > length_max or "\0" in value:
            raise ValueError(_("text of at most %(length)s characters") % {"length": length_max})
        return value

    return read


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(_("whole number from %(least)s to %(most)s") % {"least": least, "most": most})
        return value

    return read


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("true or false"))  # noqa: TRY004  collected with the other fields
    return value


def _side(value: object) -> str:
    if value not in ("agent", "customer"):
        raise ValueError(_("agent or customer"))
    return str(value)


def _integrators_text(value: object) -> str:
    if not isinstance(value, str) or len(value.encode()) > USER_DATA_BYTES or "\0" in value:
        raise ValueError(_("text of at most %(bytes)s bytes") % {"bytes": USER_DATA_BYTES})
    return value


_READERS: dict[str, Callable[[object], object]] = {
    "customer_number": _text(NUMBER_MAX),
    "redial_of": _text(NUMBER_MAX),
    "agent_number": _text(NUMBER_MAX),
    "display_to_customer": _text(NUMBER_MAX),
    "display_to_agent": _text(NUMBER_MAX),
    "dial_first": _side,
    "ring_timeout": _whole(5, 120),
    "record": _yes_or_no,
    "warn_before_seconds": _whole(1, LONGEST_SECONDS),
    "max_seconds": _whole(1, LONGEST_SECONDS),
    "user_data": _integrators_text,
}
