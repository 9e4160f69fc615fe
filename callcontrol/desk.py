"""What the agent's page shows: may I call now, what does it cost, who is this, what is my call doing. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.errors import PlatformError
from billing_platform.templatetags.figures import per_minute
from callcontrol import numbers, organizations
from callcontrol.advice import advice_for
from callcontrol.charge_check import GATE_SECONDS, check_of
from callcontrol.errors import OutsideBusinessHours
from callcontrol.models import Agent, Callback, CallbackEvent
from callcontrol.models.calls import OVER
from callcontrol.quoting import CallQuote, quote_call
from callcontrol.screening import visible_calls
from callcontrol.shown import number_shown
from callcontrol.wishes import NUMBER_MAX, CallWish, Placer
from callcontrol.wording import ShownCall, Step, rail_of, shown_call
from counter import client
from counter.errors import REFUSALS, CounterError, CounterUnavailable, ServiceNotOpen
from counter.uses import AccountFacts
from rating.numbers.carriers import city_shown, place_of
from rating.segments import Number

SERVICE_KEY = "callback"
RECENT, WITH_CONTACT = 20, 4
KEPT_ON_DESK = timedelta(minutes=10)  # a call that is over stays in view this long
BOTH = "both"


@dataclass(frozen=True, slots=True)
class Standing:
    """The one line that is always there. `tone` is good, warn or bad; only good lets a call begin."""

    title: str
    advice: str = ""
    code: str = ""
    tone: str = "good"

    @property
    def allowed(self) -> bool:
        return self.tone == "good"


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs and lasts. `price` per increment of all charged legs; `lasts_seconds` is the whole balance."""

    price: Decimal
    per_minute: Decimal
    increment_seconds: int
    connect_fee: Decimal
    currency: str
    max_seconds: int
    lasts_seconds: int
    both_legs: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """Who is about to be called, and the last calls to this number that the reader may see."""

    number: str
    kind: str
    city: str
    calls: list[ShownCall]


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything on the page at one instant."""

    at: datetime
    zone: ZoneInfo
    agent_number: str
    number: str
    redial_of: str
    standing: Standing
    account: AccountFacts | None
    price: Price | None
    contact: Contact | None
    call: ShownCall | None
    rail: list[Step]
    live_price: Price | None
    recent: list[ShownCall]


def read_desk(placer: Placer, *, number: str, redial_of: str) -> Desk:
    """The desk of one person, with `number` in the box, or the number of the earlier call `redial_of`."""
    at = clock.now()
    agent = _agent(placer)
    before = _earlier_call(placer, redial_of)
    typed = before.customer_number if before is not None else number.strip()[:NUMBER_MAX]
    wish = CallWish(redial_of=before.reference) if before is not None else CallWish(customer_number=typed)
    shown = number_shown(typed, placer) if before is not None else typed
    call = _call_on_desk(agent, at=at)
    refused, price = _offer(wish, placer) if typed and agent else (None, None)
    return Desk(
        at=at,
        zone=organizations.zone_of(placer.organization),
        agent_number=agent.number if agent else "",
        number=shown,
        redial_of=before.reference if before is not None else "",
        standing=_standing(placer, agent=agent, call=call, refused=refused, typed=typed),
        account=_account(placer, at=at),
        price=price,
        contact=_contact(numbers.read(typed), placer, shown=shown, at=at) if typed else None,
        call=shown_call(call, placer) if call is not None else None,
        rail=rail_of(call, passed=_states_passed(call)) if call is not None else [],
        live_price=_offer(CallWish(redial_of=call.reference), placer)[1]
        if call is not None and call.rank < OVER
        else None,
        recent=[shown_call(row, placer) for row in _calls_of(agent)[:RECENT]] if agent else [],
    )


def _earlier_call(placer: Placer, reference: str) -> Callback | None:
    return Callback.objects.filter(visible_calls(placer), reference=reference).first() if reference else None


def _agent(placer: Placer) -> Agent | None:
    """The person's own telephone."""
    return Agent.objects.filter(organization=placer.organization, user_id=placer.user_id or 0).first()


def _calls_of(agent: Agent) -> "QuerySet[Callback]":
    return Callback.objects.filter(agent=agent).order_by("-created_at", "-id")


def _call_on_desk(agent: Agent | None, *, at: datetime) -> Callback | None:
    """The live call of this telephone, else the one that has just ended."""
    if agent is None:
        return None
    latest = _calls_of(agent)
    return latest.filter(rank__lt=OVER).first() or latest.filter(updated_at__gt=at - KEPT_ON_DESK).first()


def _states_passed(call: Callback) -> list[str]:
    return list(CallbackEvent.objects.filter(callback=call, raised=True).values_list("state", flat=True))


def _standing(
    placer: Placer, *, agent: Agent | None, call: Callback | None, refused: PlatformError | None, typed: str
) -> Standing:
    if agent is None:
        return Standing(_("You have no telephone here."), advice_for("service_unknown"), "no_agent", "bad")
    if call is not None and call.rank < OVER:
        return Standing(_("You are on a call."), _("The next one can start when it has ended."), tone="warn")
    if refused is None and not typed:
        refused = _refused_account(placer)
    if refused is not None:
        return _refusal(refused, organization=placer.organization)
    return Standing(_("You may call now."), "" if typed else _("Enter the customer's number."))


def _refusal(refused: PlatformError, *, organization: str) -> Standing:
    advice = advice_for(refused.code)
    opens = refused.fields.get("next_open") if isinstance(refused, OutsideBusinessHours) else None
    if isinstance(opens, datetime):
        wall = opens.astimezone(organizations.zone_of(organization))
        advice = _("The next hours begin on %(when)s.") % {"when": f"{wall:%Y-%m-%d %H:%M}"}
    tone = "warn" if refused.code in {"validation", "same_numbers"} or refused.retryable else "bad"
    return Standing(str(refused.title), advice, refused.code, tone)


def _refused_account(placer: Placer) -> PlatformError | None:
    """Why no call at all could start now: service, account, money. None when one could."""
    label = check_of(SERVICE_KEY).label
    try:
        with client.within(GATE_SECONDS):
            accno = client.paying_account(placer.organization, label, at=clock.now())
            verdict = client.usable_service(accno, label)
    except CounterError as refusal:
        return refusal
    return None if verdict.usable else REFUSALS.get(verdict.reason, ServiceNotOpen)(verdict.detail)


def _account(placer: Placer, *, at: datetime) -> AccountFacts | None:
    """The organisation's account, None while the counter does not answer or there is none."""
    try:
        return client.query_account(organization=placer.organization, at=at)
    except CounterError:
        return None


def _offer(wish: CallWish, placer: Placer) -> tuple[PlatformError | None, Price | None]:
    try:
        quote = quote_call(wish, placer, service_key=SERVICE_KEY)
    except (PlatformError, CounterUnavailable) as refusal:
        return refusal, None
    return quote.refusal, (_price(quote) if quote.refusal is None and quote.increment_seconds else None)


def _price(quote: CallQuote) -> Price:
    return Price(
        quote.price, per_minute(quote.price, quote.increment_seconds), quote.increment_seconds, quote.connect_fee,
        quote.currency, quote.max_seconds, _lasts(quote), quote.charged_legs == BOTH,
    )  # fmt: skip


def _lasts(quote: CallQuote) -> int:
    """How long all the available money would last in one call, whole increments; 0 when calls are free."""
    if quote.price <= 0:
        return 0
    blocks = max(quote.available - quote.connect_fee, Decimal(0)) // quote.price
    return int(blocks) * quote.increment_seconds


def _contact(number: Number, placer: Placer, *, shown: str, at: datetime) -> Contact | None:
    if not numbers.is_callable(number):
        return None
    rows = Callback.objects.filter(visible_calls(placer), customer_key=number.key).order_by("-created_at", "-id")
    calls = [shown_call(row, placer) for row in rows[:WITH_CONTACT]]
    return Contact(shown, _kind(number), city_shown(place_of(number, at=at)), calls)


def _kind(number: Number) -> str:
    words = {
        "mobile": _("mobile number"), "fixed": _("fixed line"), "shared_cost": _("400 number"),
        "toll_free": _("800 number"), "short": _("service number"), "emergency": _("emergency number"),
        "international": _("international number"), "internal": _("internal number"),
    }  # fmt: skip
    return words.get(str(number.kind), "")
