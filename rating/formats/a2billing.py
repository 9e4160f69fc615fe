"""Rate cards of A2Billing: `dialprefix, destination, rateinitial`, or a named set of columns; prices per minute.

Without a header only the three columns of a simple card are sure; more of them need a header (it may be a remark) or a
template that names the format, and stand in the order of `columns()`. Cycles A to C become tiers, minutes of the week
become bands, a date of 0 is none, and a block of 0 is charged by the second.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from types import MappingProxyType

from rating.formats.deck_file import DeckFile
from rating.formats.directives import read_band
from rating.formats.fields import FieldRefused, price, seconds
from rating.formats.headers import priced_rows
from rating.formats.layout import Layout, find_layout, folded, is_told, warn_unmapped
from rating.formats.positions import is_text_price, positional_layout
from rating.formats.table import NumberedRow, Table
from rating.formats.template import MINUTE, FileTemplate
from rating.formats.text import number_text

NAME = "a2billing"
MANY_SHEETS = False
_CYCLES = ("a", "b", "c")
_PARTS = ("stepcharge", "charge", "timecharge", "billingblock")
_CYCLE_COLUMNS = tuple(part + cycle for cycle in _CYCLES for part in _PARTS)
_WEEK = ("starttime", "endtime")
# What is translated from several columns keeps their names until then; "" has no place here.
_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "dialprefix": "prefix",
        "destination": "destination",
        "rateinitial": "rate",
        "buyrate": "cost_rate",
        "buyrateinitblock": "",
        "buyrateincrement": "",
        "initblock": "first_increment",
        "billingblock": "next_increment",
        "connectcharge": "connect_fee",
        "disconnectcharge": "",
        **{name: name for name in _CYCLE_COLUMNS},
        "startdate": "effective_from",
        "stopdate": "effective_to",
        **{name: name for name in _WEEK},
        "minimal_cost": "min_charge",
        "additional_grace": "",  # seconds that are added to each call, which is no grace
    }
)
_TITLES = {folded(title): name for title, name in _COLUMNS.items()}
_REQUIRED = frozenset({"dialprefix", "rateinitial"})
_DAY_MINUTES = 1440
_WEEK_MINUTES = 7 * _DAY_MINUTES
_UNPUNCTUATED = str.maketrans("", "", "=:")


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    if any(_REQUIRED.issubset(map(folded, _uncommented(cells))) for cells in head):
        return 80
    return 30 if is_text_price(head, width=3) else 0


def columns() -> Mapping[str, str]:
    """The fields by the names of the columns, in their order; "" has no place here."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER."""
    head = [(number, _uncommented(cells)) for number, cells in table.head()]
    named: list[NumberedRow] = [row for row in head if _REQUIRED.issubset(map(folded, row[1]))]
    if named:
        header = replace(table, rows=lambda: iter(named[:1]))
        return find_layout(header, _TITLES, replace(template, header_row=0))
    widths = range(3, len(_COLUMNS) + 1) if template.format == NAME else [3]
    return positional_layout(table, _COLUMNS, template, widths=widths)


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field, once for each band of theirs. Raises FileRefused E_HEADER."""
    unmapped = Counter[str]()
    for number, cells in priced_rows(table, layout(table, template), template, file, unit=MINUTE):
        _translate_zeros(cells)
        _translate_cycles(cells, unmapped)
        bands = _bands(cells, file)
        for band in bands:
            yield number, {**cells, "band": band}
    warn_unmapped(file, unmapped)


def _uncommented(cells: list[str]) -> list[str]:
    return [cells[0].lstrip().lstrip("#"), *cells[1:]] if cells else cells


def _translate_zeros(cells: dict[str, str]) -> None:
    """A zero is none: no date; and without a block every second is charged."""
    for name in ("effective_from", "effective_to"):
        if name in cells and not is_told(cells[name]):
            cells[name] = ""
    cells["next_increment"] = _block(cells.get("next_increment", ""))


def _block(text: str) -> str:
    return text if is_told(text) else "1"


def _translate_cycles(cells: dict[str, str], unmapped: Counter[str]) -> None:
    """Cycle A costs its own price for its own time from the start of the call, then B, then C, then the rate itself."""
    steps: list[tuple[str, str]] = []
    times: list[str] = []
    for index, letter in enumerate(_CYCLES):
        step, charge, time, block = (cells.pop(part + letter, "") for part in _PARTS)
        if is_told(charge) and is_told(time) and len(steps) == index:  # as there: no B without A
            steps.append((charge, _block(block)))
            times.append(time)
            if letter == "a" and is_told(step):
                cells["connect_fee"] = _sum(cells.get("connect_fee", ""), step)
            elif is_told(step):
                unmapped["stepcharge" + letter] += 1
    if steps:
        steps.append((cells["rate"], cells["next_increment"]))
        cells["rate"], cells["next_increment"] = steps[0]
        later = zip(_starts(times), steps[1:], strict=True)
        cells["tiers"] = ";".join(f"{start}:{rate}/{every}" for start, (rate, every) in later)
    if not is_told(cells.get("first_increment", "")):
        cells["first_increment"] = cells["next_increment"]


def _sum(fee: str, step: str) -> str:
    """Entering cycle A is paid by every call, like a connect fee. What cannot be read is left for the validator."""
    try:
        return number_text(price(fee or "0") + price(step))
    except FieldRefused:
        return f"{fee}+{step}"


def _starts(times: list[str]) -> list[str]:
    """Where each cycle ends and the next begins. What cannot be read is left for the validator."""
    try:
        return [number_text(end) for end in accumulate(map(seconds, times))]
    except FieldRefused:
        return times


def _bands(cells: dict[str, str], file: DeckFile) -> list[str]:
    """The names of the bands that make up the row's minutes of the week, both ends counted; [""] for the whole week."""
    start, end = cells.pop("starttime", ""), cells.pop("endtime", "")
    first, last = start or "0", end or str(_WEEK_MINUTES - 1)
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < _WEEK_MINUTES):
        return [f"{start}-{end}"]  # no band: for the validator to refuse
    if (int(first), int(last) + 1) == (0, _WEEK_MINUTES):
        return [""]
    names = []
    for words in _pieces(int(first), int(last) + 1):
        name = words.replace("weekdays=", "week-").replace(" ", "-").translate(_UNPUNCTUATED)
        if all(band.name != name for band in file.bands or []):
            file.bands = [*(file.bands or []), read_band(f"{name} {words}")]
        names.append(name)
    return names


def _pieces(start: int, end: int) -> Iterator[str]:
    """The minutes of the week from `start` to before `end`: the rest of a day, whole days, the beginning of a day."""
    first, minute = divmod(start, _DAY_MINUTES)
    last, until = divmod(end, _DAY_MINUTES)
    if first == last:
        yield f"weekdays={first + 1} from={_clock(minute)} to={_clock(until)}"
        return
    if minute:
        yield f"weekdays={first + 1} from={_clock(minute)}"
        first += 1
    if first < last:
        yield f"weekdays={first + 1}-{last}" if last > first + 1 else f"weekdays={last}"
    if until:
        yield f"weekdays={last + 1} to={_clock(until)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
