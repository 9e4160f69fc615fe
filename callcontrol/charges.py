"""What calls cost, leg by leg, and why: read from the counter's view of the charges in force. Reads only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils.translation import get_language, override

from callcontrol.models import Callback
from rating.explaining.sentence import LANGUAGES, Asked, sentences, sum_text

_CHARGES = """
    SELECT asked.reference, charge.cost, charge.currency, charge.explanation
      FROM unnest(%s::text[], %s::text[]) AS asked (label, reference)
      JOIN counter_use_explanations charge ON charge.label = asked.label AND charge.providerno = asked.reference
     WHERE charge.organization = %s
"""
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LegCharge:
    """A charged leg: `a` the agent's, `b` the customer's. `amount` in `currency`; `sentence` says how it came about."""

    leg: str
    amount: Decimal
    currency: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class _Charge:
    """A charge in force, with the explanation of each leg; no line where no deck priced it."""

    cost: Decimal
    currency: str
    lines: Sequence[Line]


def read_legs(calls: Sequence[Callback]) -> dict[str, tuple[LegCharge, ...]]:
    """By call id the charged legs of calls of one organisation, without sentences.

    Left out: calls without a deck's price, and calls whose own row does not show the newest charge yet, so that the
    legs on a page always add up to its cost.
    """
    costs = {call.reference: call.cost for call in calls if call.cost is not None}
    found = _charges([call for call in calls if call.cost is not None])
    return {
        reference: tuple(LegCharge(line["leg"], Decimal(line["amount"]), line["currency"]) for line in charge.lines)
        for reference, charge in found.items()
        if charge.lines and sum(Decimal(line["amount"]) for line in charge.lines) == costs[reference]
    }


def charge_facts(call: Callback) -> dict[str, Any]:
    """The charge of a call as it stands, fit to be kept: cost, seconds, each leg with its explanation and sentences."""
    charge = _charges([call]).get(call.reference)
    cost = charge.cost if charge is not None else call.cost
    return {
        "cost": None if cost is None else f"{cost:f}",
        "currency": charge.currency if charge is not None else call.currency,
        "billable_seconds": call.billable_seconds,
        "legs": [_leg(line, call.ended_at) for line in charge.lines] if charge is not None else [],
    }


def told_legs(facts: Mapping[str, Any]) -> tuple[LegCharge, ...]:
    """The legs of such facts, with their sentence in the reader's language."""
    name = "sentence_zh" if (get_language() or "").startswith("zh") else "sentence_en"
    return tuple(LegCharge(leg["leg"], Decimal(leg["amount"]), leg["currency"], leg[name]) for leg in facts["legs"])


def _charges(calls: Sequence[Callback]) -> dict[str, _Charge]:
    """By call id what the counter says of these calls of one organisation; what it never charged is left out."""
    if not calls:
        return {}
    asked = [call.label for call in calls], [call.reference for call in calls], calls[0].organization
    with connection.cursor() as cursor:
        cursor.execute(_CHARGES, list(asked))
        rows = cursor.fetchall()
    return {
        reference: _Charge(cost, currency, json.loads(explanation).get("lines", []) if explanation else [])
        for reference, cost, currency, explanation in rows
    }


def _leg(line: Line, ended_at: datetime | None) -> dict[str, Any]:
    told = {"leg": line["leg"], "amount": line["amount"], "currency": line["currency"]}
    return {**told, **_sentences(line, ended_at), "explanation": line}


def _sentences(line: Line, ended_at: datetime | None) -> dict[str, str]:
    """Told from the leg's own first increment to the end of the call; a leg without increments is told by its sum."""
    began = next((datetime.fromisoformat(step["at"]) for step in line["steps"] if step["what"] == "increments"), None)
    if began is not None and ended_at is not None:
        seconds = (ended_at.replace(microsecond=0) - began.replace(microsecond=0)).total_seconds()
        return sentences(line, Asked(began, Decimal(round(seconds))))
    told = {}
    for name, language in LANGUAGES.items():
        with override(language):
            told[f"sentence_{name}"] = sum_text(line)
    return told
