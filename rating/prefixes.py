"""How a deck's prefixes are read: the text in a file or a form, turned into the beginning of a number's key."""

import re
from functools import lru_cache
from typing import NamedTuple

from rating.segments import CHINA
from rating.terms import E164, RAW

PREFIX_MAX = 40  # characters
_SCIENTIFIC = re.compile(r"[0-9]+\.[0-9]*|[0-9.]+[eE][+-]?[0-9]+")
_KEY = re.compile(r"[0-9]+|86\.[0-9]*").fullmatch
_DIGITS = re.compile(r"[0-9]+", re.ASCII).fullmatch
_MOBILE_HEADS = ("13", "14", "15", "16", "17", "18", "19")
_SHORT_HEADS = ("10", "11", "12", "95", "96")
_TOLL_HEADS = ("400", "800")


class PrefixRefused(ValueError):
    """The text is no prefix in this numbering; `code` is that of the row error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class DeckPrefix(NamedTuple):
    """What a number's key must begin with, and the reach that the prefix alone implies ("" = none)."""

    key: str
    reach: str = ""


@lru_cache(maxsize=65536)
def read_prefix(text: str, *, numbering: str) -> DeckPrefix:
    """Read a deck's prefix. Raises PrefixRefused E_PREFIX, E_PREFIX_SCIENTIFIC or E_PREFIX_AMBIGUOUS.

    `national` is as dialled in China: 010, 13, 400, 95, 00852; `e164` is the key itself; `raw` is any text.
    """
    if len(text) > PREFIX_MAX:
        raise PrefixRefused("E_PREFIX")
    if numbering == RAW or not text:
        return DeckPrefix(text)
    if numbering == E164 and _KEY(text):
        return DeckPrefix(text)
    if _DIGITS(text):
        return _national(text)
    raise PrefixRefused("E_PREFIX_SCIENTIFIC" if _SCIENTIFIC.fullmatch(text) else "E_PREFIX")


def _national(text: str) -> DeckPrefix:
    if text.startswith("00"):
        return DeckPrefix(text[2:], "" if text[2:] else "international")
    if text[0] == "0" and len(text) > 1 and text != "01":  # 01 would be area 10 and every mobile at once
        return DeckPrefix(CHINA + text[1:])
    if text.startswith(_MOBILE_HEADS) or text.startswith(_TOLL_HEADS):
        return DeckPrefix(CHINA + text)
    if text.startswith(_SHORT_HEADS):
        return DeckPrefix(f"{CHINA}.{text}")
    raise PrefixRefused("E_PREFIX_AMBIGUOUS")
