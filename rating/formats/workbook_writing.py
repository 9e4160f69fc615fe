"""The native deck file as a workbook (XLSX): a sheet of rates and one of time bands."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO
from zoneinfo import ZoneInfo

from billing_platform.workbooks import workbook_of
from rating.formats.directives import BAND_WORDS, band_pairs, render_deck
from rating.formats.fields import COLUMNS
from rating.formats.native import BANDS_SHEET, cells_of
from rating.terms import BandTerms, RateTerms

RATES_SHEET = "rates"


def deck_workbook(head: Mapping[str, object], *, bands: Iterable[BandTerms], rates: Iterable[RateTerms]) -> IO[bytes]:
    """The native deck file as a workbook; its reader closes it."""
    return workbook_of([(RATES_SHEET, _rate_rows(head, rates)), (BANDS_SHEET, _band_rows(bands))])


def _rate_rows(head: Mapping[str, object], rates: Iterable[RateTerms]) -> Iterator[Sequence[str]]:
    zone = ZoneInfo(str(head["zone"]))
    yield [render_deck(head)]
    yield COLUMNS
    for rate in rates:
        yield cells_of(rate, zone)


def _band_rows(bands: Iterable[BandTerms]) -> Iterator[Sequence[str]]:
    yield ("name", *BAND_WORDS)
    for band in sorted(bands, key=lambda one: one.name):
        yield [band.name, *band_pairs(band).values()]
