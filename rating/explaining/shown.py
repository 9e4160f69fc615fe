"""An explanation as pages show it: the sum line by line, the rates that lost and why, in the reader's language."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from rating.candidates import Loser
from rating.explaining.sentence import money, plain_text, rounded_words
from rating.models import DeckVersion
from rating.numbers.carriers import city_shown
from rating.numbers.number_tables import AREA_PLACES, NOWHERE_KNOWN

Words = Mapping[str, "str | Promise"]

LOST_BECAUSE: Words = {
    "shorter_prefix": gettext_lazy("a longer prefix won"),
    "not_yet_effective": gettext_lazy("not in force yet"),
    "expired": gettext_lazy("no longer in force"),
    "other_band": gettext_lazy("another time of day or kind of day"),
    "other_carrier": gettext_lazy("for another carrier"),
    "other_reach": gettext_lazy("for another reach"),
    "other_kind": gettext_lazy("for another kind of use"),
    "lower_priority": gettext_lazy("lower priority"),
    "less_specific": gettext_lazy("names carrier or reach less precisely"),
    "began_earlier": gettext_lazy("its time band began earlier"),
    "dearer": gettext_lazy("equal in all, but dearer"),
    "disabled": gettext_lazy("not enabled"),
    "later_in_chain": gettext_lazy("further back in the fallback chain"),
    "superseded": gettext_lazy("replaced by a newer version"),
}
CARRIER_FROM: Words = {
    "given": gettext_lazy("given with the call"),
    "ported": gettext_lazy("ported number"),
    "lookup": gettext_lazy("look-up"),
    "segment": gettext_lazy("number segment"),
    "unknown": gettext_lazy("unknown"),
}
NUMBER_KINDS: Words = {
    "mobile": gettext_lazy("mobile"),
    "fixed": gettext_lazy("fixed line"),
    "shared_cost": gettext_lazy("400 number"),
    "toll_free": gettext_lazy("800 number"),
    "short": gettext_lazy("short number"),
    "emergency": gettext_lazy("emergency number"),
    "international": gettext_lazy("international"),
    "internal": gettext_lazy("internal extension"),
    "hidden": gettext_lazy("hidden"),
    "invalid": gettext_lazy("not a number"),
}
REACHES: Words = {
    "local": gettext_lazy("local"),
    "long_distance": gettext_lazy("long distance"),
    "hmt": gettext_lazy("Hong Kong, Macao, Taiwan"),
    "international": gettext_lazy("international"),
}
STEPS: Words = {
    "connect_fee": gettext_lazy("Connect fee"),
    "min_charge": gettext_lazy("Up to the minimum charge"),
    "cap": gettext_lazy("Down to the cap"),
    "round": gettext_lazy("Rounding"),
}
DAY_CLASSES: Words = {
    "workday": gettext_lazy("workday"),
    "makeup_workday": gettext_lazy("make-up working day"),
    "weekend": gettext_lazy("weekend"),
    "holiday": gettext_lazy("holiday"),
}


def word(words: Words, key: str | None) -> str:
    """What a key means, for people; a key that nobody foresaw is shown as it is."""
    return str(words.get(key, key)) if key else ""


@dataclass(frozen=True, slots=True)
class StepShown:
    """A line of the sum. `amount` is plain digits for programs; texts are ready to be read."""

    what: str
    title: str
    amount: str
    shown: str
    detail: str = ""
    band: str = ""
    at: datetime | None = None


def steps_shown(explanation: Mapping[str, Any]) -> list[StepShown]:
    """Every step of an explanation, the rounding last."""
    currency = explanation["currency"]
    return [_step(step, currency) for step in explanation["steps"]]


def _step(step: Mapping[str, Any], currency: str) -> StepShown:
    what, amount = step["what"], step["amount"]
    shown = f"−{money(amount[1:], currency)}" if amount.startswith("-") else money(amount, currency)
    if what == "increments":
        span = _("second %(start)s to %(end)s") % {"start": step["from"], "end": step["to"]}
        price = _("%(price)s per %(per)s s") % {"price": money(step["price"], currency), "per": step["per"]}
        title = _("%(count)s × %(increment)s s at %(price)s") % {
            "count": step["count"], "increment": step["increment"], "price": price,
        }  # fmt: skip
        return StepShown(what, title, amount, shown, span, step["band"] or "", datetime.fromisoformat(step["at"]))
    if what == "round":
        detail = rounded_words(step["method"]) % {"total": _("%(count)s decimals") % {"count": step["decimals"]}}
        return StepShown(what, word(STEPS, what), amount, shown, detail)
    return StepShown(what, word(STEPS, what), amount, shown)


@dataclass(frozen=True, slots=True)
class LoserShown:
    """A rate that did not count."""

    deck: str
    version: int
    rate_id: int
    prefix: str
    band: str
    reason: str
    why: str
    starts: datetime | None = None


def losers_shown(candidates: Iterable[Mapping[str, Any]]) -> list[LoserShown]:
    """The candidates of an answer, with the reason in words."""
    return [
        LoserShown(
            one["deck"], one["version"], one["rate_id"], one["prefix"], one["band"] or "", one["lost_because"],
            word(LOST_BECAUSE, one["lost_because"]),
            datetime.fromisoformat(one["from"]) if one.get("from") else None,
        )
        for one in candidates
    ]  # fmt: skip


def stored_losers_shown(losers: Iterable[Loser]) -> list[LoserShown]:
    """The rates that lost when a charge was made."""
    return [
        LoserShown(
            one.deck, one.version, one.rate_id, one.prefix, one.band or "", one.lost_because,
            word(LOST_BECAUSE, one.lost_because), one.starts,
        )
        for one in losers
    ]  # fmt: skip


def version_address(deck: str, number: int) -> str:
    """The page of a deck version; "" when it is gone."""
    found = DeckVersion.objects.filter(deck__code=deck, number=number).values_list("pk", flat=True).first()
    return reverse("admin:rating_deckversion_change", args=[found]) if found is not None else ""


def number_shown(number: Mapping[str, Any]) -> str:
    """How a number was read: mobile · Hangzhou · CMCC (number segment) · local (0571 → 0571)."""
    carrier = number.get("carrier")
    source = {"carrier": carrier, "source": word(CARRIER_FROM, number.get("carrier_from"))}
    found = _("%(carrier)s (%(source)s)") % source if carrier else ""
    parts = [word(NUMBER_KINDS, number.get("kind")), _city_shown(number), found, _reach_shown(number)]
    return " · ".join(filter(None, parts))


def _city_shown(number: Mapping[str, Any]) -> str:
    """In the reader's language, where the table of areas knows the city; the explanation keeps its Chinese name."""
    city, place = str(number.get("city") or ""), AREA_PLACES.get(number.get("area") or "", NOWHERE_KNOWN)
    return city_shown(place) if city == place.city_zh else city


def _reach_shown(number: Mapping[str, Any]) -> str:
    """How far, and from where to where: long distance (021 → 010)."""
    told, area, caller_area = word(REACHES, number.get("reach")), number.get("area"), number.get("caller_area")
    return f"{told} (0{caller_area} → 0{area})" if told and area and caller_area else told


def days_shown(classes: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """The dates whose kind decided, with it."""
    return [(day, word(DAY_CLASSES, kind)) for day, kind in classes.items()]


def price_shown(price: str, per: str, currency: str) -> str:
    """¥0.12 per 60 s."""
    return _("%(price)s per %(per)s s") % {"price": money(plain_text(price), currency), "per": per}
