"""The cells of a tariff plan's files: each read strictly, each fault named by its code.

Lengths are whole base units: nanoseconds for calls, plain units for data and messages. `*any` means all.
"""

import re
from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from functools import lru_cache

from rating.formats.fields import SECONDS_MAX, FieldRefused, price, priority
from rating.prefixes import PREFIX_MAX
from rating.terms import CAP_DISCONNECT, CAP_FREE

ANY = "*any"
NAME_MAX = 64
SECOND = 10**9
LENGTH_MAX = SECONDS_MAX * SECOND
FALLBACKS_MAX = 100
YEARS = range(1900, 3000)
ROUNDING_WORDS = {"": "", "*up": "up", "*middle": "half_up", "*down": "down"}
CAP_WORDS = {"": "", "*free": CAP_FREE, "*disconnect": CAP_DISCONNECT}

_PLAIN = re.compile(r"[^\x00-\x1f\x7f\\]+")
_BAND = re.compile(r"[^\s=#,\\]{1,40}")  # as a deck file may write it
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_PART = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?(h|ms|m|s|us|µs|ns)", re.ASCII)
_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_UNITS = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}


def name(text: str) -> str:
    """An Id, a tag, a tenant or a subject: never blank, compared exactly."""
    if len(text) > NAME_MAX:
        raise FieldRefused("E_LIMIT")
    if not _PLAIN.fullmatch(text):
        raise FieldRefused("E_REF")
    return text


def names(text: str) -> tuple[str, ...]:
    """Names in order, separated by `;`; none when blank."""
    given = tuple(name(part.strip()) for part in text.split(";")) if text else ()
    if len(given) > FALLBACKS_MAX:
        raise FieldRefused("E_LIMIT")
    return given


def band_name(text: str) -> str:
    """The Id of a timing, which becomes a band's name."""
    if not _BAND.fullmatch(text):
        raise FieldRefused("E_BAND")
    return text


def raw_prefix(text: str) -> str:
    """What numbers begin with, as given there; `*any` is the empty prefix."""
    if text == ANY:
        return ""
    if len(text) > PREFIX_MAX or not _PLAIN.fullmatch(text):
        raise FieldRefused("E_PREFIX")
    return text


def numbers(low: int, high: int) -> Callable[[str], tuple[int, ...]]:
    """A reader of numbers in a range, separated by `;`. All of them: nothing is tested."""

    def read(text: str) -> tuple[int, ...]:
        if text in ("", ANY):
            return ()
        parts = [part.strip() for part in text.split(";")]
        if not all(_WHOLE.fullmatch(part) and low <= int(part) <= high for part in parts):
            raise FieldRefused("E_BAND")
        return tuple(sorted({int(part) for part in parts}))

    return read


def weekdays(text: str) -> tuple[int, ...]:
    """1 (Monday) to 7; 0 is Sunday too."""
    return tuple(sorted({day or 7 for day in numbers(0, 7)(text)}))


def clock(text: str) -> time | None:
    """`hh:mm:ss`; None from midnight on."""
    if text in ("", ANY):
        return None
    try:
        start = time.fromisoformat(text) if _CLOCK.fullmatch(text) else None
    except ValueError as impossible:
        raise FieldRefused("E_BAND") from impossible
    if start is None:
        raise FieldRefused("E_BAND")
    return start if start != time() else None


@lru_cache(maxsize=4096)
def base_units(text: str) -> int:
    """`60s`, `1h30m`: a duration in nanoseconds; a bare number counts base units; blank is 0."""
    units = int(text or 0) if not text or _WHOLE.fullmatch(text) else _duration(text)
    if units >= LENGTH_MAX:
        raise FieldRefused("E_LIMIT")
    return units


def _duration(text: str) -> int:
    units, end = 0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        whole, fraction, unit = part.groups()
        length = Decimal(f"{whole}.{fraction or 0}") * _UNITS[unit]
        if length != int(length):
            raise FieldRefused("E_UNIT")  # finer than a base unit
        units, end = units + int(length), part.end()
    if end != len(text):
        raise FieldRefused("E_UNIT")
    return units


def increment(text: str) -> int:
    """A length above 0, in base units."""
    try:
        length = base_units(text)
    except FieldRefused as refused:
        raise FieldRefused("E_INCREMENT") from refused
    if not length:
        raise FieldRefused("E_INCREMENT")
    return length


def rate(text: str) -> Decimal:
    """A price that somebody has written down."""
    if not text:
        raise FieldRefused("E_BLANK_RATE")
    return price(text)


def fee(text: str) -> Decimal:
    """An amount; blank is 0."""
    return price(text or "0")


def weight(text: str) -> Decimal:
    """A weight; blank is 0."""
    return priority(text or "0")


def word_in(words: dict[str, str], code: str) -> Callable[[str], str]:
    """A reader of the plan's words, giving ours."""

    def read(text: str) -> str:
        if text not in words:
            raise FieldRefused(code)
        return words[text]

    return read


def activation(text: str) -> datetime | None:
    """An RFC 3339 instant with its offset; blank, or a year before 1900: always."""
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text.upper()) if _INSTANT.fullmatch(text) else None
    except ValueError as impossible:
        raise FieldRefused("E_DATE") from impossible
    if instant is None or instant.year > YEARS[-1]:
        raise FieldRefused("E_DATE")
    return instant if instant.year in YEARS else None
