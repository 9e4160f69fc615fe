"""The prefix cells of suppliers: lists, ranges, patterns and what stands before the digits."""

import re
from collections.abc import Iterable

from rating.formats.fields import FieldRefused
from rating.formats.template import BLANKS, DASHES, FileTemplate

EXPANDED_MAX = 10_000  # prefixes in one row
_PATTERN = re.compile(r"\^?([0-9]+)(?:\.\*|\.\+)?\$?", re.ASCII)
_RANGE = re.compile(r"([0-9]+)\s*-\s*([0-9]+)", re.ASCII)
_SEPARATORS = re.compile(r"[,;]")


def expand(text: str, *, country: str = "") -> list[str]:
    """`38,39` and `20-25` one by one, each behind the country's code. Raises FieldRefused E_RANGE or E_LIMIT."""
    found: list[str] = []
    for part in _SEPARATORS.split(text):
        piece = part.strip()
        ends = _RANGE.fullmatch(piece)
        if ends is None:
            found.append(country + piece)
        else:
            found.extend(f"{country}{number:0{len(ends[1])}}" for number in _between(ends[1], ends[2]))
        if len(found) > EXPANDED_MAX:
            raise FieldRefused("E_LIMIT")
    if len(found) > 1 and country in found:
        raise FieldRefused("E_RANGE")  # a gap in the list
    return found


def _between(first: str, last: str) -> Iterable[int]:
    """Both ends count and are equally long: in 4420-25 nobody can say what the 25 replaces."""
    if len(first) != len(last) or len(first) > 18 or int(last) < int(first):
        raise FieldRefused("E_RANGE")
    if int(last) - int(first) >= EXPANDED_MAX:
        raise FieldRefused("E_LIMIT")
    return range(int(first), int(last) + 1)


def plain(text: str, template: FileTemplate) -> str:
    """The cell without what the template says may stand in it."""
    if template.patterns:
        text = without_pattern(text)
    if BLANKS in template.strip:
        text = "".join(text.split())
    if DASHES in template.strip:
        text = text.replace("-", "")
    for head in ("+", "011", "00"):
        if head in template.strip and text.startswith(head):
            return text[len(head) :]
    return text


def without_pattern(text: str) -> str:
    """`^44.*` is the prefix 44; any other text stays as it is."""
    found = _PATTERN.fullmatch(text)
    return found[1] if found else text
