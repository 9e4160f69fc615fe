"""The tables of rating, by noun."""

from rating.models.decks import Deck, DeckVersion
from rating.models.expected import ExpectedPrice
from rating.models.imports import DeckImport, DeckImportPart, ImportTemplate
from rating.models.numbers import Carrier, NumberSegment, SelectionPrefix
from rating.models.rates import Rate, RateEnd, TimeBand
from rating.models.tariffs import CalendarDay, Generation, TariffPlan, TariffProfile

__all__ = [
    "CalendarDay",
    "Carrier",
    "Deck",
    "DeckImport",
    "DeckImportPart",
    "DeckVersion",
    "ExpectedPrice",
    "Generation",
    "ImportTemplate",
    "NumberSegment",
    "Rate",
    "RateEnd",
    "SelectionPrefix",
    "TariffPlan",
    "TariffProfile",
    "TimeBand",
]
