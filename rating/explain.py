"""Why is this the price? One function for the command, the API and the pages; the same `price_call` as the counter's.

A pricing error is an answer too; only a question that cannot be read is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils.translation import override

from billing_platform.money import add_amounts, amount_text, parse_amount, ratio_text
from rating import tariffs
from rating.call import BAD_NUMBER, BAND_GAP, BLOCKED, NO_RATE, NO_TARIFF, Call, PricingError
from rating.candidates import Change, Loser, Nearest, candidates_at, nearest_prefixes, next_change
from rating.engine import price_call
from rating.errors import QuestionUnreadable
from rating.explaining.known import explained_deck, explained_tariff, explained_version
from rating.explaining.reading import LEGS_MAX, Question, read_question
from rating.explaining.sentence import LANGUAGES, Asked, sentences
from rating.lookup import Found
from rating.messages import PRICING_MESSAGES
from rating.models import TariffProfile
from rating.numbers import dialling
from rating.numbers.carrier_lookup import recall
from rating.numbers.carriers import place_of, segments_revision
from rating.question import AskedCall, read_call
from rating.segments import read_number
from rating.tariff import Link, Tariff
from rating.terms import VOICE
from rating.timetable import instant_of

CANDIDATES_MAX = 50
PRICED_BY_DEFAULT = frozenset({NO_TARIFF, NO_RATE, BAND_GAP, BLOCKED, BAD_NUMBER})
_LEG_FIELDS = frozenset({"leg", "destination", "answer_time", "duration"})

Answer = dict[str, Any]


class _Asked(NamedTuple):
    """A question with its number read and its tariff found."""

    question: Question
    asked: AskedCall
    tariff: Tariff


def explain(question: object) -> Answer:
    """The answer to one question (a JSON object). Raises QuestionUnreadable, DeckUnknown."""
    if isinstance(question, dict) and "legs" in question:
        return _explain_legs(question)
    return _explain_call(_read(read_question(question)))


def _explain_legs(question: Mapping[str, Any]) -> Answer:
    """Each leg on its own number, instant, duration and category; the price of the call is their sum."""
    legs = question["legs"]
    shared = {name: value for name, value in question.items() if name != "legs"}
    if not isinstance(legs, list) or not 1 <= len(legs) <= LEGS_MAX or _LEG_FIELDS & shared.keys():
        raise QuestionUnreadable(errors={"legs": "one or two legs, each with its own call"})
    asked = {leg: _read(read_question(call)) for leg, call in (_read_leg(shared, leg) for leg in legs)}
    if len(asked) != len(legs):
        raise QuestionUnreadable(errors={"legs": "each leg once"})
    lines = [{"leg": leg, **_explain_call(one)} for leg, one in asked.items()]
    amounts = [parse_amount(line["amount"]) for line in lines if line["amount"] is not None]
    complete = len(amounts) == len(lines) and len({line["currency"] for line in lines}) == 1
    error = next((line["error"] for line in lines if line["error"]), None)
    return {
        "ref": question.get("ref"),
        "amount": amount_text(add_amounts(*amounts)) if complete else None,
        "currency": lines[0]["currency"],
        "lines": lines,
        "policy": _policy(error["code"], list(asked.values())) if error else None,
        "error": error,
    }


def _read_leg(shared: Mapping[str, Any], leg: object) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(leg, dict) or not isinstance(leg.get("leg"), str) or leg.keys() - _LEG_FIELDS:
        raise QuestionUnreadable(errors={"legs": f"a leg has {', '.join(sorted(_LEG_FIELDS))}"})
    call = {name: value for name, value in leg.items() if name != "leg"}
    return leg["leg"], {**shared, **call, "category": f"{shared.get('category', 'call')}.{leg['leg']}"}


def _read(question: Question) -> _Asked:
    context = dialling.at_home()
    recall(read_number(text, context).key for text in [question.facts.destination or ""])
    asked = read_call(question.facts, context=context)
    return _Asked(question, asked, _tariff(question, asked.call))


def _explain_call(one: _Asked) -> Answer:
    question, asked, tariff = one
    answer: Answer = {"ref": question.ref, **_nothing(tariff), "input": _input(question), "number": _number(asked)}
    if question.facts.destination is None:
        answer["flags"] = ["no_number"]
    try:
        price = price_call(asked.call, tariff)
    except PricingError as refused:
        answer |= {"error": _error(refused), "policy": _policy(refused.code, [one])}
        if refused.code == NO_RATE:
            near = nearest_prefixes(asked.call, tariff, question.facts.at)
            answer["nearest"] = [_nearest(prefix) for prefix in near]
    else:
        answer |= price.explanation()
        answer |= sentences(answer, _when(question, price.first.link.version.zone))
    links = tariff.stage_at(instant_of(question.facts.at), asked.call.carrier).links
    answer["chain"] = [_link(link) for link in links]
    losers = candidates_at(asked.call, tariff, question.facts.at)
    answer["candidates"] = [_candidate(loser) for loser in losers[:CANDIDATES_MAX]]
    answer["candidates_total"] = len(losers)
    answer["next_change"] = _change(next_change(asked.call, tariff, question.facts.at), asked.call)
    answer["versions"] = {**answer["versions"], "segments": segments_revision()}
    return answer


def _tariff(question: Question, call: Call) -> Tariff:
    if question.deck and question.version is not None:
        return explained_version(question.deck, question.version, at=call.at, known_at=question.known_at)
    if question.deck:
        return explained_deck(question.deck, call, known_at=question.known_at)
    tenant = question.tenant or _only_tenant(question.plan)
    key = tariffs.TariffKey(question.plan, tenant, question.category, question.subject)
    return explained_tariff(key, call, known_at=question.known_at, levels=question.fallback_depth)


def _only_tenant(plan: str) -> str:
    tenants = TariffProfile.objects.filter(plan=plan).values_list("tenant", flat=True).distinct().order_by()[:2]
    if len(tenants) > 1:
        raise QuestionUnreadable(errors={"tenant": "needed: the plan has several"})
    return tenants[0] if tenants else ""  # a plan without any has no tariff for anybody


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
        "skipped_subjects": list(tariff.skipped),
        "nearest": [],
        "sentence_zh": None,
        "sentence_en": None,
        "policy": None,
        "error": None,
    }


def _input(question: Question) -> Answer:
    """The question as it was understood; what has a default is shown, what may be left out only where it was given."""
    facts = question.facts
    if question.deck:
        whose: Answer = {"deck": question.deck, "version": question.version}
    else:
        whose = {name: getattr(question, name) for name in ("plan", "tenant", "category", "subject")}
    asked = {"destination": facts.destination, "kind": facts.kind, "answer_time": facts.at.isoformat()}
    quantity = {"duration": str(facts.duration)} if facts.units is None else {"units": facts.units}
    further = {
        "caller": facts.caller or None,
        "carrier": facts.carrier or None,
        "elapsed": str(facts.elapsed) if facts.elapsed else None,
        "continued": facts.continued,
        "fallback_depth": question.fallback_depth,
        "known_at": question.known_at.isoformat() if question.known_at else None,
    }
    return {**whose, **asked, **quantity, **{name: value for name, value in further.items() if value is not None}}


def _when(question: Question, zone: Any) -> Asked:
    """For the sentence: times as the deck's zone shows them."""
    facts = question.facts
    if facts.kind == VOICE:
        return Asked(facts.at.astimezone(zone), Decimal(facts.duration))
    return Asked(facts.at, Decimal(facts.units or 0), timed=False)


def _number(asked: AskedCall) -> Answer:
    number = asked.number
    place = place_of(number, at=asked.call.at)
    return {
        "key": number.key,
        "kind": number.kind.value,
        "area": number.area or place.area,
        "city": place.city_zh,
        "carrier": asked.carrier or None,
        "carrier_from": asked.carrier_from,
        "reach": asked.reach.name or None,
        "caller_area": asked.reach.caller_area or None,
        "reason": number.reason or None,
    }


def _link(link: Link) -> Answer:
    """A deck that was in force for one subject of the chain."""
    return {"subject": link.subject, "deck": link.version.head.deck, "version": link.version.head.version}


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


def _nearest(near: Nearest) -> Answer:
    return {"deck": near.deck, "version": near.version, "prefix": near.prefix, "destination": near.destination}


def _change(change: Change | None, call: Call) -> Answer | None:
    """When another rate begins to count, and which; `winner` null: none does from there on."""
    if change is None:
        return None
    winner = None if change.found is None else _beginning(change.found, call)
    return {"at": change.at.isoformat(), "winner": winner}


def _beginning(found: Found, call: Call) -> Answer:
    head, tier = found.link.version.head, next((tier for tier in found.ladder.tiers if tier.price), None)
    price = ratio_text(*tier.price.as_integer_ratio()) if tier else "0"
    return {
        "deck": head.deck,
        "version": head.version,
        "rate_id": found.rate_id(call),
        "prefix": found.prefix(call),
        "band": found.term.band.name if found.term.band else None,
        "blocked": found.term.blocked,
        "price": price,
        "per": ratio_text((tier or found.ladder.tiers[0]).unit, found.ladder.scale),
    }


def _error(refused: PricingError) -> Answer:
    message = PRICING_MESSAGES[refused.code]
    texts = {}
    for name, language in LANGUAGES.items():
        with override(language):
            texts[f"message_{name}"] = str(message)
    at = refused.at.isoformat() if refused.at else None
    return {"code": refused.code, "at": at, "detail": refused.detail, **texts}


def _policy(code: str, lines: Sequence[_Asked]) -> Answer | None:
    """What the charge does about it: the default deck prices the whole call, or the charge stays failed."""
    if code not in PRICED_BY_DEFAULT:
        return None
    default = tariffs.default_tariff(lines[0].tariff.currency, at=lines[0].asked.call.at)
    if default is None:
        return {"action": "fail"}
    try:
        prices = [price_call(replace(one.asked.call, key=one.asked.call.key or ""), default) for one in lines]
    except PricingError as none_either:
        return {"action": "fail", "code": none_either.code}
    amount = add_amounts(*(price.amount for price in prices))
    return {"action": "default_rate", "deck": prices[0].winner["deck"], "amount": amount_text(amount)}
