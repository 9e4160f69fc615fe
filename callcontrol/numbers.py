"""Numbers as this room uses them: read once in the home area, compared by key, dialled in the national form."""

from rating.numbers import dialling
from rating.segments import Kind, Number, read_number

CHINA = "86"
NO_TARGET = frozenset({Kind.INVALID, Kind.HIDDEN})


def read(text: str) -> Number:
    """The number as dialled at home. Never raises."""
    return read_number(text, dialling.at_home())


def is_callable(number: Number) -> bool:
    """Does it lead to anybody?"""
    return number.kind not in NO_TARGET


def display_key(text: str) -> str:
    """What display numbers are compared by: the key, or the digits where a trunk's number is no subscriber's."""
    number = read(text)
    return number.key or "".join(letter for letter in text if letter.isdigit() and letter.isascii())


def dialled(number: Number) -> str:
    """What a platform in China dials: 13800000002, 02160001234, 4008201234, 10086, 0044…"""
    if number.kind == Kind.INTERNATIONAL:
        return f"00{number.key}"
    if "." in number.key:
        return (f"0{number.area}" if number.area else "") + number.key.partition(".")[2]
    national = number.key.removeprefix(CHINA)
    return f"0{national}" if number.kind == Kind.FIXED else national
