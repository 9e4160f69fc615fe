"""What the environment says, by type. Raises ImproperlyConfigured with the name and what to write instead.

`NAME_FILE` is read in place of `NAME` for every secret.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    """The variable as it stands."""
    return os.environ.get(name, default)


def flag(name: str, *, default: bool = False) -> bool:
    """1 or 0, yes or no, on or off, true or false."""
    value = text(name, "1" if default else "0").lower()
    if value not in {"0", "1", "false", "true", "no", "yes", "off", "on"}:
        raise ImproperlyConfigured(f"{name}={value!r}: write 1 or 0")
    return value in {"1", "true", "yes", "on"}


def number(name: str, default: int, *, at_least: int = 0) -> int:
    """A whole number from `at_least` on."""
    value = text(name, str(default))
    if not value.lstrip("-").isdigit() or int(value) < at_least:
        raise ImproperlyConfigured(f"{name}={value!r}: write a whole number of at least {at_least}")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def pairs(listed: list[str]) -> dict[str, str]:
    """`A=1`, `B=2`."""
    found = [word.partition("=") for word in listed]
    if not all(key.strip() and value.strip() for key, _equals, value in found):
        raise ImproperlyConfigured(f"{listed}: write NAME=VALUE, separated by commas")
    return {key.strip(): value.strip() for key, _equals, value in found}


def choice(name: str, default: str, allowed: set[str]) -> str:
    """One of a few words."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r}: one of {', '.join(sorted(allowed))}")
    return value


def rates(name: str, default: str) -> list[tuple[int, int]]:
    """`30/60,5/60`: thirty at once, refilled over sixty seconds; five; as many as the default names."""
    pairs = [pair.strip().partition("/") for pair in text(name, default).split(",")]
    sound = all(tokens.isdigit() and seconds.isdigit() and int(tokens) and int(seconds) for tokens, _, seconds in pairs)
    if not sound or len(pairs) != default.count(",") + 1:
        raise ImproperlyConfigured(f"{name}={text(name)!r}: write tokens/seconds, for example {default}")
    return [(int(tokens), int(seconds)) for tokens, _slash, seconds in pairs]


def rate(name: str, default: str) -> tuple[int, int]:
    """One of them."""
    return rates(name, default)[0]


def secret(name: str, default: str = "") -> str:
    """`NAME_FILE` wins over `NAME`; a named file that is missing stops the start."""
    path = text(f"{name}_FILE")
    if not path:
        return text(name, default)
    if not Path(path).is_file():
        raise ImproperlyConfigured(f"{name}_FILE={path!r}: no such file")
    return Path(path).read_text().strip()
