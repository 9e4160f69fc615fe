"""`#!deck` and `#!band` lines: what the rows of a native file share.

#!deck currency=CNY zone=Asia/Shanghai numbering=national rounding=half_up decimals=4
#!band peak days=workday from=09:00 to=18:00 priority=20
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from typing import Any

from rating.formats.fields import FieldRefused, priority
from rating.formats.text import number_text
from rating.terms import DAY_CLASSES, HOLIDAY, MAKEUP_WORKDAY, WEEKEND, WORKDAY, BandTerms

DECK_FIELDS = ("currency", "zone", "numbering", "rounding", "decimals")
BAND_WORDS = ("days", "weekdays", "years", "months", "monthdays", "dates", "from", "to", "priority")
NAME = re.compile(r"[^\s=#,]{1,40}")
# In a file `workday` means every day on which people work, and `rest` every other.
_DAY_WORDS = {
    "workday": (WORKDAY, MAKEUP_WORKDAY),
    "rest": (WEEKEND, HOLIDAY),
    "workday_only": (WORKDAY,),
    **{name: (name,) for name in DAY_CLASSES if name != WORKDAY},
}


def read_pairs(words: Iterable[str], allowed: Iterable[str], *, code: str) -> dict[str, str]:
    """`name=value` words. Raises FieldRefused with the code for another form, an unknown name or a repeated one."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value or name in pairs or name not in allowed:
            raise FieldRefused(code)
        pairs[name] = value
    return pairs


def read_band(text: str) -> BandTerms:
    """The band behind `#!band `. Raises FieldRefused E_BAND."""
    name, *words = text.split() or [""]
    if not NAME.fullmatch(name):
        raise FieldRefused("E_BAND")
    values: dict[str, Any] = {}
    for key, value in read_pairs(words, _BAND_READERS, code="E_BAND").items():
        field, read = _BAND_READERS[key]
        try:
            values[field] = read(value)
        except (ValueError, KeyError) as unreadable:
            raise FieldRefused("E_BAND") from unreadable
    return BandTerms(name=name, **values)


def render_deck(head: Mapping[str, object]) -> str:
    """The `#!deck` line, without its line end."""
    return "#!deck " + " ".join(f"{name}={head[name]}" for name in DECK_FIELDS)


def render_band(band: BandTerms) -> str:
    """The `#!band` line, without its line end; every band has one form only."""
    return " ".join(["#!band", band.name, *(f"{word}={text}" for word, text in band_pairs(band).items() if text)])


def band_pairs(band: BandTerms) -> dict[str, str]:
    """What the band tests, as text by BAND_WORDS; "" for what it does not."""
    return {
        "days": ",".join(_day_words(band.classes)),
        "weekdays": ",".join(map(str, band.weekdays)),
        "years": ",".join(map(str, band.years)),
        "months": ",".join(map(str, band.months)),
        "monthdays": ",".join(map(str, band.month_days)),
        "dates": ",".join(dates_text(first, last) for first, last in band.dates),
        "from": _clock_text(band.start),
        "to": _clock_text(band.end),
        "priority": "" if band.priority is None else number_text(band.priority),
    }


def dates_text(first: date, last: date) -> str:
    """`2026-10-01`, or `2026-10-01..2026-10-07`."""
    return first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"


def read_dates(text: str) -> tuple[date, date]:
    """The two ends of `dates_text`. Raises ValueError."""
    first, _, last = text.partition("..")
    start, end = date.fromisoformat(first), date.fromisoformat(last or first)
    if end < start:
        raise ValueError(text)
    return start, end


def _day_words(classes: tuple[str, ...]) -> list[str]:
    left, words = set(classes), []
    for word, meant in _DAY_WORDS.items():
        if left.issuperset(meant):
            words.append(word)
            left -= set(meant)
    return words


def _read_classes(text: str) -> tuple[str, ...]:
    named = {one for word in text.split(",") for one in _DAY_WORDS[word]}
    return tuple(name for name in DAY_CLASSES if name in named)


def _numbers(low: int, high: int) -> Callable[[str], tuple[int, ...]]:
    def read(text: str) -> tuple[int, ...]:
        found: set[int] = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
        if not found or min(found) < low or max(found) > high:
            raise ValueError(text)
        return tuple(sorted(found))

    return read


def _read_weekdays(text: str) -> tuple[int, ...]:
    return tuple(sorted({day or 7 for day in _numbers(0, 7)(text)}))


def _read_clock(text: str) -> time | None:
    return None if text == "24:00" else time.fromisoformat(text)


def _clock_text(clock: time | None) -> str:
    return "" if clock is None else clock.isoformat("seconds" if clock.second else "minutes")


_BAND_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "days": ("classes", _read_classes),
    "weekdays": ("weekdays", _read_weekdays),
    "years": ("years", _numbers(2000, 2199)),
    "months": ("months", _numbers(1, 12)),
    "monthdays": ("month_days", _numbers(1, 31)),
    "dates": ("dates", lambda text: tuple(sorted(read_dates(part) for part in text.split(",")))),
    "from": ("start", _read_clock),
    "to": ("end", _read_clock),
    "priority": ("priority", priority),
}
