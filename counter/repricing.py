"""Asking the question of a stored use again, at the price or the deck versions that answered it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from billing_platform.money import parse_amount, round_amount
from counter.content import CONTENT_FIELDS
from counter.items import Item, Mode
from counter.pricing import ESTIMATE_POLICY, SIX_PLACES, Question, leg_calls
from counter.uses import CallFacts
from rating import engine, tariffs
from rating.errors import DeckUnknown
from rating.question import AskedCall

ZERO = Decimal(0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredUse:
    """A charged use as stored: what was asked (`content`), and why it cost what it cost (`explanation`)."""

    organization: str
    start: datetime
    finish: datetime
    content: str
    explanation: str


def cost_again(use: StoredUse, item: Item) -> Decimal | None:
    """The cost by the stored terms; None where a call met several versions of a deck, or a version is gone.

    Raises PricingError when the stored version has no price for the stored call.
    """
    why: dict[str, Any] = msgspec.json.decode(use.explanation)
    if why.get("answered") is False:
        return ZERO
    if why["mode"] == Mode.BY_DECK:
        return _by_deck(use, item, why)
    count, price = Decimal(why["count"]), parse_amount(why["price"])
    if why["mode"] == Mode.PER_USE:
        amount = price * count
    else:
        amount = parse_amount(why["connect_fee"]) + price * count * _increments(use, why)
    return round_amount(amount, method=why["rounding"], decimals=why["decimals"])


def _increments(use: StoredUse, why: Mapping[str, Any]) -> int:
    lasted = max(use.finish - use.start, timedelta(seconds=why["min_seconds"]))
    paid = lasted - timedelta(seconds=why.get("covered_seconds", 0))
    return max(0, -(-paid // timedelta(seconds=why["increment"])))


def _by_deck(use: StoredUse, item: Item, why: Mapping[str, Any]) -> Decimal | None:
    lines: dict[str, dict[str, Any]] = {line["leg"]: line for line in why["lines"]}
    legs = leg_calls(_question(use, replace(item, legs="both" if len(lines) > 1 else next(iter(lines))), why))
    amounts = [_leg_cost(legs[leg], line, why) for leg, line in lines.items()]
    total = sum((amount for amount in amounts if amount is not None), ZERO)
    return None if None in amounts else round_amount(total, method="half_up", decimals=SIX_PLACES)


def _question(use: StoredUse, item: Item, why: Mapping[str, Any]) -> Question:
    given = dict(zip(CONTENT_FIELDS, msgspec.json.decode(use.content), strict=True))
    agent_answer = given["agent_answer_time"]
    call = CallFacts(
        caller=given["caller"], called=given["called"], carrier=given["carrier"],
        agent_answer_at=None if agent_answer is None else EPOCH + timedelta(microseconds=agent_answer),
    )  # fmt: skip
    return Question(
        item, None, use.organization, given["accno"], use.start, use.finish, 1, call,
        covered_seconds=why.get("covered_seconds", 0),
    )  # fmt: skip


def _leg_cost(asked: AskedCall, line: Mapping[str, Any], why: Mapping[str, Any]) -> Decimal | None:
    versions: dict[str, int | list[int]] = line["versions"]["decks"]
    ((deck, version), *others) = versions.items()
    if others or not isinstance(version, int):
        return None
    call = replace(asked.call, carrier=line["number"]["carrier"])
    try:
        tariff = tariffs.deck_tariff(deck, at=call.at, version=version)
    except DeckUnknown:
        return None
    if "error" in why:
        return engine.price_call(replace(call, key=call.key or ""), tariff).amount
    price = engine.dearest if why.get("rate_policy") == ESTIMATE_POLICY else engine.price_call
    return price(call, tariff).amount
