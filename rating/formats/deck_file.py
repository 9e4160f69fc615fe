"""What a deck file says once it is read: rows that can be used, and everything that is wrong with the others."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rating.formats.fields import ParsedRow, RowError
from rating.formats.table import FileRefused
from rating.terms import BandTerms

ROWS_MAX = 1_000_000
ERRORS_KEPT = 10_000
ROW_IDS = 10_000_000  # above the number of any row
VALUE_MAX = 200  # characters of a cell that an error shows


@dataclass(slots=True)
class DeckFile:
    """What a file says. `read` counts its rows; `skipped` of them are blank or remarks, `error` cannot be used.

    `head` holds the deck's facts as far as the file or its template states them (currency, zone, numbering, rounding,
    decimals); `bands` is None when the file says nothing about bands. `unusable_keys` are what refused rows stand on.

    A row of the file that lists several prefixes becomes several of `rows`, and `read` counts each of them. Their `row`
    is that of the file, their `terms.rate_id` is their own: the row, or for all but the first the row plus a multiple
    of ROW_IDS. `changes` tells by `rate_id` what the supplier calls the change of a row.
    """

    head: dict[str, str] = field(default_factory=dict)
    bands: list[BandTerms] | None = None
    rows: list[ParsedRow] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    warnings: list[RowError] = field(default_factory=list)
    changes: dict[int, str] = field(default_factory=dict)
    unusable_keys: set[str] = field(default_factory=set)
    read: int = 0
    skipped: int = 0
    error: int = 0
    past_dates: int = 0  # rows whose effective date has passed and which the template takes for corrections
    format: str = ""

    def count_row(self) -> None:
        """One more row, of whatever worth. Raises FileRefused E_LIMIT beyond a million."""
        self.read += 1
        if self.read > ROWS_MAX:
            raise FileRefused("E_LIMIT", f"{ROWS_MAX} rows")

    def refuse(self, errors: Iterable[RowError], *, key: str | None = None) -> None:
        """One more row that cannot be used; the first 10,000 errors are kept, all are counted."""
        self.error += 1
        if key is not None:
            self.unusable_keys.add(key)
        for error in errors:
            if len(self.errors) < ERRORS_KEPT:
                is_short = len(error.value) <= VALUE_MAX
                self.errors.append(error if is_short else error._replace(value=error.value[:VALUE_MAX]))

    @property
    def is_unreadable(self) -> bool:
        """Is the file as a whole refused, so that not even its good rows mean anything?"""
        return any(error.row == 0 or error.column == "header" for error in self.errors)
