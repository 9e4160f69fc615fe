"""What a deck must answer (试算用例): questions kept with it, asked again of a version before it is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from billing_platform.auth import Caller
from billing_platform.money import amount_text
from billing_platform.trail import record_act
from rating import tariffs
from rating.call import Call, PricingError
from rating.engine import price_call
from rating.errors import DeckUnknown, ExpectationExists, TooManyExpectations
from rating.explaining.reading import read_question
from rating.models import Deck, DeckVersion, ExpectedPrice
from rating.numbers import dialling
from rating.question import read_call
from rating.tariff import Tariff

EXPECTED_MAX = 1_000  # questions of one deck
_OF_THE_ASKER = ("ref", "deck", "version", "plan", "tenant", "category", "subject", "known_at", "fallback_depth")


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """A question whose answer is another one: both as an amount, or as the code of a pricing error."""

    id: int
    name: str
    expected: str
    got: str


def failed_expectations(deck: Deck, version: DeckVersion) -> list[FailedExpectation]:
    """The deck's kept questions that this version, drafts too, answers otherwise; in the order of their making."""
    kept = list(ExpectedPrice.objects.filter(deck=deck).order_by("id")[:EXPECTED_MAX])
    if not kept:
        return []
    at = _call_of(kept[0].question).at
    tariff = tariffs.deck_tariff(deck.code, at=at, version=version.number)
    answers = ((one, _answer(_call_of(one.question), tariff)) for one in kept)
    return [
        FailedExpectation(one.pk, one.name, _told(one.amount, one.error), _told(*answer))
        for one, answer in answers
        if answer != (one.amount, one.error)
    ]


@transaction.atomic
def keep_expectation(deck_code: str, question: Mapping[str, Any], *, name: str, caller: Caller) -> ExpectedPrice:
    """Keep a question with the deck; right is what the deck answers to it now. With an audit entry.

    Raises DeckUnknown, QuestionUnreadable, ExpectationExists, TooManyExpectations.
    """
    deck = Deck.objects.select_for_update().filter(code=deck_code).first()
    if deck is None:
        raise DeckUnknown(deck=deck_code)
    if ExpectedPrice.objects.filter(deck=deck).count() >= EXPECTED_MAX:
        raise TooManyExpectations(limit=EXPECTED_MAX)
    asked = {field: value for field, value in question.items() if field not in _OF_THE_ASKER and value is not None}
    call = _call_of(asked)
    asked["answer_time"] = call.at.isoformat()
    amount, error = _answer(call, tariffs.deck_tariff(deck.code, at=call.at))
    try:
        with transaction.atomic():
            row = ExpectedPrice.objects.create(
                deck=deck, name=name, question=asked, amount=amount, error=error, created_by=caller.actor
            )
    except IntegrityError as twice:
        raise ExpectationExists(name=name) from twice
    kept = {"name": name, "question": asked, "expected": _told(amount, error)}
    record_act(caller, "deck.expect", target=("deck", deck.code), change=(None, kept))
    return row


@transaction.atomic
def drop_expectation(expectation_id: int, *, caller: Caller) -> None:
    """Forget a kept question; one that is gone already is no error. With an audit entry."""
    row = ExpectedPrice.objects.select_related("deck").filter(pk=expectation_id).first()
    if row is None:
        return
    kept = {"name": row.name, "question": row.question, "expected": _told(row.amount, row.error)}
    record_act(caller, "deck.unexpect", target=("deck", row.deck.code), change=(kept, None))
    row.delete()


def _call_of(question: Mapping[str, Any]) -> Call:
    asked = read_question(dict(question))
    return read_call(asked.facts, context=dialling.at_home()).call


def _answer(call: Call, tariff: Tariff) -> tuple[Decimal | None, str]:
    try:
        return price_call(call, tariff).amount, ""
    except PricingError as refused:
        return None, refused.code


def _told(amount: Decimal | None, error: str) -> str:
    if amount is None:
        return error
    whole, _, part = amount_text(amount).partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"
