"""The tables of rating, by noun."""

from rating.models.decks import Deck, DeckImport, DeckVersion
from rating.models.numbers import Carrier, NumberSegment
from rating.models.rates import Rate, RateEnd, TimeBand
from rating.models.tariffs import CalendarDay, Generation, TariffProfile

__all__ = [
    "CalendarDay",
    "Carrier",
    "Deck",
    "DeckImport",
    "DeckVersion",
    "Generation",
    "NumberSegment",
    "Rate",
    "RateEnd",
    "TariffProfile",
    "TimeBand",
]
