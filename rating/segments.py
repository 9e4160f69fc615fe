"""Reading numbers: one normaliser for the whole house. Rules and tables only; pure, about 2 microseconds a number.

A key is the international form without `+` (`8613800138000`). Chinese short codes live behind a dot (`86.10086`), so
that the hotline 10086 is never read as Beijing (area 10) and `086`; internal numbers are a dot and the number (`.801`).
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rating.numbers.number_tables import AREA_PLACES, COUNTRY_CODES, HMT_COUNTRIES, SELECTION_PREFIXES

CHINA = "86"


class Kind(StrEnum):
    """What sort of number it is; the last two have no key."""

    MOBILE = "mobile"
    FIXED = "fixed"
    SHARED_COST = "shared_cost"
    TOLL_FREE = "toll_free"
    SHORT = "short"
    EMERGENCY = "emergency"
    INTERNATIONAL = "international"
    INTERNAL = "internal"
    HIDDEN = "hidden"
    INVALID = "invalid"


class Number(NamedTuple):  # a tuple: made for every call, at half the cost of a frozen dataclass
    """A number as read. `country` is a country code, `area` a Chinese area code without its zero, else ""."""

    raw: str
    key: str
    kind: Kind
    country: str = ""
    area: str = ""
    extension: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)  # few exist and live long: what is remembered by them goes by identity
class NumberContext:
    """Where a number is dialled: the home area code (`21`, "" when unknown) and the lengths of internal numbers.

    `rating.numbers.dialling` knows the contexts of this house, with the selection prefixes of their table.
    """

    home_area: str = ""
    internal_lengths: frozenset[int] = frozenset()
    selection_prefixes: tuple[str, ...] = SELECTION_PREFIXES


NOWHERE = NumberContext()

_HIDDEN_WORDS = frozenset(
    {"", "anonymous", "unknown", "restricted", "unavailable", "withheld", "private", "隐藏", "<anonymous>"}
)
_EMERGENCY = frozenset({"110", "119", "120", "122"})
_FILLING = str.maketrans("", "", " \t\r\n\u00a0-().‐‑–—/")
_EXTENSION = re.compile(r"(?:转|ext|x|,|;|#)+:?([0-9]{1,10})#?")
_FRAME = re.compile(r"(?:.*<)?(?:sips?|tel):([^@;>?]*)(?:@[^;>?]*)?(.*)", re.DOTALL)
_FRAME_EXTENSION = re.compile(r";ext=([0-9]{1,10})")
_MOBILE = re.compile(r"1[3-9][0-9]{9}").fullmatch
_FREE_OR_SHARED = re.compile(r"[48]00[0-9]{7}").fullmatch
_SUBSCRIBER = re.compile(r"[2-8][0-9]{6,7}").fullmatch
_SHORT = re.compile(r"1[0-9]{2}|1(?:00|01|16|18|2[0-9])[0-9]{2}|9[56][0-9]{3,10}|106[0-9]{2,17}").fullmatch

_Found = tuple[str, Kind, str]  # key, kind, area


def read_number(text: str, context: NumberContext = NOWHERE) -> Number:
    """What `text` means when dialled in `context`. Never raises: what cannot be read is invalid, with a reason."""
    digits, extension = (text, "") if text.isdigit() and text.isascii() else _stripped(text)
    if digits in _HIDDEN_WORDS or not digits.strip("0"):
        return Number(text, "", Kind.HIDDEN)
    plain = digits[1:] if digits[0] == "+" else digits
    if not (plain.isdigit() and plain.isascii()):
        return Number(text, "", Kind.INVALID, reason="unknown_form")
    if digits.startswith(context.selection_prefixes) and not _MOBILE(digits):
        digits = _without_selection(digits, context.selection_prefixes)
    if digits[0] == "+":
        return _international(text, digits[1:], extension)
    if digits.startswith("00"):
        return _international(text, digits[2:], extension)
    found = _domestic(digits, context)
    if found is not None:
        key, kind, area = found
        return Number(text, key, kind, CHINA, area, extension)
    if _SUBSCRIBER(digits):
        return Number(text, "", Kind.INVALID, extension=extension, reason="area_missing")
    return Number(text, "", Kind.INVALID, extension=extension, reason="unknown_form")


def reach_of(country: str, *, area: str, caller_area: str) -> str:
    """local, long_distance, hmt or international, by what is called; "" when an area of a domestic call is unknown."""
    if country in HMT_COUNTRIES:
        return "hmt"
    if country not in (CHINA, ""):
        return "international"
    if not area or not caller_area:
        return ""
    return "local" if area == caller_area else "long_distance"


def _stripped(text: str) -> tuple[str, str]:
    """Digits, with a leading + when there was one, and the extension; or what is left when it is no number."""
    bare = unicodedata.normalize("NFKC", text).strip().lower()
    extension = ""
    frame = _FRAME.fullmatch(bare)
    if frame is not None:
        bare = frame[1]
        named = _FRAME_EXTENSION.search(frame[2])
        extension = named[1] if named else ""
    bare = bare.translate(_FILLING)
    mark = next((at for at, sign in enumerate(bare) if sign in "转ex,;#"), 0)
    if mark:
        dialled = _EXTENSION.fullmatch(bare, mark)
        if dialled is not None:
            return bare[:mark], dialled[1]
    return bare, extension


def _without_selection(digits: str, prefixes: tuple[str, ...]) -> str:
    """An access code is cut only when a complete number follows; else it is the beginning of something else."""
    rest = next(digits[len(prefix) :] for prefix in prefixes if digits.startswith(prefix))
    if rest.startswith("00"):
        return rest if _international("", rest[2:], "").key else digits
    complete = _complete(rest.removeprefix(CHINA)) or (rest[:1] == "0" and _trunk(rest[1:]))
    return rest if complete else digits


def _international(text: str, digits: str, extension: str) -> Number:
    if digits.startswith(CHINA):
        found = _national(digits[2:])
        if found is None:
            return Number(text, "", Kind.INVALID, extension=extension, reason="unknown_form")
        return Number(text, found[0], found[1], CHINA, found[2], extension)
    country = _country_of(digits)
    if not country:
        return Number(text, "", Kind.INVALID, extension=extension, reason="unknown_country")
    if not 7 <= len(digits) <= 15:
        return Number(text, "", Kind.INVALID, extension=extension, reason="length")
    return Number(text, digits, Kind.INTERNATIONAL, country, "", extension)


def _national(digits: str) -> _Found | None:
    """Behind +86; a long-distance 0 is needless there, but says that an area follows."""
    if digits.startswith("0"):
        return _complete(digits[1:]) or _short_behind_area(digits[1:]) or _short(digits[1:], "")
    return _complete(digits) or _short(digits, "") or _short_behind_area(digits)


def _country_of(digits: str) -> str:
    return next((digits[:size] for size in (1, 2, 3) if digits[:size] in COUNTRY_CODES), "")


def _domestic(digits: str, context: NumberContext) -> _Found | None:
    if digits.startswith(CHINA):
        found = _complete(digits[2:].removeprefix("0"))
        if found is not None:
            return found
    if _MOBILE(digits):
        return CHINA + digits, Kind.MOBILE, ""
    if _FREE_OR_SHARED(digits):
        return CHINA + digits, _toll_kind(digits), ""
    if digits[0] == "0":
        return _trunk(digits[1:])
    return _short(digits, "") or _local(digits, context)


def _trunk(national: str) -> _Found | None:
    """Behind a long-distance 0: a mobile, an area and its subscriber, or an area and a short code."""
    if _MOBILE(national):
        return CHINA + national, Kind.MOBILE, ""
    return _fixed(national) or _short_behind_area(national)


def _complete(national: str) -> _Found | None:
    """A national number that needs nothing in front: mobile, area and subscriber, 400 or 800."""
    if _MOBILE(national):
        return CHINA + national, Kind.MOBILE, ""
    if _FREE_OR_SHARED(national):
        return CHINA + national, _toll_kind(national), ""
    return _fixed(national)


def _fixed(national: str) -> _Found | None:
    area = _area_of(national)
    if area and _SUBSCRIBER(national, len(area)):
        return CHINA + national, Kind.FIXED, area
    return None


def _short_behind_area(national: str) -> _Found | None:
    area = _area_of(national)
    return _short(national[len(area) :], area) if area else None


def _short(digits: str, area: str) -> _Found | None:
    if digits in _EMERGENCY:
        return f"{CHINA}.{digits}", Kind.EMERGENCY, area
    return (f"{CHINA}.{digits}", Kind.SHORT, area) if _SHORT(digits) else None


def _local(digits: str, context: NumberContext) -> _Found | None:
    if context.home_area and _SUBSCRIBER(digits):
        return CHINA + context.home_area + digits, Kind.FIXED, context.home_area
    if len(digits) in context.internal_lengths:
        return f".{digits}", Kind.INTERNAL, ""
    return None


def _area_of(national: str) -> str:
    """Area codes have two digits (10, 2x) or three; none begins another."""
    size = 2 if national[:1] in ("1", "2") else 3
    return national[:size] if national[:size] in AREA_PLACES else ""


def _toll_kind(digits: str) -> Kind:
    return Kind.SHARED_COST if digits[0] == "4" else Kind.TOLL_FREE
