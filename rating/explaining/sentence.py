"""A price as a sentence that a person can redo by hand, in the reader's language; made from the explanation alone.

17:58:30 → 18:00:35 = 125 s, priced as 126 s. Deck cn-retail version 7, prefix 8621. Connect fee ¥0.05 + first minute
¥0.12 (peak) + 5 × ¥0.012 (peak) + 6 × ¥0.006 (off) = ¥0.2660
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from billing_platform.money import ratio_text
from billing_platform.templatetags.figures import SYMBOLS

Explanation = Mapping[str, Any]
LANGUAGES = {"zh": "zh-hans", "en": "en"}
MINUTE = "60"
DATE_WIDTH, SECOND_WIDTH = len("2026-10-10"), len("2026-10-10 17:58:30")
KEPT = 8192  # sums, which calls at the same rate for the same time share


class Term(NamedTuple):
    """One line of the sum: what it is, how often what, and the amount that it adds. `sign` is "+" or "−"."""

    words: str
    times: int
    each: str
    amount: str
    band: str
    sign: str = "+"

    def text(self, currency: str) -> str:
        """`connect fee ¥0.05`, `5 × ¥0.012 (peak)`."""
        sum_of = money(self.amount, currency) if self.words else f"{self.times} × {money(self.each, currency)}"
        band = f" ({self.band})" if self.band else ""
        return " ".join(filter(None, (self.words, sum_of))) + band


@dataclass(frozen=True, slots=True)
class Asked:
    """What the sentence says before the sum: when it began, how long it lasted. `seconds` None: counted units."""

    began: datetime
    quantity: Decimal
    timed: bool = True


def money(amount: str, currency: str) -> str:
    """¥0.05, ¥0.2660: every digit of the text, at least two decimals."""
    return f"{SYMBOLS.get(currency, f'{currency} ')}{plain_text(amount)}"


@lru_cache(maxsize=4096)
def plain_text(amount: str) -> str:
    """At least two decimals; those that the text has stay."""
    whole, point, part = amount.partition(".")
    if not part.isdigit() and point:
        return amount
    return amount if len(part) >= 2 else f"{whole}.{part.ljust(2, '0')}"


def sum_text(explanation: Explanation) -> str:
    """`connect fee ¥0.05 + first minute ¥0.12 = ¥0.1700`; says so when the rounding changed the sum."""
    return _sum_text(_lines_of(explanation), explanation["currency"], explanation["amount"], get_language() or "")


def _lines_of(explanation: Explanation) -> tuple[tuple[str, ...], ...]:
    """What the sum is made of, as a key."""
    return tuple([tuple([str(step.get(name)) for name in _KEYS[step["what"]]]) for step in explanation["steps"]])


_KEYS = {
    "connect_fee": ("what", "amount"),
    "increments": ("what", "amount", "price", "increment", "per", "from", "count", "band"),
    "min_charge": ("what", "amount"),
    "cap": ("what", "amount"),
    "round": ("what", "method", "exact"),
}


@lru_cache(maxsize=KEPT)
def _sum_text(lines: tuple[tuple[str, ...], ...], currency: str, amount: str, language: str) -> str:
    with override(language):
        terms = [_term(line) for line in lines[:-1]]
        total = money(amount, currency)
        if not terms:
            return _("nothing to pay = %(total)s") % {"total": total}
        said = terms[0].text(currency) + "".join(f" {term.sign} {term.text(currency)}" for term in terms[1:])
        _what, method, fraction = lines[-1]
        exact = Fraction(fraction)
        if exact == Fraction(amount):
            return f"{said} = {total}"
        shown = ratio_text(*exact.as_integer_ratio())
        sign = "=" if Fraction(shown) == exact else "≈"
        return f"{said} {sign} {money(shown, currency)}, {rounded_words(method) % {'total': total}}"


def _term(line: tuple[str, ...]) -> Term:
    what, amount, *more = line
    if what == "connect_fee":
        return Term(_("connect fee"), 1, amount, amount, "")
    if what == "min_charge":
        return Term(_("up to the minimum charge"), 1, amount, amount, "")
    if what == "cap":
        return Term(_("down to the cap"), 1, amount.lstrip("-"), amount.lstrip("-"), "", "−")
    price, increment, per, start, count, band = more
    is_first = start == "0" and count == "1"
    words = _first_words(price, increment) if is_first else ""
    return Term(words, int(count), _each(price, increment, per), amount, "" if band == "None" else band)


def _each(price: str, increment: str, per: str) -> str:
    """What one increment costs: a plain number, or `0.10 × 1/60` where that does not end."""
    exact = Fraction(price) * Fraction(increment) / Fraction(per)
    text = ratio_text(*exact.as_integer_ratio())
    if Fraction(text) == exact:
        return text
    share = Fraction(increment) / Fraction(per)
    return f"{plain_text(price)} × {share.numerator}/{share.denominator}"


def _first_words(price: str, increment: str) -> str:
    if not Fraction(price):
        return _("first %(seconds)s s free") % {"seconds": increment}
    if increment == MINUTE:
        return _("first minute")
    return _("first %(seconds)s s") % {"seconds": increment}


def rounded_words(method: str) -> str:
    """The rounding's name in a sentence, with room for the `total`."""
    return {
        "up": _("rounded up to %(total)s"),
        "down": _("rounded down to %(total)s"),
        "half_up": _("rounded half up to %(total)s"),
        "half_even": _("rounded half to even to %(total)s"),
    }[method]


def sentence(explanation: Explanation, asked: Asked) -> str:
    """Times, quantity, deck, version, prefix and the sum, in the language in use."""
    return _sentence(explanation, asked, get_language() or "")


def sentences(explanation: Explanation, asked: Asked) -> dict[str, str]:
    """The sentence as `sentence_zh` and `sentence_en`."""
    return {f"sentence_{name}": _sentence(explanation, asked, language) for name, language in LANGUAGES.items()}


def _sentence(explanation: Explanation, asked: Asked, language: str) -> str:
    winner = explanation["winner"]
    said = _sum_text(_lines_of(explanation), explanation["currency"], explanation["amount"], language)
    words = {
        "quantity": plain_quantity(asked.quantity), "billed": explanation["billed"], "deck": winner["deck"],
        "version": _versions(explanation), "prefix": winner["prefix"] or "*", "sum": said[:1].upper() + said[1:],
    }  # fmt: skip
    if asked.timed:
        words["began"], words["ended"] = span(asked.began, asked.quantity)
    return _template(language, asked.timed) % words


@lru_cache(maxsize=8)
def _template(language: str, timed: bool) -> str:  # noqa: FBT001  the two kinds of quantity
    with override(language):
        if timed:
            return _(
                "%(began)s → %(ended)s = %(quantity)s s, priced as %(billed)s s. Deck %(deck)s version %(version)s, "
                "prefix %(prefix)s. %(sum)s"
            )
        return _(
            "%(quantity)s units, priced as %(billed)s. Deck %(deck)s version %(version)s, prefix %(prefix)s. %(sum)s"
        )


def span(began: datetime, seconds: Decimal) -> tuple[str, str]:
    """Both ends as clock times, with their dates where these differ."""
    ended = began + timedelta(microseconds=int(seconds * 1_000_000))
    first, last = began.isoformat(" ", "seconds")[:SECOND_WIDTH], ended.isoformat(" ", "seconds")[:SECOND_WIDTH]
    return (
        (first, last) if first[:DATE_WIDTH] != last[:DATE_WIDTH] else (first[DATE_WIDTH + 1 :], last[DATE_WIDTH + 1 :])
    )


def plain_quantity(quantity: Decimal) -> str:
    """Without needless zeros."""
    return ratio_text(*quantity.as_integer_ratio())


def _versions(explanation: Explanation) -> str:
    """The version of the winner's deck; several where the call met several."""
    winner = explanation["winner"]
    met = explanation["versions"]["decks"].get(winner["deck"], winner["version"])
    return ", ".join(map(str, met)) if isinstance(met, list) else str(met)
