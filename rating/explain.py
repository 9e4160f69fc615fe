"""Why is this the price? One function for the command, the API and the pages; the same `price_call` as the counter's.

A pricing error is an answer too; only a question that cannot be read is refused.
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import override

from billing_platform.money import add_amounts, amount_text, parse_amount
from rating import tariffs
from rating.call import BAD_NUMBER, BAND_GAP, BLOCKED, NO_RATE, NO_TARIFF, PricingError
from rating.candidates import Loser, candidates_at
from rating.carriers import segments_revision
from rating.engine import price_call
from rating.errors import QuestionUnreadable
from rating.explain_input import LEGS_MAX, Question, read_question
from rating.messages import PRICING_MESSAGES
from rating.models import TariffProfile
from rating.number_tables import AREA_PLACES
from rating.question import AskedCall, read_call
from rating.segments import NumberContext
from rating.tariff import Tariff

CANDIDATES_MAX = 50
PRICED_BY_DEFAULT = frozenset({NO_TARIFF, NO_RATE, BAND_GAP, BLOCKED, BAD_NUMBER})
_LEG_FIELDS = frozenset({"leg", "destination", "answer_time", "duration"})

Answer = dict[str, Any]


def explain(question: object) -> Answer:
    """The answer to one question (a JSON object). Raises QuestionUnreadable, DeckUnknown."""
    if isinstance(question, dict) and "legs" in question:
        return _explain_legs(question)
    return _explain_call(read_question(question))


def _explain_legs(question: Mapping[str, Any]) -> Answer:
    """Each leg on its own number, instant, duration and category; the price of the call is their sum."""
    legs = question["legs"]
    shared = {name: value for name, value in question.items() if name != "legs"}
    if not isinstance(legs, list) or not 1 <= len(legs) <= LEGS_MAX or _LEG_FIELDS & shared.keys():
        raise QuestionUnreadable(errors={"legs": "one or two legs, each with its own call"})
    lines = [_explain_leg(shared, leg) for leg in legs]
    amounts = [parse_amount(line["amount"]) for line in lines if line["amount"] is not None]
    complete = len(amounts) == len(lines) and len({line["currency"] for line in lines}) == 1
    return {
        "ref": question.get("ref"),
        "amount": amount_text(add_amounts(*amounts)) if complete else None,
        "currency": lines[0]["currency"],
        "lines": lines,
        "error": next((line["error"] for line in lines if line["error"]), None),
    }


def _explain_leg(shared: Mapping[str, Any], leg: object) -> Answer:
    if not isinstance(leg, dict) or not isinstance(leg.get("leg"), str) or leg.keys() - _LEG_FIELDS:
        raise QuestionUnreadable(errors={"legs": f"a leg has {', '.join(sorted(_LEG_FIELDS))}"})
    call = {name: value for name, value in leg.items() if name != "leg"}
    category = f"{shared.get('category', 'call')}.{leg['leg']}"
    return {"leg": leg["leg"], **_explain_call(read_question({**shared, **call, "category": category}))}


def _explain_call(question: Question) -> Answer:
    asked = read_call(question.facts, context=NumberContext(settings.RATING_HOME_AREA))
    tariff = _tariff(question)
    answer: Answer = {"ref": question.ref, **_nothing(tariff), "input": _input(question), "number": _number(asked)}
    try:
        price = price_call(asked.call, tariff)
    except PricingError as refused:
        answer |= {"error": _error(refused), "policy": _policy(refused, asked, tariff)}
    else:
        answer |= price.explanation()
    losers = candidates_at(asked.call, tariff, question.facts.at)
    answer["candidates"] = [_candidate(loser) for loser in losers[:CANDIDATES_MAX]]
    answer["candidates_total"] = len(losers)
    answer["versions"] = {**answer["versions"], "segments": segments_revision()}
    return answer


def _tariff(question: Question) -> Tariff:
    at = question.facts.at
    if question.deck:
        return tariffs.deck_tariff(question.deck, at=at, version=question.version)
    tenant = question.tenant or _only_tenant(question.plan)
    return tariffs.tariff_for(
        plan=question.plan, tenant=tenant, category=question.category, subject=question.subject, at=at
    )


def _only_tenant(plan: str) -> str:
    tenants = TariffProfile.objects.filter(plan=plan).values_list("tenant", flat=True).distinct().order_by()[:2]
    if len(tenants) != 1:
        raise QuestionUnreadable(errors={"tenant": "needed: the plan has none, or several"})
    return tenants[0]


def _nothing(tariff: Tariff) -> Answer:
    """The answer's fields while there is no price."""
    return {
        "amount": None,
        "currency": tariff.currency,
        "winner": None,
        "steps": [],
        "billed": None,
        "day_classes": {},
        "calendar_provisional": False,
        "versions": {"decks": {}, "calendar": tariff.calendar.revision},
        "flags": [],
        "policy": None,
        "error": None,
    }


def _input(question: Question) -> Answer:
    facts = question.facts
    quantity = {"duration": str(facts.duration)} if facts.units is None else {"units": facts.units}
    whose = (
        {"deck": question.deck, "version": question.version}
        if question.deck
        else {
            "plan": question.plan,
            "tenant": question.tenant,
            "category": question.category,
            "subject": question.subject,
        }
    )
    asked = {"destination": facts.destination, "kind": facts.kind, "answer_time": facts.at.isoformat()}
    return {**whose, **asked, **quantity}


def _number(asked: AskedCall) -> Answer:
    number = asked.number
    return {
        "key": number.key,
        "kind": number.kind.value,
        "area": number.area,
        "city": asked.city or AREA_PLACES.get(number.area, ""),
        "carrier": asked.carrier or None,
        "carrier_from": asked.carrier_from,
        "reach": asked.call.reach or None,
        "reason": number.reason or None,
    }


def _candidate(loser: Loser) -> Answer:
    shown: Answer = {
        "deck": loser.deck,
        "version": loser.version,
        "rate_id": loser.rate_id,
        "prefix": loser.prefix,
        "band": loser.band,
        "lost_because": loser.lost_because,
    }
    return shown if loser.starts is None else {**shown, "from": loser.starts.isoformat()}


def _error(refused: PricingError) -> Answer:
    message = PRICING_MESSAGES[refused.code]
    texts = {}
    for name, language in (("message_zh", "zh-hans"), ("message_en", "en")):
        with override(language):
            texts[name] = str(message)
    at = refused.at.isoformat() if refused.at else None
    return {"code": refused.code, "at": at, "detail": refused.detail, **texts}


def _policy(refused: PricingError, asked: AskedCall, tariff: Tariff) -> Answer | None:
    """What the charge does about it: the default deck prices the whole call, or the charge stays failed."""
    if refused.code not in PRICED_BY_DEFAULT:
        return None
    default = tariffs.default_tariff(tariff.currency, at=asked.call.at)
    if default is None:
        return {"action": "fail"}
    try:
        price = price_call(asked.call if asked.call.key is not None else asked.without_number(), default)
    except PricingError as none_either:
        return {"action": "fail", "code": none_either.code}
    return {"action": "default_rate", "deck": price.winner["deck"], "amount": amount_text(price.amount)}
