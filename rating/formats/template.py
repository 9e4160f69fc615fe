"""How one supplier's files are to be read: everything that a file does not say about itself, or says wrongly.

A template is chosen by a person and kept; an empty field means "as detected". 导入模板.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from rating.formats.dates import LAYOUT, layout_pattern
from rating.formats.fields import COLUMNS
from rating.terms import FREE_FIRST_N, FREE_IF_SHORTER_THAN

FORMATS = ("native", "headers", "astpp", "a2billing", "magnus", "yeti", "kazoo", "jerasoft")
ENCODINGS = ("utf-8", "utf-16", "gb18030", "gbk", "windows-1252")
DELIMITERS = (",", ";", "\t", "|")
MINUTE, SECOND, INCREMENT = "minute", "second", "increment"
REJECT, NOW, CORRECTION = "reject", "now", "correction"
BLANKS, DASHES = "blanks", "dashes"
STRIPS = ("+", "00", "011", BLANKS, DASHES)
HEADER_ROWS = 20
# Beside the fields of a rate: one cell for both increments, a code in front of the prefix, the file's currency, and
# what the supplier calls the change.
FIELDS = (*COLUMNS, "country_code", "increments", "currency", "change")
IGNORED = ""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "format": FORMATS,
    "encoding": ENCODINGS,
    "delimiter": DELIMITERS,
    "rate_unit": (MINUTE, SECOND, INCREMENT),
    "past_dates": (REJECT, NOW, CORRECTION),
    "grace": (FREE_FIRST_N, FREE_IF_SHORTER_THAN),
}
_PATTERNS = {"currency": r"[A-Z]{3}", "date_layout": LAYOUT, "sheet": r"[^\x00]{1,100}"}


class TemplateRefused(ValueError):
    """A template with an unknown key or a value that is not allowed; `key` names it."""

    def __init__(self, key: str) -> None:
        super().__init__(f"not a template: {key}")
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTemplate:
    """How to read a file. `columns` maps a column's title to one of FIELDS, or to "" to leave it out."""

    format: str = ""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""  # the name of the one sheet to read
    header_row: int = 0  # its number in the file; 0: find it among the first 20 rows
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    decimal_comma: bool = False
    rate_unit: str = ""  # what a rate is the price of: a minute, a second, an increment
    currency: str = ""
    date_layout: str = ""  # DD/MM/YYYY and the like
    # An effective date that has passed: an error, "from now on", or a correction. Suppliers' files: an error. Native
    # files: a correction, since they say again what is in force.
    past_dates: str = ""
    grace: str = ""  # what seconds of grace mean
    strip: tuple[str, ...] = ()  # what is cut off prefixes
    patterns: bool = False  # ^44.* means the prefix 44

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "FileTemplate":
        """The template behind what `to_json` gave. Raises TemplateRefused."""
        known = {one.name for one in fields(cls)}
        for key, value in given.items():
            if key not in known or not _is_allowed(key, value):
                raise TemplateRefused(str(key))
        values = dict(given)
        if "strip" in values:
            values["strip"] = tuple(values["strip"])
        if "columns" in values:
            values["columns"] = MappingProxyType(dict(values["columns"]))
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """What differs from AUTO, as JSON; the same template gives the same text."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {"strip": list(self.strip), "columns": dict(self.columns)}
        return {key: value for key, value in values.items() if value}


AUTO = FileTemplate()


def _is_allowed(key: str, value: Any) -> bool:
    if key in ("decimal_comma", "patterns"):
        return isinstance(value, bool)
    if key == "header_row":
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= HEADER_ROWS
    if key == "columns":
        return isinstance(value, Mapping) and all(_is_column(*item) for item in value.items())
    if key == "strip":
        return isinstance(value, list | tuple) and all(one in STRIPS for one in value)
    return isinstance(value, str) and (value == "" or _is_text(key, value))


def _is_text(key: str, value: str) -> bool:
    if key in _CHOICES:
        return value in _CHOICES[key]
    if re.fullmatch(_PATTERNS[key], value) is None:
        return False
    try:
        return key != "date_layout" or bool(layout_pattern(value))
    except ValueError:
        return False


def _is_column(title: Any, target: Any) -> bool:
    return isinstance(title, str) and len(title) <= 200 and target in (*FIELDS, IGNORED)
