"""How long may a call last and how much money is held for it: the arithmetic before a use.

max_seconds is the greatest duration whose price - leg A with its ringing time included - fits into what is available,
cut by the caller's wish and the item's limit, then down to the platform's unit; the hold is the price of that call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from billing_platform.errors import PlatformError
from billing_platform.money import amount_text, parse_amount, round_amount
from counter import packs
from counter.errors import DestinationBlocked, InsufficientBalance, NoRate, counter_refusal
from counter.items import Item, Mode, Opening
from counter.packs import NOTHING, Drawn, PackTable
from counter.pricing import DeckPrices, Question, deck_prices, learn_carriers, unit_price, warm_tariffs
from counter.uses import CallFacts, Quote, QuoteLine, StartReceipt, UseRequest
from ledger import holds
from ledger.accounts import Account
from ledger.holds import HeldMoney
from rating.price import Price

ZERO = Decimal(0)
SECOND = timedelta(seconds=1)
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a use may cost and last; `prices` are those of its first second (by_deck only)."""

    account: Account
    item: Item
    hold: Decimal
    max_seconds: int = 0
    limit_reason: str = ""
    unit: Decimal = ZERO
    increment: int = 0
    connect_fee: Decimal = ZERO
    prices: DeckPrices | None = None
    covered_uses: int = 0
    covered_seconds: int = 0

    @property
    def charged_legs(self) -> str:
        return self.item.legs if self.prices is not None else ""

    @property
    def pack_units(self) -> Decimal:
        return Decimal(self.covered_uses + self.covered_seconds // packs.MINUTE_SECONDS)

    def reserve_units(self, account_id: int, request: UseRequest, *, at: datetime) -> Drawn:
        """Set the counted package units aside. Raises InsufficientBalance when others took them meanwhile."""
        if not self.pack_units:
            return NOTHING
        table = PackTable({(account_id, self.item.label)}, [], at=at)
        minutes = -(-self.covered_seconds // packs.MINUTE_SECONDS)
        reserved = table.reserve(account_id, self.item.label, at=at, minutes=minutes, uses=self.covered_uses)
        if reserved.units < self.pack_units:
            raise InsufficientBalance
        table.save()
        return reserved

    def quote(self) -> Quote:
        """The plan as an answer before the call."""
        lines = (
            tuple(_line(leg, self.prices, price) for leg, price in self.prices.prices.items()) if self.prices else ()
        )
        versions = dict.fromkeys(
            f"{deck}:{n}" for p in (self.prices.prices.values() if self.prices else ()) for deck, n in p.versions
        )
        return Quote(
            allowed=True, price=self.unit, increment_seconds=self.increment, connect_fee=self.connect_fee,
            currency=self.item.currency, max_seconds=self.max_seconds, limit_reason=self.limit_reason, hold=self.hold,
            available=self.account.available, lines=lines, deck_version=",".join(versions),
            charged_legs=self.charged_legs,
            warnings=("default_rate",) if self.prices is not None and self.prices.error else (),
        )  # fmt: skip


def place(account_id: int, *, amount: Decimal, record_id: int, expires_at: datetime) -> HeldMoney:
    """Hold money for a use. Raises InsufficientBalance, AccountSuspended, AccountClosed."""
    with _in_our_words():
        return holds.place_hold(account_id, amount=amount, reference=f"use:{record_id}", expires_at=expires_at)


def extend(hold_id: int, *, more: Decimal, expires_at: datetime) -> None:
    """Hold more under the same hold, for longer. Raises as `place`; then nothing has changed."""
    with _in_our_words():
        holds.extend_hold(hold_id, more=more, expires_at=expires_at)


@contextmanager
def _in_our_words() -> Iterator[None]:
    """The ledger's refusals as the counter's, which carry the public numbers."""
    try:
        yield
    except PlatformError as refusal:
        raise counter_refusal(refusal) from refusal


def least_amount(item: Item, opening: Opening | None, *, count: int, at: datetime) -> Decimal | None:
    """What must be available for one use: an amount, 0 for "anything above nothing", None for no money at all."""
    if item.mode == Mode.RESOURCE:
        return None
    if item.mode == Mode.BY_DECK:
        return ZERO
    price, connect_fee, _ = unit_price(item, opening, at)
    least = price * count if item.mode == Mode.PER_USE else connect_fee + price * count
    return least if least > 0 else None


def warm(account: Account, item: Item, call: CallFacts | None, *, at: datetime) -> None:
    """Have the account's decks compiled and the numbers' carriers looked up before the transaction."""
    learn_carriers(item, call)
    warm_tariffs([(account.organization, item, account.accno)], at=at, calls=[call])


def plan_hold(account: Account, item: Item, opening: Opening | None, request: UseRequest, *, at: datetime) -> Plan:
    """The hold for a use that begins. Raises InsufficientBalance, DestinationBlocked, NoRate."""
    if item.mode == Mode.PER_USE:
        return _plan_uses(account, item, opening, request, at)
    if item.mode == Mode.PER_DURATION:
        return _plan_window(account, item, opening, request, at)
    if request.call is None and not request.max_seconds:
        return _plan_deck_window(account, item, opening, request, at)
    return _plan_call(account, item, opening, request, at)


def whole_minutes(seconds: int) -> int:
    """Seconds of the minutes that have begun."""
    return -(-seconds // packs.MINUTE_SECONDS) * packs.MINUTE_SECONDS


def window_seconds(item: Item, request: UseRequest, at: datetime) -> int:
    """The item's hold window, never past the use's expiry."""
    until = request.expire or at + timedelta(seconds=item.hold_seconds)
    return max(1, min(item.hold_seconds, -((at - until) // SECOND)))


def window_price(item: Item, opening: Opening | None, *, seconds: int, count: int, at: datetime) -> Decimal:
    """The price of a window of a per_duration use, without connect fee."""
    price, _, increment = unit_price(item, opening, at)
    return round_amount(price * -(-seconds // increment) * count, method=item.rounding, decimals=item.decimals)


def _plan_uses(account: Account, item: Item, opening: Opening | None, request: UseRequest, at: datetime) -> Plan:
    price, _, _ = unit_price(item, opening, at)
    covered = min(packs.free_units(account.id, item.label, at=at).uses, request.count)
    hold = round_amount(price * (request.count - covered), method=item.rounding, decimals=item.decimals)
    if hold > max(ZERO, account.available):
        raise InsufficientBalance
    return Plan(account, item, hold, unit=price, covered_uses=covered)


def _plan_window(account: Account, item: Item, opening: Opening | None, request: UseRequest, at: datetime) -> Plan:
    price, connect_fee, increment = unit_price(item, opening, at)
    window = window_seconds(item, request, at)
    units = packs.free_units(account.id, item.label, at=at)
    covered = min(units.seconds // request.count, whole_minutes(window))
    rest = max(0, window - covered)
    fee = ZERO if covered else connect_fee
    hold = fee + window_price(item, opening, seconds=rest, count=request.count, at=at)
    if hold > max(ZERO, account.available):
        raise InsufficientBalance
    return Plan(
        account, item, hold, unit=price, increment=increment, connect_fee=connect_fee,
        covered_seconds=covered * request.count,
    )  # fmt: skip


def _plan_deck_window(account: Account, item: Item, opening: Opening | None, request: UseRequest, at: datetime) -> Plan:
    """A client that says nothing about the call: the hold window at the rate of a use without a number."""
    units = packs.free_units(account.id, item.label, at=at)
    asked = _Asked(account, item, opening, CallFacts(), at, units.seconds)
    window = window_seconds(item, request, at)
    hold = asked.price(window)
    if hold > max(ZERO, account.available):
        raise InsufficientBalance
    return Plan(
        account, item, hold, prices=asked.first_second(), covered_seconds=asked.covered(window), **asked.unit_terms()
    )


def _plan_call(account: Account, item: Item, opening: Opening | None, request: UseRequest, at: datetime) -> Plan:
    units = packs.free_units(account.id, item.label, at=at)
    asked = _Asked(account, item, opening, request.call or CallFacts(), at, units.seconds, request.ring_timeout)
    first = asked.first_second()
    limit, reason = item.max_seconds, "plan"
    if request.max_seconds and request.max_seconds <= limit:
        limit, reason = request.max_seconds, "requested"
    seconds = asked.longest(limit, account.available)
    if seconds < limit:
        reason = "balance"
    step = max(1, request.step)
    seconds -= seconds % step
    if seconds < 1:
        raise InsufficientBalance
    return Plan(
        account, item, asked.price(seconds), seconds, reason, prices=first,
        covered_seconds=asked.covered(seconds), **asked.unit_terms(),
    )  # fmt: skip


class _Asked:
    """One call being planned: its price as a function of its duration."""

    def __init__(  # noqa: PLR0913  the circumstances of a call
        self, account: Account, item: Item, opening: Opening | None, call: CallFacts, at: datetime, units_seconds: int,
        ring_timeout: int = 0,
    ) -> None:  # fmt: skip
        self._account, self._item, self._opening, self._call = account, item, opening, call
        self._at, self._units_seconds = at, units_seconds
        self._ringing = self._billed_ringing(ring_timeout) if item.legs in {"a", "both"} and ring_timeout else 0

    def price(self, seconds: int) -> Decimal:
        """The price of a call of so many seconds, ringing of leg A included, after package units."""
        return round_amount(self._prices(seconds).amount, method="half_up", decimals=6)

    def covered(self, seconds: int) -> int:
        """Seconds of it that package units pay, in whole minutes."""
        return min(self._units_seconds, whole_minutes(seconds))

    def longest(self, limit: int, available: Decimal) -> int:
        """The greatest whole number of seconds up to `limit` that fits; 0 when not even one does."""
        least, most = 0, limit
        while least < most:
            middle = (least + most + 1) // 2
            if self.price(middle) <= available:
                least = middle
            else:
                most = middle - 1
        return least

    def first_second(self) -> DeckPrices:
        """The prices of one second. Raises DestinationBlocked, and NoRate where the gate refuses the default rate."""
        try:
            found = deck_prices(self._question(1, covered=0, ringing=0))
        except NoRate as missing:
            if missing.fields.get("cause") == "blocked":
                raise DestinationBlocked from missing
            raise
        if found.error is not None and found.error.code == "blocked":
            raise DestinationBlocked
        if found.error is not None and settings.RATING_MISSING_RATE_AT_GATE == "refuse":
            raise NoRate(found.error.code)
        return found

    def unit_terms(self) -> dict[str, Any]:
        """Price of one increment of all legs, the increment of the leg that talks, connect fees."""
        found = self.first_second()
        lines = [_line(leg, found, price) for leg, price in found.prices.items()]
        return {
            "unit": sum((line.price for line in lines), ZERO),
            "increment": lines[-1].increment_seconds,
            "connect_fee": sum((line.connect_fee for line in lines), ZERO),
        }

    def _billed_ringing(self, ring_timeout: int) -> int:
        """B's ringing as leg A pays it: whole increments."""
        return -(-self._prices(0, ringing=ring_timeout).prices["a"].billed // NANOSECONDS)

    def _prices(self, seconds: int, *, ringing: int | None = None) -> DeckPrices:
        return deck_prices(
            self._question(
                seconds, covered=self.covered(seconds), ringing=self._ringing if ringing is None else ringing
            )
        )

    def _question(self, seconds: int, *, covered: int, ringing: int) -> Question:
        answer = self._at + timedelta(seconds=ringing)
        call = CallFacts(
            caller=self._call.caller, called=self._call.called, call_type=self._call.call_type,
            agent_answer_at=self._at, carrier=self._call.carrier, trunk=self._call.trunk,
        )  # fmt: skip
        return Question(
            self._item, self._opening, self._account.organization, self._account.accno, answer,
            answer + timedelta(seconds=seconds), 1, call, covered_seconds=min(covered, seconds),
        )  # fmt: skip


def _line(leg: str, found: DeckPrices, price: Price) -> QuoteLine:
    """The terms of a leg, read off the price of its first second."""
    amounts = {str(step["what"]): parse_amount(str(step["amount"])) for step in price.steps}
    winner, asked = price.winner, found.legs[leg]
    return QuoteLine(
        leg, asked.number.key or asked.call.dialled, str(winner["prefix"]), asked.carrier, str(winner["band"] or ""),
        amounts.get("increments", ZERO), -(-price.billed // NANOSECONDS), amounts.get("connect_fee", ZERO),
    )  # fmt: skip


def answer_json(receipt: StartReceipt) -> dict[str, object]:
    """A start's answer as stored for repeats."""
    return {
        "svcno": receipt.svcno, "record_id": receipt.record_id, "expire": receipt.expire.isoformat(),
        "max_seconds": receipt.max_seconds, "limit_reason": receipt.limit_reason, "hold": amount_text(receipt.hold),
        "available": amount_text(receipt.available), "currency": receipt.currency,
        "charged_legs": receipt.charged_legs, "pack_units": amount_text(receipt.pack_units),
    }  # fmt: skip


def answer_from_json(answer: dict[str, Any]) -> StartReceipt:
    """The stored answer of a start."""
    return StartReceipt(
        answer["svcno"], answer["record_id"], datetime.fromisoformat(answer["expire"]), answer["max_seconds"],
        answer["limit_reason"], parse_amount(answer["hold"]), parse_amount(answer["available"]), answer["currency"],
        answer["charged_legs"], parse_amount(answer["pack_units"]),
    )  # fmt: skip
