"""From a format's cells to the rows of a deck: what all formats share, as the template says, and then the validator."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from rating.formats import native
from rating.formats.dates import iso_text
from rating.formats.deck_file import ROW_IDS, DeckFile
from rating.formats.fields import FieldRefused, FileContext, ParsedRow, RowError, read_row
from rating.formats.headers import tell_currency
from rating.formats.layout import is_told
from rating.formats.prefix_lists import expand, plain
from rating.formats.table import FileRefused, MergedCell, NumberCell
from rating.formats.template import CORRECTION, NOW, REJECT, FileTemplate
from rating.prefixes import PrefixRefused, read_prefix
from rating.terms import E164, RAW

_PERIOD = ("effective_from", "effective_to")


class Acceptance:
    """Takes the rows of one file, one after the other, into a DeckFile."""

    def __init__(self, file: DeckFile, context: FileContext, template: FileTemplate) -> None:
        self._file = file
        self._given = self._context = context
        self._template = template
        self._said: tuple[object, object] = (None, None)  # the head and bands behind the context
        self._last_row = 0
        self._extra_rows = 0
        is_native = file.format == native.NAME
        self._past_dates = template.past_dates or (CORRECTION if is_native else REJECT)
        self._is_plain = is_native and not (template.strip or template.patterns or template.date_layout)
        self._may_be_blank = is_native

    def take(self, row: int, cells: dict[str, str]) -> None:
        """One row, or as many as it lists prefixes. Raises FileRefused for what spoils the whole file."""
        context = self._current_context()
        faults = [] if self._is_plain else self._adjust(row, cells)
        change, country = cells.pop("change", ""), cells.pop("country_code", "")
        prefixes = [cells["prefix"]]
        if country or not (prefixes[0].isdigit() or context.numbering == RAW):
            try:
                prefixes = expand(prefixes[0], country=country)
            except FieldRefused as refused:
                faults.append(RowError(row, "prefix", cells["prefix"], refused.code))
        if isinstance(cells["prefix"], NumberCell) and context.numbering != E164:
            # Whoever typed 010 into a cell of numbers sees 10 in it.
            faults.append(RowError(row, "prefix", cells["prefix"], "E_PREFIX_SCIENTIFIC"))
        if self._may_be_blank and isinstance(cells["prefix"], MergedCell):
            faults.append(RowError(row, "prefix", "", "E_PREFIX"))  # a blank of our own would match every number
        if faults:
            self._refuse(faults, prefixes, context)
            return
        for prefix in prefixes:
            cells["prefix"] = prefix
            self._accept(row, cells, change, context)

    def _accept(self, row: int, cells: dict[str, str], change: str, context: FileContext) -> None:
        parsed = read_row(cells, row=row, context=context)
        if not isinstance(parsed, ParsedRow):
            self._refuse(parsed, [cells["prefix"]], context)
            return
        if parsed.terms.effective_from is not None and context.at is not None:
            dated = self._judge_date(parsed, context.at)
            if dated is None:
                past = RowError(row, "effective_from", cells["effective_from"], "E_DATE_PAST")
                self._refuse([past], [cells["prefix"]], context)
                return
            parsed = dated
        if row <= self._last_row:  # one of several prefixes, or of another sheet
            self._extra_rows += 1
            parsed = parsed._replace(terms=replace(parsed.terms, rate_id=row + self._extra_rows * ROW_IDS))
        else:
            self._last_row = row
        if change:
            self._file.changes[parsed.terms.rate_id] = change
        self._file.count_row()
        self._file.rows.append(parsed)

    def _refuse(self, faults: list[RowError], prefixes: list[str], context: FileContext) -> None:
        """One row in error, and the keys that it stands on as far as they can be read."""
        self._file.count_row()
        self._file.refuse(faults)
        for prefix in prefixes:
            with suppress(PrefixRefused):
                self._file.unusable_keys.add(read_prefix(prefix, numbering=context.numbering).key)

    def _judge_date(self, parsed: ParsedRow, at: datetime) -> ParsedRow | None:
        """The row as it may be used when its date has passed; None when it may not."""
        start = parsed.terms.effective_from
        if start is None or start >= at:
            return parsed
        if self._past_dates == REJECT:
            return None
        if self._past_dates == NOW:
            return parsed._replace(terms=replace(parsed.terms, effective_from=None))
        self._file.past_dates += self._template.past_dates == CORRECTION
        return parsed

    def _adjust(self, row: int, cells: dict[str, str]) -> list[RowError]:
        """The cells as the template reads them; what is wrong with those that are no fields of a rate."""
        template = self._template
        if not isinstance(cells["prefix"], NumberCell):
            cells["prefix"] = plain(cells["prefix"], template)
        if template.date_layout:
            for name in _PERIOD:
                if cells.get(name):
                    cells[name] = iso_text(cells[name], template.date_layout)
        if is_told(cells.get("free_seconds", "")) and not cells.get("free_kind"):
            if not template.grace:
                raise FileRefused("E_REF", cells["free_seconds"], column="free_seconds")
            cells["free_kind"] = template.grace
        faults = self._judge_currency(row, cells.pop("currency", ""))
        if not (cells["prefix"] or cells.get("country_code") or self._may_be_blank):
            faults.append(RowError(row, "prefix", "", "E_PREFIX"))  # nothing is inherited from the row above
        return faults

    def _judge_currency(self, row: int, currency: str) -> list[RowError]:
        """The first row tells the file's currency; no other may follow."""
        if not currency:
            return []
        try:
            tell_currency(self._file, currency.upper().replace("RMB", "CNY"), row=row)
        except FileRefused as refused:
            return [RowError(row, "currency", currency, refused.code)]
        return []

    def _current_context(self) -> FileContext:
        """The context with the numbering and the bands that the file has told so far."""
        file = self._file
        if self._said[0] is not file.head or self._said[1] is not file.bands:
            self._said = file.head, file.bands
            self._context = replace(
                self._given,
                numbering=file.head.get("numbering", self._given.numbering),
                bands=self._given.bands | {band.name for band in file.bands or []},
            )
        return self._context
