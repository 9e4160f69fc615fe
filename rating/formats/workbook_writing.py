"""A version of a deck as a workbook. Apart from reading, so that only who writes one loads the library for it."""

from collections.abc import Iterable, Mapping
from typing import IO, Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from rating.formats.directives import BAND_WORDS, band_pairs, render_deck
from rating.formats.fields import COLUMNS
from rating.formats.native import BANDS_SHEET, cells_of
from rating.terms import BandTerms, RateTerms

RATES_SHEET = "rates"


def write_workbook(
    target: IO[bytes], head: Mapping[str, object], *, bands: Iterable[BandTerms], rates: Iterable[RateTerms]
) -> None:
    """The native file as XLSX, in constant memory. All cells are text: a prefix keeps its zeros, none is a formula."""
    zone = ZoneInfo(str(head["zone"]))
    book = Workbook(write_only=True)
    sheet = book.create_sheet(RATES_SHEET)
    _append(sheet, [render_deck(head)])
    _append(sheet, COLUMNS)
    for rate in rates:
        _append(sheet, cells_of(rate, zone))
    sheet = book.create_sheet(BANDS_SHEET)
    _append(sheet, ("name", *BAND_WORDS))
    for band in sorted(bands, key=lambda one: one.name):
        _append(sheet, [band.name, *band_pairs(band).values()])
    book.save(target)


def _append(sheet: Any, texts: Iterable[str]) -> None:
    cells = []
    for text in texts:
        cell = WriteOnlyCell(sheet, value=text or None)
        cell.data_type = "s" if text else "n"
        cells.append(cell)
    sheet.append(cells)
