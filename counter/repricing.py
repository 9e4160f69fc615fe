"""Asking the question of a stored use again, at the price or the deck versions that answered it.

Only what is stored with the use is read: number, carrier and reach as they were found, the versions, the day classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from billing_platform.money import parse_amount, round_amount
from counter.charged import Asked, Charged, Line
from counter.items import Item, Mode, Opening
from counter.pricing import LegRead, Question, time_to_price
from counter.uses import CallFacts
from rating.engine import Call
from rating.errors import DeckUnknown
from rating.explaining.again import StoredCharge, amount_again
from rating.numbers.carriers import CarrierFound
from rating.question import Reach
from rating.segments import Kind, Number

ZERO = Decimal(0)
_KINDS = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class StoredUse:
    """A charged use as stored: what was asked (`content`), and why it cost what it cost (`explanation`)."""

    start: datetime
    finish: datetime
    content: str
    explanation: str


def cost_again(use: StoredUse) -> Decimal | None:
    """The cost by the stored terms; None where a version is gone.

    Raises PricingError when the stored version has no price for the stored call.
    """
    why: dict[str, Any] = msgspec.json.decode(use.explanation)
    if why.get("answered") is False:
        return ZERO
    if why["mode"] == Mode.BY_DECK:
        return _by_deck(use, why)
    count, price = Decimal(why["count"]), parse_amount(why["price"])
    if why["mode"] == Mode.PER_USE:
        amount = price * count
    else:
        amount = parse_amount(why["connect_fee"]) + price * count * _increments(use, why)
    return round_amount(amount, method=why["rounding"], decimals=why["decimals"])


def stored_call(asked: Asked, line: Line, *, start: datetime, finish: datetime, covered_seconds: int) -> Call:
    """The engine's question about a leg, as its number was read when it was charged: that of `stored_leg`, put
    together without the steps between, since a million are asked."""
    number, raw = line.number, _dialled(asked, line)
    if line.leg == "a":
        start = asked.agent_answer or start
    at, quantity, elapsed = time_to_price(start, finish, covered_seconds)
    return Call(
        key=(number.key or None) if raw else "", at=at, quantity=quantity, carrier=number.carrier, reach=number.reach,
        elapsed=elapsed, dialled=raw,
    )  # fmt: skip


def stored_leg(asked: Asked, line: Line) -> LegRead:
    """How the number of a leg was read when it was charged."""
    number, raw = line.number, _dialled(asked, line)
    return LegRead(
        Number(raw, number.key, _KINDS[number.kind]), CarrierFound(number.carrier, number.carrier_from),
        Reach(number.reach, number.area, number.caller_area),
    )  # fmt: skip


def _dialled(asked: Asked, line: Line) -> str:
    return line.number.dialled or (asked.caller if line.leg == "a" else asked.called)


def question_again(use: Charged, item: Item, opening: Opening | None, *, organization: str) -> Question:
    """The question of a stored use, for today's tariffs: the numbers and carriers are those of then."""
    asked, why = use.asked, use.why
    call = CallFacts(
        caller=asked.caller, called=asked.called, call_type=asked.call_type, agent_answer_at=asked.agent_answer,
        answered=asked.answered, answer_basis=asked.answer_basis, trunk=asked.trunk, carrier=asked.carrier,
    )  # fmt: skip
    return Question(
        item, opening, organization, asked.accno, use.start, use.finish, use.uses, call, rate_policy=why.rate_policy,
        covered_seconds=why.covered_seconds, covered_uses=why.covered_uses,
        read={line.leg: stored_leg(asked, line) for line in why.lines},
    )  # fmt: skip


def _increments(use: StoredUse, why: Mapping[str, Any]) -> int:
    lasted = max(use.finish - use.start, timedelta(seconds=why["min_seconds"]))
    paid = lasted - timedelta(seconds=why.get("covered_seconds", 0))
    return max(0, -(-paid // timedelta(seconds=why["increment"])))


def _by_deck(use: StoredUse, why: Mapping[str, Any]) -> Decimal | None:
    asked = msgspec.json.decode(use.content, type=Asked)
    charge = StoredCharge(
        ref="", cost=ZERO, caller=asked.caller, called=asked.called, start=use.start, finish=use.finish,
        agent_answer=asked.agent_answer, explanation=why,
    )  # fmt: skip
    try:
        return amount_again(charge)
    except DeckUnknown:
        return None
