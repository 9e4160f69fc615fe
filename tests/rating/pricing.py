"""Decks, calls and tariffs for the tests of the engine; zone Asia/Shanghai, four decimals, half up unless said."""

from datetime import date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from rating.compiled import compile_version
from rating.engine import Calendar, Call, nanoseconds, price_call, single_deck_tariff
from rating.terms import BandTerms, RateTerms, VersionTerms

SHANGHAI = ZoneInfo("Asia/Shanghai")
CALENDAR = Calendar(
    revision=12, days={date(2026, 10, 10): "makeup_workday", **{date(2026, 10, n): "holiday" for n in range(1, 8)}}
)
PEAK = BandTerms(name="peak", classes=("workday", "makeup_workday"), start=time(9), end=time(18), priority=Decimal(20))
NIGHT = BandTerms(name="night", start=time(0), end=time(6))
THURSDAY = "2026-10-15 10:00:00"


def rate(number=1, *, rate="0.10", prefix="8621", **terms):
    return RateTerms(rate_id=number, prefix=prefix, rate=Decimal(rate), **terms)


def deck(*rates, bands=(PEAK, NIGHT), number=1, starts=None, name="cn-retail", **head):
    """A compiled version; its rows are numbered from 1."""
    rows = [rate(place, **terms) for place, terms in enumerate(rates, start=1)]
    effective_from = instant(starts) if starts else None
    return compile_version(
        VersionTerms(deck=name, version=number, effective_from=effective_from, **head), rows=rows, bands=bands
    )


def instant(text):
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def call(at, seconds, key="862160001234", **more):
    return Call(key, instant(at), nanoseconds(Decimal(str(seconds))), **more)


def tariff(*rates, **options):
    return single_deck_tariff([deck(*rates, **options)], calendar=CALENDAR)


def amount(at, seconds, *rates, **options):
    return str(price_call(call(at, seconds), tariff(*rates, **options)).amount)
