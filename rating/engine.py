"""What does this call cost? Five pure functions; the same inputs give the same amount on every machine.

    price_call    one call                       price_legs    a call with two charged legs
    price_calls   many, each answered alone      seconds_for   how long will this money last
                                                 dearest       the most that a call of this length can cost

Arithmetic is exact and rounded once, by the first increment's rate. An increment is charged wholly at the rate in
force when it starts; at each boundary (band, midnight, version, assignment, row period, zone offset) the rate is
looked up afresh. The engine takes no clock, no database and no settings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from math import lcm

from billing_platform.money import add_amounts, rounder_over
from rating.call import BAD_INPUT, CURRENCY_MISMATCH, Call, PricingError, nanoseconds
from rating.explaining.explanation import Climb
from rating.ladder import Ladder
from rating.lookup import Found, rate_for, reachable
from rating.price import LegsPrice, Price
from rating.tariff import Activation, Subject, Tariff, single_deck_tariff
from rating.terms import VOICE
from rating.timetable import SECOND, Calendar

__all__ = [
    "Activation", "Calendar", "Call", "LegsPrice", "Price", "PricingError", "Subject", "Tariff", "dearest",
    "nanoseconds", "price_call", "price_calls", "price_legs", "seconds_for", "single_deck_tariff",
]  # fmt: skip


def price_call(call: Call, tariff: Tariff) -> Price:
    """The price of one call, with its steps. Raises PricingError; nothing is priced at 0 for want of a rate."""
    call.check()
    start = call.start()
    return _priced(call, tariff, start, rate_for(call, tariff, start))


def price_calls(calls: Iterable[tuple[Call, Tariff]]) -> list[Price | PricingError]:
    """A batch: each call is answered alone, in the order given; an error is an answer."""
    return [_answer(call, tariff) for call, tariff in calls]


def price_legs(legs: Mapping[str, Call], tariff_by_leg: Mapping[str, Tariff]) -> LegsPrice:
    """Price each charged leg by its own tariff and add. A leg that was not answered is left out, or lasts 0.

    Raises PricingError for the first leg without a price; `detail` names the leg.
    """
    lines = tuple((leg, _leg_price(leg, call, tariff_by_leg)) for leg, call in legs.items())
    if not lines:
        raise PricingError(BAD_INPUT, at=None, detail={"field": "legs", "reason": "no leg is charged"})
    currencies = {price.currency for _, price in lines}
    if len(currencies) > 1:
        at = lines[0][1].call.at
        raise PricingError(CURRENCY_MISMATCH, at=at, detail={"currencies": ", ".join(sorted(currencies))})
    return LegsPrice(add_amounts(*(price.amount for _, price in lines)), lines[0][1].currency, lines)


def seconds_for(amount: Decimal, call: Call, tariff: Tariff, *, ask: int) -> int:
    """The greatest whole number of seconds (units for other kinds), at most `ask`, whose price the amount covers.

    Where the rate says `disconnect`, the cost must not pass its cap either. The call's own quantity is ignored.
    A call that loses its rate on the way lasts until there. Raises PricingError when not even its start has a price.
    """
    unit = SECOND if call.kind == VOICE else 1
    replace(call, quantity=ask * unit).check()
    price_call(replace(call, quantity=0), tariff)
    least, most = 0, ask
    while least < most:
        middle = (least + most + 1) // 2
        if _is_covered(replace(call, quantity=middle * unit), tariff, amount=amount):
            least = middle
        else:
            most = middle - 1
    return least


def dearest(call: Call, tariff: Tariff) -> Price:
    """The whole call at the one rate that makes it dearest, over all bands, day classes and carriers of the tariff.

    For calls whose end never came. Raises PricingError when no rate can be reached from the number.
    """
    call.check()
    start = call.start()
    prices = [_priced(call, tariff, start, found) for found in reachable(call, tariff, start)]
    if not prices:
        return price_call(call, tariff)  # raises: it says why nothing is there
    return max(prices, key=lambda price: (price.amount, price.exact))


def _answer(call: Call, tariff: Tariff) -> Price | PricingError:
    try:
        return price_call(call, tariff)
    except PricingError as refused:
        return refused.with_traceback(None)  # an answer keeps no frames alive


def _leg_price(leg: str, call: Call, tariff_by_leg: Mapping[str, Tariff]) -> Price:
    try:
        return price_call(call, tariff_by_leg[leg])
    except PricingError as refused:
        refused.detail["leg"] = leg
        raise


def _is_covered(call: Call, tariff: Tariff, *, amount: Decimal) -> bool:
    try:
        price = price_call(call, tariff)
    except PricingError:
        return False  # the start has a price, so the rate is lost on the way
    cutoff = price.ladder.cutoff
    return price.amount <= amount and (cutoff is None or price.exact <= cutoff)


def _priced(call: Call, tariff: Tariff, start: int, first: Found) -> Price:
    used, quantity = first.ladder, call.quantity
    denominator = used.denominator
    if quantity == 0 or call.elapsed + quantity < used.free_below:
        return _settled(call, first, [], 0, denominator)
    climbs: list[Climb] = []
    total = 0 if call.is_continued else used.connect_fee
    found, pos, timed = first, 0, call.kind == VOICE
    while True:
        stop = found.until - start
        if stop > quantity or not timed:
            stop = quantity
        cost, pos = _climb(found, used, climbs, call.elapsed, pos, stop)
        if used.denominator != denominator:
            common = lcm(denominator, used.denominator)
            total, cost = total * (common // denominator), cost * (common // used.denominator)
            denominator = common
        total += cost
        if pos >= quantity:
            return _settled(call, first, climbs, total, denominator)
        found = rate_for(call, tariff, start + pos)
        used = found.ladder


def _climb(found: Found, ladder: Ladder, climbs: list[Climb], elapsed: int, pos: int, stop: int) -> tuple[int, int]:
    """Charge increments from `pos` until `stop` is reached; gives their cost and the new position."""
    cost = 0
    for tier in ladder.tiers:
        end = tier.end - elapsed
        if end <= pos:
            continue
        increment = tier.increment
        count = -((pos - (stop if stop < end else end)) // increment)  # a started increment is paid in full
        climbs.append((found, tier, pos, count))
        cost += count * tier.cost
        pos += count * increment
        if pos >= stop:
            break
    return cost, pos


def _settled(call: Call, first: Found, climbs: list[Climb], total: int, denominator: int) -> Price:
    """Minimum, then cap, then the only rounding."""
    ladder = first.ladder
    minimum, cap, rounder = ladder.minimum, ladder.cap, ladder.rounder
    if denominator != ladder.denominator:  # other rates joined in
        factor = denominator // ladder.denominator
        minimum, cap = minimum * factor, cap * factor
        rounder = rounder_over(denominator, rounder.method, rounder.decimals)
    if climbs:
        total = minimum if total < minimum else cap if total > cap else total
    return Price(rounder.amount(total), call, first, climbs, total, denominator)
