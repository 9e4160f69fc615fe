"""JSON as a money door reads it: bytes, depth and encoding are judged before the parser sees anything.

Refused: more bytes or more depth than the door allows, a byte order mark, anything but UTF-8, NaN and Infinity,
exponents that overflow, a name twice in one object, NUL, lone surrogates, integers of absurd length. No input raises
anything but Malformed or TooLarge. Numbers with a fraction become Decimal: no float comes in here.
"""

import json
import re
from decimal import Decimal
from typing import Any

from billing_platform.errors import Malformed, TooLarge

BYTES_MAX = 256 * 1024
DEPTH_MAX = 8
DIGITS_MAX = 40  # of an integer or a fraction; more is an attack or a mistake

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_OPENING, _CLOSING = b"[{", b"]}"
_SURROGATE = re.compile("[\ud800-\udfff]")


def _structure(body: bytes) -> bytes:
    """The brackets outside strings. Up to the first error the parser and this agree on what is a string."""
    if b"\\" in body:
        return _STRINGS.sub(b"", body).translate(None, _NOT_STRUCTURE)
    kept = body.translate(None, _NOT_STRUCTURE).replace(b'""', b"")  # what two neighbouring quotes enclose is nothing
    return _STRINGS.sub(b"", kept) if b'"' in kept else kept


def depth_of(body: bytes) -> int:
    """The deepest nesting of brackets, before any parser recurses into it."""
    depth = deepest = 0
    for letter in _structure(body):
        if letter in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif letter in _CLOSING:
            depth -= 1
    return deepest


def _constant(text: str) -> None:
    raise Malformed(f"{text} is not a number")


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise Malformed("a number is too long")
    return int(text)


def _fraction(text: str) -> Decimal:
    if len(text) > DIGITS_MAX or "e" in text or "E" in text:
        raise Malformed("write numbers without exponent and with at most 38 digits")
    return Decimal(text)


def _judged(name: str) -> None:
    if "\0" in name or (not name.isascii() and _SURROGATE.search(name)):
        raise Malformed("text holds NUL or half a character")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a name stands twice in one object")
    return found


def _judge_text(value: Any) -> None:
    """Depth is bounded, so this recursion is."""
    if isinstance(value, str):
        _judged(value)
    elif isinstance(value, dict):
        for name, member in value.items():
            _judged(name)
            _judge_text(member)
    elif isinstance(value, list):
        for member in value:
            _judge_text(member)


def parse_json(body: bytes, *, bytes_max: int = BYTES_MAX, depth_max: int = DEPTH_MAX) -> Any:
    """The value in `body`. Raises TooLarge above `bytes_max`, Malformed for everything else that is wrong."""
    if len(body) > bytes_max:
        raise TooLarge(limit=bytes_max)
    if depth_of(body) > depth_max:
        raise Malformed(f"nested deeper than {depth_max}")
    if body.startswith(b"\xef\xbb\xbf"):
        raise Malformed("starts with a byte order mark")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_int=_integer, parse_float=_fraction, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON at line {error.lineno}, column {error.colno}") from None
    if "\\u" in text or "\0" in text:  # only an escape can bring in NUL or a lone surrogate: UTF-8 is checked
        _judge_text(value)
    return value
