"""Why a call cost what it cost, from the explanation that was stored with its charge; replaced charges too."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from billing_platform.errors import PlatformError
from billing_platform.money import amount_text
from cdr.models import CallRecord
from cdr.schedule import CHINA
from rating.explaining.again import StoredCharge, call_of, losers_of
from rating.explaining.sentence import Asked, money, sentence, span
from rating.explaining.shown import (
    LoserShown,
    StepShown,
    days_shown,
    number_shown,
    steps_shown,
    stored_losers_shown,
    version_address,
)
from rating.timetable import SECOND

BY_DECK, PER_USE = "by_deck", "per_use"
ZERO = Decimal(0)

_IN_FORCE = """
    SELECT cost, currency, explanation, transfer_id, estimated, supplier_cost FROM counter_use_explanations
    WHERE service_record_id = %s AND organization = %s
"""
_REPLACED = """
    SELECT cost, currency, explanation, transfer_id, reversal_id, replaced_at FROM counter_replaced_charges
    WHERE service_record_id = %s AND organization = %s ORDER BY replaced_at, transfer_id
"""
_TRANSFERS = """
    SELECT id, accno, change, currency, created_at, reverses FROM ledger_transfer_facts WHERE id = ANY(%s) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class LegStory:
    """A charged leg: what it cost and why. `losers` None: the version is not there any more."""

    leg: str
    amount: str
    currency: str
    sentence: str
    steps: list[StepShown]
    losers: list[LoserShown] | None
    number: str
    days: Sequence[tuple[str, str]]
    deck: str
    version: int
    version_link: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class ChargeStory:
    """A charge, in force or replaced: its legs, or one sentence for services that no deck prices.

    `error`: the code of why the default deck had to price it.
    """

    cost: Decimal
    currency: str
    legs: list[LegStory]
    sentence: str
    error: str = ""
    covered_seconds: int = 0
    estimated: bool = False
    replaced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TransferStory:
    """A movement of the account's wallet because of this call; money that leaves is negative."""

    id: int
    accno: str
    change: Decimal
    currency: str
    at: datetime
    reverses: int | None


@dataclass(frozen=True, slots=True)
class Charges:
    """What was ever charged for a call. `supplier_cost` None: nobody knows."""

    in_force: ChargeStory | None = None
    replaced: list[ChargeStory] = field(default_factory=list)
    transfers: list[TransferStory] = field(default_factory=list)
    supplier_cost: Decimal | None = None


def read_charges(record: CallRecord) -> Charges:
    """The charge in force, those that it replaced, and the transfers of all of them."""
    if record.service_record_id is None:
        return Charges()
    named: list[int | str] = [record.service_record_id, record.organization]
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, named)
        row = cursor.fetchone()
        if row is None:
            return Charges()
        cost, currency, explanation, transfer_id, estimated, supplier_cost = row
        cursor.execute(_REPLACED, named)
        earlier = cursor.fetchall()
        ids = [transfer_id, *(number for past in earlier for number in past[3:5])]
        cursor.execute(_TRANSFERS, [[number for number in ids if number is not None]])
        transfers = [TransferStory(*moved) for moved in cursor.fetchall()]
    told = _Told(record)
    return Charges(
        told.charge(cost, currency, explanation, estimated=estimated),
        [told.charge(past[0], past[1], past[2], replaced_at=past[5]) for past in earlier],
        transfers,
        supplier_cost,
    )


class _Told:
    """Tells the charges of one record."""

    def __init__(self, record: CallRecord) -> None:
        self._record = record
        self._start = (record.answer_time or record.start_time).replace(microsecond=0)
        self._finish = (record.end_time or self._start).replace(microsecond=0)

    def charge(
        self, cost: Decimal, currency: str, text: str, *, estimated: bool = False, replaced_at: datetime | None = None
    ) -> ChargeStory:
        """A charge by its stored explanation."""
        why: dict[str, Any] = json.loads(text) if text else {}
        stored = StoredCharge(
            ref="", cost=cost, caller=self._record.caller, called=self._record.called, start=self._start,
            finish=self._finish, agent_answer=self._record.a_answer_time, explanation=why,
        )  # fmt: skip
        lines = why.get("lines", [])
        return ChargeStory(
            cost, currency, [self._leg(stored, line) for line in lines],
            "" if lines else self._plain(cost, currency, why),
            (why.get("error") or {}).get("code", ""), int(why.get("covered_seconds", 0)), estimated, replaced_at,
        )  # fmt: skip

    def _leg(self, stored: StoredCharge, line: Mapping[str, Any]) -> LegStory:
        call, winner = call_of(stored, line), line["winner"]
        zone = _zone_of(line)
        asked = Asked(call.at.astimezone(zone), Decimal(call.quantity) / SECOND)
        try:
            losers = stored_losers_shown(losers_of(stored, line))
        except PlatformError:
            losers = None
        return LegStory(
            line["leg"], line["amount"], line["currency"], sentence(line, asked), steps_shown(line), losers,
            number_shown(line["number"]), days_shown(line["day_classes"]), winner["deck"], winner["version"],
            version_address(winner["deck"], winner["version"]), bool(line["calendar_provisional"]),
        )  # fmt: skip

    def _plain(self, cost: Decimal, currency: str, why: Mapping[str, Any]) -> str:
        """For services that no deck prices, and for calls that nobody answered."""
        total = money(amount_text(cost), currency)
        if why.get("answered") is False or not why:
            return _("Nobody answered: %(total)s") % {"total": total}
        if why.get("mode") == PER_USE:
            words = {"count": why["count"], "price": money(why["price"], currency), "total": total}
            return _("Charged per use: %(count)s × %(price)s = %(total)s") % words
        began, ended = span(self._start.astimezone(CHINA), Decimal((self._finish - self._start).total_seconds()))
        words = {
            "began": began, "ended": ended, "count": why["increments"], "increment": why["increment"],
            "price": money(why["price"], currency), "fee": money(why["connect_fee"], currency), "total": total,
        }  # fmt: skip
        if Decimal(why["connect_fee"]):
            return (
                _(
                    "%(began)s → %(ended)s, charged as %(count)s × %(increment)s s: connect fee %(fee)s + "
                    "%(count)s × %(price)s = %(total)s"
                )
                % words
            )
        return _("%(began)s → %(ended)s, charged as %(count)s × %(increment)s s: %(count)s × %(price)s = %(total)s") % (
            words
        )


def _zone_of(line: Mapping[str, Any]) -> Any:
    """The deck's zone, as the steps tell it; calls without increments are told in China's time."""
    first = next((step["at"] for step in line["steps"] if step["what"] == "increments"), None)
    return datetime.fromisoformat(first).tzinfo if first else CHINA
