"""The cells of a deck file, whatever its layout: each field of a rate read strictly, each fault named by its code.

Numbers are decimals, never floats; nothing is guessed, rounded or inherited from the row above.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from billing_platform.money import ROUNDINGS
from rating.formats.dates import serial_time
from rating.prefixes import PrefixRefused, read_prefix
from rating.terms import CAP_DISCONNECT, CAP_FREE, FREE_FIRST_N, FREE_IF_SHORTER_THAN, KINDS, RateTerms, TierTerms

REACHES = ("local", "long_distance", "hmt", "international")
BLOCKED_WORDS = frozenset({"blocked", "n/a", "x", "禁拨"})
PRICE_DECIMALS, SECONDS_DECIMALS, PRIORITY_DECIMALS = 8, 9, 4
PRICE_MAX = 10**9
SECONDS_MAX = 31 * 86400
TEXT_MAX = {"destination": 120, "comment": 200, "band": 40, "carrier": 20, "tiers": 400}

_NUMBER = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,30}))?", re.ASCII)
_TIER = re.compile(r"([0-9.]+):([0-9.]+)(?:/([0-9.]+))?", re.ASCII)


class RowError(NamedTuple):
    """A fault in a file: the row as numbered in it (0: the file as a whole), the column, the cell, and the code."""

    row: int
    column: str
    value: str
    code: str


class FieldRefused(ValueError):
    """A cell that cannot be what its column says."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ParsedRow(NamedTuple):
    """One row of a file: `terms.prefix` as written there, `key` as compared with numbers.

    A row that lists several prefixes becomes several of these with the same `row`; their `terms.rate_id` differ.
    """

    row: int
    key: str
    terms: RateTerms


@dataclass(frozen=True, slots=True)
class FileContext:
    """What a file's cells are read against: the deck's zone and numbering, the carriers and bands that exist, now."""

    zone: ZoneInfo
    numbering: str
    carriers: frozenset[str]
    bands: frozenset[str] = field(default_factory=frozenset)
    at: datetime | None = None  # now: what dates that have passed are judged by; None: they are not


def plain_number(text: str, *, decimals: int, below: int) -> Decimal:
    """A plain decimal with at most `decimals` decimals, 0 <= number < below. Raises FieldRefused."""
    matched = _NUMBER.fullmatch(text)
    if matched is None:
        raise FieldRefused("E_NEGATIVE" if text.startswith("-") and _NUMBER.fullmatch(text[1:]) else "E_NUMBER")
    if len(matched[2] or "") > decimals:
        raise FieldRefused("E_DECIMALS")
    number = Decimal(text)
    if number >= below:
        raise FieldRefused("E_LIMIT")
    return number


@lru_cache(maxsize=65536)
def price(text: str) -> Decimal:
    """A price in the deck's currency."""
    return plain_number(text, decimals=PRICE_DECIMALS, below=PRICE_MAX)


@lru_cache(maxsize=4096)
def seconds(text: str) -> Decimal:
    """A length of time, 0 or more."""
    return plain_number(text, decimals=SECONDS_DECIMALS, below=SECONDS_MAX)


def increment(text: str) -> Decimal:
    """A length of time above 0."""
    try:
        length = seconds(text)
    except FieldRefused as refused:
        raise FieldRefused("E_INCREMENT") from refused
    if not length:
        raise FieldRefused("E_INCREMENT")
    return length


def priority(text: str) -> Decimal:
    """A weight among the rates of one prefix."""
    return plain_number(text, decimals=PRIORITY_DECIMALS, below=10**6)


def decimals(text: str) -> int:
    """Decimals of the rounding, 0 to 20."""
    if not re.fullmatch(r"[0-9]{1,2}", text, re.ASCII) or int(text) > 20:
        raise FieldRefused("E_ROUNDING")
    return int(text)


def yes_or_no(text: str) -> bool:
    """true, yes, 1 or false, no, 0."""
    word = text.lower()
    if word not in {"true", "yes", "1", "false", "no", "0"}:
        raise FieldRefused("E_NUMBER")
    return word in {"true", "yes", "1"}


def word_of(words: tuple[str, ...], code: str) -> Callable[[str], str]:
    """A reader of one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise FieldRefused(code)
        return text

    return read


@lru_cache(maxsize=1024)
def tiers(text: str) -> tuple[TierTerms, ...]:
    """`180:0.05;600:0.03/6`: from second 180 and 600 on, another rate, perhaps another increment."""
    if len(text) > TEXT_MAX["tiers"]:
        raise FieldRefused("E_LIMIT")
    matches = [_TIER.fullmatch(part.strip()) for part in text.split(";")]
    if None in matches:
        raise FieldRefused("E_TIER")
    read = [
        TierTerms(seconds(found[1]), price(found[2]), increment(found[3]) if found[3] else None)
        for found in matches
        if found is not None
    ]
    starts = [tier.start for tier in read]
    if starts != sorted(set(starts)):
        raise FieldRefused("E_TIER")
    return tuple(read)


@lru_cache(maxsize=4096)
def instant(text: str, zone: ZoneInfo) -> datetime:
    """An ISO date or time, or a spreadsheet's serial number; without an offset it is the deck's wall clock.

    Raises FieldRefused E_DATE.
    """
    serial = serial_time(text)
    if serial is not None:
        return serial.replace(tzinfo=zone)
    try:
        read = datetime.fromisoformat(text)
    except ValueError as unreadable:
        raise FieldRefused("E_DATE") from unreadable
    if len(text) < 10 or text[4] != "-":
        raise FieldRefused("E_DATE")  # fromisoformat also takes 20261201 and week dates; people misread these
    return read if read.tzinfo else read.replace(tzinfo=zone)


def short_text(text: str) -> str:
    """Free text; its length is bounded by its column."""
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "destination": short_text,
    "enabled": yes_or_no,
    "carrier": short_text,
    "reach": word_of(REACHES, "E_REF"),
    "kind": word_of(KINDS, "E_UNIT"),
    "band": short_text,
    "priority": priority,
    "rate": price,
    "rate_unit": increment,
    "first_rate": price,
    "first_increment": increment,
    "next_increment": increment,
    "tiers": tiers,
    "connect_fee": price,
    "free_kind": word_of((FREE_FIRST_N, FREE_IF_SHORTER_THAN), "E_REF"),
    "free_seconds": seconds,
    "min_charge": price,
    "cap": price,
    "cap_kind": word_of((CAP_FREE, CAP_DISCONNECT), "E_CAP"),
    "rounding": word_of(ROUNDINGS, "E_ROUNDING"),
    "decimals": decimals,
    "blocked": yes_or_no,
    "cost_rate": price,
    "comment": short_text,
}
_PERIOD = ("effective_from", "effective_to")
_LAST = ("cost_rate", "comment")
COLUMNS = ("prefix", *(name for name in _READERS if name not in _LAST), *_PERIOD, *_LAST)
REQUIRED = ("prefix", "rate")


def read_row(cells: Mapping[str, str], *, row: int, context: FileContext) -> ParsedRow | list[RowError]:
    """The row, or everything that is wrong with it."""
    values, errors = _read_cells(cells, row=row, context=context)
    try:
        prefix = read_prefix(cells["prefix"], numbering=context.numbering)
    except PrefixRefused as refused:
        return [RowError(row, "prefix", cells["prefix"], refused.code), *errors]
    if errors:
        return errors
    if prefix.reach:
        values.setdefault("reach", prefix.reach)
    terms = RateTerms(rate_id=row, prefix=cells["prefix"], **values)
    return check_terms(terms, row=row, context=context) or ParsedRow(row, prefix.key, terms)


def _read_cells(cells: Mapping[str, str], *, row: int, context: FileContext) -> tuple[dict[str, Any], list[RowError]]:
    """Every cell but the prefix. A word that means blocked stands in place of a rate; a blank means nothing."""
    values: dict[str, Any] = {}
    errors: list[RowError] = []
    for column, text in cells.items():
        if column == "rate" and text.lower() in BLOCKED_WORDS:
            values |= {"rate": Decimal(0), "blocked": True}
        elif text and column != "prefix":
            try:
                values[column] = _value(column, text, context)
            except FieldRefused as refused:
                errors.append(RowError(row, column, text, refused.code))
    if not cells["rate"]:
        errors.append(RowError(row, "rate", "", "E_BLANK_RATE"))
    return values, errors


def _value(column: str, text: str, context: FileContext) -> Any:
    if column in _PERIOD:
        return instant(text, context.zone)
    if len(text) > TEXT_MAX.get(column, 400):
        raise FieldRefused("E_LIMIT")
    return _READERS[column](text)


def check_terms(terms: RateTerms, *, row: int, context: FileContext) -> list[RowError]:
    """What is wrong between the fields of a row that can each be read."""
    first_tier_from = (terms.free_seconds if terms.free_kind == FREE_FIRST_N else 0) + terms.first_increment
    faults = {
        "carrier": (terms.carrier and terms.carrier not in context.carriers, "E_CARRIER"),
        "band": (terms.band and terms.band not in context.bands, "E_BAND"),
        "tiers": (terms.tiers and terms.tiers[0].start < first_tier_from, "E_TIER"),
        "cap_kind": ((terms.cap is None) != (not terms.cap_kind), "E_CAP"),
        "cap": (terms.cap is not None and terms.cap < terms.min_charge, "E_CAP"),
        "free_kind": (bool(terms.free_seconds) != bool(terms.free_kind), "E_REF"),
        "effective_to": (
            terms.effective_from and terms.effective_to and terms.effective_to <= terms.effective_from,
            "E_DATE",
        ),
    }
    wrong = [(column, code) for column, (is_wrong, code) in faults.items() if is_wrong]
    return [RowError(row, column, str(getattr(terms, column)), code) for column, code in wrong]
