"""Dates in deck files: ISO always, a spreadsheet's serial number, and other layouts only when a template names them."""

import re
from datetime import datetime, timedelta
from functools import lru_cache

# DD/MM/YYYY, D.M.YY, YYYY/MM/DD hh:mm, DD-MMM-YYYY: one letter is one digit or two, MMM is Jan to Dec.
LAYOUT = r"(?=.*D)(?=.*M)(?=.*YY)[DMYhms/.\-: ]{5,30}"
_PARTS = {
    "YYYY": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<year>[0-9]{2})",
    "MMM": r"(?P<month>[A-Za-z]{3})",
    "MM": r"(?P<month>[0-9]{2})",
    "M": r"(?P<month>[0-9]{1,2})",
    "DD": r"(?P<day>[0-9]{2})",
    "D": r"(?P<day>[0-9]{1,2})",
    "hh": r"(?P<hour>[0-9]{2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
}
_TOKEN = re.compile("|".join(_PARTS))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SERIAL = re.compile(r"([0-9]{5})(?:\.([0-9]{1,12}))?", re.ASCII)
_SERIAL_DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001  a wall clock; the caller knows its zone
_SERIALS = range(36526, 73051)  # 2000-01-01 to 2100-01-01
_DAY_SECONDS = 86400


@lru_cache(maxsize=64)
def layout_pattern(layout: str) -> re.Pattern[str]:
    """The pattern of dates in this layout. Raises ValueError for a layout with an unknown or repeated part."""
    pattern, end = "", 0
    for token in _TOKEN.finditer(layout):
        pattern += re.escape(layout[end : token.start()]) + _PARTS[token[0]]
        end = token.end()
    between = _TOKEN.sub("", layout)
    if any(letter.isalpha() for letter in between):
        raise ValueError(layout)
    try:
        return re.compile(pattern + re.escape(layout[end:]), re.ASCII)
    except re.error as repeated:
        raise ValueError(layout) from repeated


@lru_cache(maxsize=4096)
def iso_text(text: str, layout: str) -> str:
    """The date in ISO form when it has the layout, else the text as it is, for the reader of dates to judge."""
    found = layout_pattern(layout).fullmatch(text)
    if found is None:
        return text
    given = found.groupdict()
    month = given["month"]
    if month.isalpha():
        month = str(_MONTHS.index(month.lower()) + 1) if month.lower() in _MONTHS else "00"
    year = given["year"] if len(given["year"]) == 4 else "20" + given["year"]
    hour, minute, second = (int(given.get(name) or 0) for name in ("hour", "minute", "second"))
    try:
        read = datetime(int(year), int(month), int(given["day"]), hour, minute, second)  # noqa: DTZ001  a wall clock
    except ValueError:
        return text
    return read.isoformat()


def serial_time(text: str) -> datetime | None:
    """The wall-clock time behind a spreadsheet's serial number of this century: 46357 is 2026-12-01; else None."""
    found = _SERIAL.fullmatch(text)
    if found is None or int(found[1]) not in _SERIALS:
        return None
    fraction = found[2] or "0"
    seconds = round(int(fraction) * _DAY_SECONDS / 10 ** len(fraction))
    return _SERIAL_DAY_0 + timedelta(days=int(found[1]), seconds=seconds)
