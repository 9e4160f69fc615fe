"""May these two numbers be joined now? The refusals that need no money, in their fixed order; the first one wins."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from billing_platform import limits
from billing_platform.errors import Forbidden, NotFound
from billing_platform.limits import Rate
from callcontrol import hours, numbers, organizations, outages
from callcontrol.errors import (
    BodyInvalid,
    DisplayNumberNotAllowed,
    NotInWhitelist,
    NumberBlacklisted,
    OutsideBusinessHours,
    SameNumbers,
)  # fmt: skip
from callcontrol.hours import Stretch, WeeklyTable
from callcontrol.models import Agent, BusinessHours, Callback, DisplayNumber, NumberListEntry
from callcontrol.wishes import CallWish, Placer
from rating.caching.live import calendars
from rating.segments import Number

Kind, Match = NumberListEntry.Kind, NumberListEntry.Match


@dataclass(frozen=True, slots=True)
class Parties:
    """Who is to be joined, as read; display numbers as dialled, "" where the platform shows its own."""

    agent_id: int | None
    agent: Number
    customer: Number
    display_to_customer: str
    display_to_agent: str


def screen(wish: CallWish, placer: Placer, *, at: datetime) -> Parties:
    """The parties of an allowed call. Raises the refusals of this room."""
    agent_id, agent = _agent(wish, placer)
    customer = _customer(wish, placer)
    if agent.key == customer.key:
        raise SameNumbers
    to_customer, to_agent = _display_numbers(wish, placer.organization)
    _check_lists(customer, placer.organization)
    _check_hours(placer.organization, at=at)
    return Parties(agent_id, agent, customer, to_customer, to_agent)


def take_tokens(parties: Parties, placer: Placer) -> None:
    """Count this call against the limits per agent and per customer. Raises RateLimited."""
    agent, customer = (f"{placer.organization}:{number.key}" for number in (parties.agent, parties.customer))
    limits.take(f"callback:agent:{agent}", Rate(*settings.CALLBACK_AGENT_RATE))
    limits.take(f"callback:customer:{customer}", Rate(*settings.CALLBACK_CUSTOMER_RATE))


def visible_calls(placer: Placer) -> Q:
    """Which calls this placer may see."""
    own = Q(organization=placer.organization)
    return own if placer.sees_organization else own & Q(agent__user_id=placer.user_id)


def _agent(wish: CallWish, placer: Placer) -> tuple[int | None, Number]:
    agents = Agent.objects.filter(organization=placer.organization)
    own = agents.filter(user_id=placer.user_id).first() if placer.user_id is not None else None
    if not wish.agent_number:
        if own is None:
            raise BodyInvalid(errors={"agent_number": [_("required")]})
        return own.pk, numbers.read(own.number)
    number = _readable("agent_number", wish.agent_number)
    known = agents.filter(key=number.key).first()
    if placer.is_person and not _may_use(known, placer):
        raise Forbidden(_("this is not your number"), field="agent_number")
    return (known.pk if known else None), number


def _may_use(agent: Agent | None, placer: Placer) -> bool:
    """A person uses the own number; who sees the organisation's calls may use its agents'."""
    return agent is not None and (agent.user_id == placer.user_id or placer.sees_organization)


def _customer(wish: CallWish, placer: Placer) -> Number:
    if not wish.redial_of:
        return _readable("customer_number", wish.customer_number)
    before = Callback.objects.filter(visible_calls(placer), reference=wish.redial_of).first()
    if before is None:
        raise NotFound
    return numbers.read(before.customer_number)


def _readable(field: str, text: str) -> Number:
    number = numbers.read(text)
    if not numbers.is_callable(number):
        raise BodyInvalid(errors={field: [_("not a telephone number")]})
    return number


def _display_numbers(wish: CallWish, organization: str) -> tuple[str, str]:
    verified = DisplayNumber.objects.filter(organization=organization, verified_at__isnull=False)
    owned = {row.key: row for row in verified}
    default = next((row.number for row in owned.values() if row.is_default), "")
    return (
        _shown(wish.display_to_customer, owned, default=default),
        _shown(wish.display_to_agent, owned, default=default),
    )


def _shown(text: str, owned: dict[str, DisplayNumber], *, default: str) -> str:
    if not text:
        return default
    row = owned.get(numbers.display_key(text))
    if row is None:
        raise DisplayNumberNotAllowed(number=text)
    return row.number


def _check_lists(customer: Number, organization: str) -> None:
    """Deny wins, ours over everybody's alike; in allow mode only what the organisation's allow list names."""
    heads = [customer.key[:length] for length in range(1, len(customer.key) + 1)]
    fits = Q(match=Match.EXACT, key=customer.key) | Q(match=Match.PREFIX, key__in=heads)
    found = set(
        NumberListEntry.objects.filter(fits, organization__in=("", organization)).values_list("kind", "organization")
    )
    if any(kind == Kind.DENY for kind, _owner in found):
        raise NumberBlacklisted
    if outages.policy_of(organization).allow_list_only and (Kind.ALLOW, organization) not in found:
        raise NotInWhitelist


def _check_hours(organization: str, *, at: datetime) -> None:
    table = table_of(organization)
    if not hours.is_open(table, at):
        raise OutsideBusinessHours(next_open=hours.next_open(table, at))


def table_of(organization: str) -> WeeklyTable:
    """The organisation's weekly table in its zone, with the calendar of public holidays."""
    stretches: dict[str, list[Stretch]] = {}
    for row in BusinessHours.objects.filter(organization=organization):
        stretches.setdefault(row.day, []).append(Stretch(row.opens, row.closes))
    return WeeklyTable(stretches, organizations.zone_of(organization), calendars.current().day_class)
