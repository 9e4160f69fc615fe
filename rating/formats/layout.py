"""Where a table's header is and what its columns mean: titles are found through the aliases of a format."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rating.formats.deck_file import DeckFile
from rating.formats.fields import RowError
from rating.formats.table import FileRefused, NumberCell, Table, is_directive, is_remark
from rating.formats.template import IGNORED, INCREMENT, MINUTE, SECOND, FileTemplate

REQUIRED = ("prefix", "rate")
_BRACKETS = re.compile(r"\([^()]*\)")
_FOLDED = re.compile(r"[\s_.\-]+")
_UNIT_TAIL = re.compile(r"元/(?:分钟|分|秒)$")
_UNITS = {
    MINUTE: re.compile(r"/\s*m(?:in(?:ute)?)?\b|per\s*min|/\s*分|每分", re.IGNORECASE),
    SECOND: re.compile(r"/\s*s(?:ec(?:ond)?)?\b|per\s*sec|/\s*秒|每秒", re.IGNORECASE),
    INCREMENT: re.compile(r"/\s*(?:increment|interval|pulse)\b|per\s*(?:increment|interval|pulse)", re.IGNORECASE),
}
_CURRENCY = re.compile(r"\b([A-Z]{3})\b")
_NOT_CURRENCIES = frozenset({"MIN", "SEC", "PER", "VAT", "INC"})
_YUAN = re.compile(r"元|人民币|RMB|CNY|[¥￥]")
_SWAPPED = str.maketrans(",.", ".,")
_TEXTS = frozenset(
    {"prefix", "country_code", "destination", "comment", "carrier", "band", "change", "effective_from", "effective_to"}
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table. `row` is the header's number, 0 for a file that has none.

    `fields` and `others` name cells by their index: those with a field of ours, and those without. `unit` and
    `currency` are what the titles say about prices.
    """

    row: int
    titles: tuple[str, ...]
    fields: tuple[tuple[int, str], ...]
    others: tuple[tuple[int, str], ...] = ()
    ignored: frozenset[str] = frozenset()  # titles that the template leaves out
    unit: str = ""
    currency: str = ""

    @property
    def targets(self) -> dict[int, str]:
        """Which field each column is for."""
        return dict(self.fields)


@lru_cache(maxsize=4096)
def folded(title: str) -> str:
    """The title as titles are compared: NFKC, lower case, without brackets, blanks, `_ - .`, and a unit at its end."""
    text = unicodedata.normalize("NFKC", title).replace("\ufeff", "").lower()
    return _UNIT_TAIL.sub("", _FOLDED.sub("", _BRACKETS.sub("", text)))


def columns_of(aliases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """From `field: titles` to `folded title: field`."""
    return {folded(title): name for name, titles in aliases.items() for title in titles}


def find_layout(
    table: Table, columns: Mapping[str, str], template: FileTemplate, *, required: Sequence[str] = REQUIRED
) -> Layout:
    """The layout of the first row that names all required fields. Raises FileRefused E_HEADER with what is missing."""
    known = dict(columns) | {folded(title): name for title, name in template.columns.items()}
    nearest, fewest = FileRefused("E_HEADER", "", column="header"), len(required) + 1
    for number, cells in table.head():
        if is_remark(cells) or template.header_row not in (0, number):
            continue
        named = [known.get(folded(cell), IGNORED) for cell in cells]
        missing = [name for name in required if name not in named]
        if not missing:
            return _layout(number, cells, named, template)
        if len(missing) < fewest:
            nearest, fewest = FileRefused("E_HEADER", ",".join(missing), row=number, column="header"), len(missing)
    raise nearest


def _layout(number: int, cells: list[str], named: list[str], template: FileTemplate) -> Layout:
    titles = tuple(cell.replace("\ufeff", "").strip() for cell in cells)
    chosen = _chosen(number, titles, named, template)
    priced = [titles[index] for index, name in chosen.items() if name in ("rate", "first_rate")]
    left_out = {folded(title) for title, name in template.columns.items() if name == IGNORED}
    return Layout(
        row=number,
        titles=titles,
        fields=tuple(sorted(chosen.items())),
        others=tuple(
            (index, title or f"column {index + 1}") for index, title in enumerate(titles) if index not in chosen
        ),
        ignored=frozenset(title for title in titles if folded(title) in left_out),
        unit=next(filter(None, map(unit_of, priced)), ""),
        currency=next(filter(None, map(currency_of, priced)), ""),
    )


def _chosen(number: int, titles: Sequence[str], named: Sequence[str], template: FileTemplate) -> dict[int, str]:
    """One column for each field: of several names the first, of several prices none, for nobody can know which."""
    told = {folded(title) for title in template.columns}
    chosen: dict[int, str] = {}
    for name in dict.fromkeys(filter(None, named)):
        places = [index for index, one in enumerate(named) if one == name]
        if len(places) > 1:
            places = [index for index in places if folded(titles[index]) in told] or places
        if len(places) > 1 and name != "destination":
            both = ",".join(titles[index] for index in places)
            raise FileRefused("E_HEADER", both, row=number, column="header")
        chosen[places[0]] = name
    return chosen


def unit_of(title: str) -> str:
    """What the price in this column is the price of, as far as its title says: "Cost / Min", "(USD/sec)", "元/分钟"."""
    text = unicodedata.normalize("NFKC", title)
    return next((unit for unit, pattern in _UNITS.items() if pattern.search(text)), "")


def currency_of(title: str) -> str:
    """The currency that a title names: (USD), (EUR/min), 元/分钟; "" for none."""
    text = unicodedata.normalize("NFKC", title)
    if _YUAN.search(text):
        return "CNY"
    named = (code for bracket in _BRACKETS.findall(text) for code in _CURRENCY.findall(bracket))
    return next((code for code in named if code not in _NOT_CURRENCIES), "")


def table_rows(table: Table, layout: Layout, file: DeckFile) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header that are as wide as it is; others are refused, remarks and titles are skipped."""
    width = len(layout.titles)
    for number, cells in table.rows():
        if cells is None:
            _refuse_width(file, number, [])
        elif number <= layout.row or is_remark(cells):
            _pass_over(file, layout, number, cells)
        elif len(cells) == width:
            yield number, cells
        elif table.is_sheet and not any(cells[width:]):
            yield number, [*cells[:width], *[""] * (width - len(cells))]
        else:
            _refuse_width(file, number, cells)


def _pass_over(file: DeckFile, layout: Layout, number: int, cells: list[str]) -> None:
    if is_directive(cells):
        if number > layout.row:  # too late: rows above it have been read without it
            file.errors.append(RowError(number, "header", cells[0][:200], "E_HEADER"))
    elif number != layout.row:
        file.count_row()
        file.skipped += 1


def _refuse_width(file: DeckFile, number: int, cells: list[str]) -> None:
    file.count_row()
    file.refuse([RowError(number, "", ",".join(cells), "E_COLUMNS")])


def named_rows(
    table: Table, layout: Layout, template: FileTemplate, file: DeckFile
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows' cells by field; what stands in the other columns is counted, so that nothing is lost silently."""
    fields, unmapped = layout.fields, Counter[str]()
    for title in sorted(layout.ignored):
        file.warnings.append(RowError(layout.row, "header", title, "W_COLUMN_IGNORED"))
    others = tuple((index, title) for index, title in layout.others if title not in layout.ignored)
    with_comma = [name for _, name in fields if name not in _TEXTS] if template.decimal_comma else []
    for number, row in table_rows(table, layout, file):
        for index, title in others:
            if is_told(row[index]):
                unmapped[title] += 1
        cells = {name: row[index].strip() for index, name in fields}
        for name in with_comma:
            cells[name] = _with_point(cells[name])
        yield number, cells
    warn_unmapped(file, unmapped)


def warn_unmapped(file: DeckFile, counts: Mapping[str, int]) -> None:
    """Say how many values have no place here, column by column."""
    file.warnings.extend(RowError(0, title, str(count), "W_UNMAPPED") for title, count in counts.items() if count)


def _with_point(text: str) -> str:
    """The number with a decimal point. A point that groups digits turns into a comma: no plain number."""
    return text if isinstance(text, NumberCell) or {",", "."} <= set(text) else text.translate(_SWAPPED)


def is_told(text: str) -> bool:
    """Does the cell say anything? A blank does not, nor does a zero: nothing is lost with them."""
    told = text.strip()
    return told not in ("", "0") and not (told.startswith("0.") and not told[2:].strip("0"))
