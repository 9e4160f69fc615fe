"""What a use costs: per use, per duration, or by rate deck. Pure given the item, the opening and the tariffs.

Amounts are Decimals in the item's currency; durations are measured in whole microseconds, so that a fraction of a
second is neither lost nor invented.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from billing_platform.money import HALF_UP, amount_text, round_amount, rounder_over
from counter.content import plain_number
from counter.errors import Invalid, NoRate, WrongChargeMode
from counter.items import Item, Mode, Opening
from counter.supplier import UNKNOWN as UNKNOWN_COST
from counter.supplier import SupplierCost, supplier_cost, version_names
from counter.uses import CallFacts
from rating import engine, tariffs
from rating.costs import costs_are_known
from rating.engine import Call, Price, PricingError, Tariff
from rating.numbers import dialling
from rating.numbers.carrier_lookup import learn, recall
from rating.numbers.carriers import UNKNOWN, CarrierFound, carrier_of
from rating.question import AskedCall, Reach, judged_reach
from rating.segments import Number, read_number

ZERO = Decimal(0)
MICROSECOND = timedelta(microseconds=1)
SIX_PLACES = 6
TO_DEFAULT_DECK = frozenset({"no_tariff", "no_rate", "band_gap", "blocked", "bad_number"})
ESTIMATE_POLICY = "highest"
AMOUNTS_KEPT = 8192

_encoder = msgspec.json.Encoder()


class LegRead(NamedTuple):
    """What the number of a leg means, whose it is, and whether it is local or far."""

    number: Number
    found: CarrierFound
    reach: Reach


class Question(msgspec.Struct, frozen=True):
    """A use to price, its times settled. `covered_seconds` and `covered_uses` were paid with package units.

    `read`: how the numbers of the legs were read when the use was first charged; else they are read now.
    """

    item: Item
    opening: Opening | None
    organization: str
    accno: str
    start: datetime
    finish: datetime
    count: int
    call: CallFacts | None
    rate_policy: str = ""
    covered_seconds: int = 0
    covered_uses: int = 0
    read: Mapping[str, LegRead] = {}

    @property
    def microseconds(self) -> int:
        return (self.finish - self.start) // MICROSECOND


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What a use costs and why. `explanation` is JSON text; `default_rate_head` names the number that had no rate."""

    cost: Decimal
    currency: str
    charged_seconds: int
    count: Decimal
    deck_version: str
    explanation: str
    warnings: tuple[str, ...] = ()
    default_rate_head: str = ""
    supplier: SupplierCost = UNKNOWN_COST


def price_use(question: Question) -> Charge:
    """The charge for a use. Raises NoRate, Invalid, WrongChargeMode."""
    mode = question.item.mode
    if mode == Mode.RESOURCE:
        raise WrongChargeMode("occupancy is not charged by use")
    if question.call is not None and not question.call.answered:
        return _unanswered(question)
    if mode == Mode.BY_DECK:
        return _price_by_deck(question)
    return _price_per_use(question) if mode == Mode.PER_USE else _price_per_duration(question)


def _unanswered(question: Question) -> Charge:
    item, call = question.item, question.call
    assert call is not None  # only a call is answered or not
    legs = leg_calls(question) if item.mode == Mode.BY_DECK and costs_are_known() else {}
    return Charge(
        ZERO, item.currency, 0, ZERO, "", _text({"mode": item.mode, "answered": False}),
        supplier=supplier_cost(legs, item, call) if legs else UNKNOWN_COST,
    )  # fmt: skip


def unit_price(item: Item, opening: Opening | None, at: datetime) -> tuple[Decimal, Decimal, int]:
    """Price, connect fee and increment in force at an instant; the opening's own price wins. Raises NoRate."""
    version = item.price_at(at)
    if version is None and (opening is None or opening.price is None):
        raise NoRate("the service has no price yet")
    price = opening.price if opening is not None and opening.price is not None else None
    if version is None:
        assert price is not None
        return price, ZERO, item.unit_seconds
    return (price if price is not None else version.price), version.connect_fee, version.increment


def _price_per_use(question: Question) -> Charge:
    item = question.item
    price, _, _ = unit_price(item, question.opening, question.start)
    paid_uses = question.count - question.covered_uses
    cost = round_amount(price * paid_uses, method=item.rounding, decimals=item.decimals)
    why: dict[str, Any] = {"mode": item.mode, "price": amount_text(price), "count": paid_uses}
    if question.covered_uses:
        why["covered_uses"] = question.covered_uses
    why |= _rounding(item, cost)
    return Charge(cost, item.currency, 0, Decimal(question.count), "", _text(why))


def _rounding(item: Item, cost: Decimal) -> dict[str, Any]:
    return {"rounding": item.rounding, "decimals": item.decimals, "amount": amount_text(cost)}


def _price_per_duration(question: Question) -> Charge:
    item = question.item
    price, connect_fee, increment = unit_price(item, question.opening, question.start)
    microseconds = max(question.microseconds, item.min_seconds * 1_000_000) - question.covered_seconds * 1_000_000
    increments = max(0, -(-microseconds // (increment * 1_000_000)))
    fee = ZERO if question.covered_seconds or increments == 0 else connect_fee
    cost = round_amount(fee + price * increments * question.count, method=item.rounding, decimals=item.decimals)
    seconds = increments * increment
    why: dict[str, Any] = {
        "mode": item.mode, "price": amount_text(price), "connect_fee": amount_text(fee), "increment": increment,
        "increments": increments, "count": question.count, "min_seconds": item.min_seconds,
    }  # fmt: skip
    if question.covered_seconds:
        why["covered_seconds"] = question.covered_seconds
    why |= _rounding(item, cost)
    return Charge(cost, item.currency, seconds, _counted(seconds, item.unit_seconds) * question.count, "", _text(why))


@lru_cache(maxsize=AMOUNTS_KEPT)  # there are few prices and lengths, and many calls
def _six_places(amount: Decimal) -> Decimal:
    return round_amount(amount, method=HALF_UP, decimals=SIX_PLACES)


@lru_cache(maxsize=AMOUNTS_KEPT)
def _counted(seconds: int, unit_seconds: int) -> Decimal:
    return rounder_over(unit_seconds, HALF_UP, SIX_PLACES).amount(seconds)


def _text(why: dict[str, Any]) -> str:
    return _encoder.encode(why).decode()


# --- by deck ----------------------------------------------------------------------------------------------------------


class DeckPrices(NamedTuple):
    """The prices of the charged legs; `error` when they come from the default deck instead of the account's own."""

    legs: dict[str, AskedCall]
    prices: dict[str, Price]
    error: PricingError | None

    @property
    def amount(self) -> Decimal:
        return sum([price.amount for price in self.prices.values()], ZERO)


def deck_prices(question: Question) -> DeckPrices:
    """Price the charged legs by the account's decks, else the whole call by the default deck. Raises NoRate."""
    legs = leg_calls(question)
    try:
        prices = {
            leg: _priced(asked.call, leg_tariff(question, leg), question.rate_policy) for leg, asked in legs.items()
        }
    except PricingError as refused:
        if refused.code not in TO_DEFAULT_DECK:
            raise Invalid(refused.code, fields={"call": refused.code}) from refused
        return DeckPrices(legs, _by_default_deck(question, legs, refused), refused)
    return DeckPrices(legs, prices, None)


def _price_by_deck(question: Question) -> Charge:
    """Call = leg A + leg B, each rounded by its own rate. Time charged is that of leg B where B is charged."""
    found, item = deck_prices(question), question.item
    prices = found.prices.values()
    if any(price.currency != item.currency for price in prices):
        raise NoRate("currency_mismatch")
    cost = _six_places(found.amount)
    timed = found.prices.get("b") or found.prices["a"]
    seconds = -(-timed.billed // 1_000_000_000) + question.covered_seconds
    head = (next(iter(found.legs.values())).call.key or "")[:5] if found.error else ""
    return Charge(
        cost, item.currency, seconds, _counted(seconds, item.unit_seconds), version_names(prices),
        _why(question, found, cost), _deck_warnings(question, found), head,
        supplier_cost(found.legs, item, question.call or CallFacts()),
    )  # fmt: skip


def _deck_warnings(question: Question, found: DeckPrices) -> tuple[str, ...]:
    warnings = []
    if question.call is None or not _number_of(question.call, question.item.legs):
        warnings.append("no_number")
    if found.error is not None:
        warnings.append("default_rate")
    if question.rate_policy == ESTIMATE_POLICY:
        warnings.append("maximum_rate")
    return tuple(warnings)


def _why(question: Question, found: DeckPrices, cost: Decimal) -> str:
    """JSON text: the lines come as text from the prices, what stands before and after them is encoded here."""
    head = {"mode": question.item.mode, "currency": question.item.currency}
    lines = [_line(leg, found.legs[leg], price) for leg, price in found.prices.items()]
    rest: dict[str, Any] = {}
    if question.covered_seconds:
        rest["covered_seconds"] = question.covered_seconds
    if question.rate_policy:
        rest["rate_policy"] = question.rate_policy
    if found.error is not None:
        rest["error"] = {"code": found.error.code, "detail": found.error.detail}
    rest["amount"] = amount_text(cost)
    return f'{_text(head)[:-1]},"lines":[{",".join(lines)}],{_text(rest)[1:]}'


def _line(leg: str, asked: AskedCall, price: Price) -> str:
    """A leg's price, and how its number was read: enough to ask the same again when tables have changed."""
    number = {
        "key": asked.number.key, "kind": asked.number.kind, "carrier": asked.carrier,
        "carrier_from": asked.carrier_from, "reach": asked.reach.name, "area": asked.reach.area,
        "caller_area": asked.reach.caller_area,
    }  # fmt: skip
    if price.first.link.version.is_raw:
        number["dialled"] = asked.call.dialled
    return f"{_text({'leg': leg, 'number': number})[:-1]},{price.explanation_text()[1:]}"


def leg_calls(question: Question) -> dict[str, AskedCall]:
    """The charged legs of a use, each as the engine's question. Leg A counts from the agent's own answer."""
    item, call = question.item, question.call or CallFacts()
    legs: dict[str, AskedCall] = {}
    if item.legs in {"a", "both"}:
        legs["a"] = _leg_call(question, "a", call.caller, start=call.agent_answer_at or question.start)
    if item.legs in {"b", "both"}:
        legs["b"] = _leg_call(question, "b", call.called, start=question.start)
    return legs


def _leg_call(question: Question, leg: str, text: str, *, start: datetime) -> AskedCall:
    read = question.read.get(leg) or _read_leg(text, question)
    call = leg_call(read, start=start, finish=question.finish, covered_seconds=question.covered_seconds)
    return AskedCall(call, read.number, read.found.code, read.found.found_by, read.found.city, read.reach)


def _read_leg(text: str, question: Question) -> LegRead:
    """Read the number, find its carrier - the number decides, the record's hint helps where it does not - and reach."""
    number, facts = _dialled(text), question.call or CallFacts()
    found = carrier_of(number.key, at=question.start) if number.key else UNKNOWN
    if not found.code and facts.carrier:
        found = CarrierFound(facts.carrier, "given")
    return LegRead(number, found, judged_reach(number, _dialled(facts.caller), at=question.start))


def leg_call(leg: LegRead, *, start: datetime, finish: datetime, covered_seconds: int) -> Call:
    """The engine's question about a leg."""
    at, quantity, elapsed = time_to_price(start, finish, covered_seconds)
    return Call(
        key=_key(leg.number), at=at, quantity=quantity, carrier=leg.found.code, reach=leg.reach.name, elapsed=elapsed,
        dialled=leg.number.raw,
    )  # fmt: skip


def time_to_price(start: datetime, finish: datetime, covered_seconds: int) -> tuple[datetime, int, int]:
    """From when on, how many nanoseconds, and how many lie behind them already: those that package units cover."""
    microseconds = max(0, (finish - start) // MICROSECOND)
    covered = min(covered_seconds * 1_000_000, microseconds)
    at = start + timedelta(microseconds=covered) if covered else start
    return at, (microseconds - covered) * 1000, covered * 1000


def _dialled(text: str) -> Number:
    """The number that a text means; only one without an area depends on where it was dialled."""
    number = plain_number(text)
    return read_number(text, dialling.at_home()) if number.reason == "area_missing" else number


def _key(number: Number) -> str | None:
    """ "" without a number, None for one that cannot be called: it has no key."""
    return (number.key or None) if number.raw else ""


def _number_of(call: CallFacts, legs: str) -> str:
    return call.caller if legs == "a" else call.called


def leg_tariff(question: Question, leg: str) -> Tariff:
    """The tariff of a leg: category `label.leg` where it was assigned, else `label`."""
    return tariffs.tariff_for(
        tenant=question.organization, category=f"{question.item.label}.{leg}", subject=question.accno,
        at=question.start, currency=question.item.currency,
    )  # fmt: skip


def warm_tariffs(
    parties: Iterable[tuple[str, Item, str]], *, at: datetime, calls: Iterable[CallFacts | None] = ()
) -> None:
    """Have the decks of (organisation, item, accno) at hand before a transaction that must not wait for them: of those
    not compiled yet, the rates on the calls' numbers."""
    keys = {
        (tariffs.MAIN, organization, f"{item.label}.{leg}", accno)
        for organization, item, accno in parties
        if item.mode == Mode.BY_DECK
        for leg in (("a", "b") if item.legs == "both" else (item.legs,))
    }
    if keys:
        tariffs.warm(keys, at=at, numbers=_keys(calls))


def recall_carriers(calls: Iterable[CallFacts | None]) -> None:
    """Bring what the look-up service said about these calls' numbers into the process, before the transaction."""
    recall(_keys(calls))


def _keys(calls: Iterable[CallFacts | None]) -> Iterator[str]:
    return (plain_number(text).key for call in calls if call is not None for text in (call.caller, call.called))


def learn_carriers(item: Item, call: CallFacts | None) -> None:
    """Ask the look-up service who serves the numbers of the charged legs, before the transaction."""
    if item.mode == Mode.BY_DECK and call is not None:
        numbers = {"a": (call.caller,), "b": (call.called,)}.get(item.legs, (call.caller, call.called))
        learn(plain_number(number).key for number in numbers)


def _priced(call: Call, tariff: Tariff, rate_policy: str) -> Price:
    return engine.dearest(call, tariff) if rate_policy == ESTIMATE_POLICY else engine.price_call(call, tariff)


def _by_default_deck(question: Question, legs: dict[str, AskedCall], refused: PricingError) -> dict[str, Price]:
    """Usage that has happened is charged whatever is missing: the whole call by the default deck."""
    tariff = tariffs.default_tariff(question.item.currency, at=question.start)
    if tariff is None:
        raise NoRate(refused.code, cause=refused.code) from refused
    try:
        return {
            leg: engine.price_call(replace(asked.call, key=asked.call.key or ""), tariff) for leg, asked in legs.items()
        }
    except PricingError as error:
        raise NoRate(error.code, cause=refused.code) from error
