"""Every address of the site, read from the router itself, with an example of each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

EXAMPLES = {"int": "7", "str": "none", "slug": "none", "uuid": "00000000-0000-4000-8000-000000000000", "path": "none"}
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` as in the urls files, joined; `path` with examples for its parameters: nothing that exists."""

    pattern: str
    view: Any

    @property
    def path(self) -> str:
        plain = re.sub(r"\(\?P<\w+>[^)]*\)", "none", self.pattern.replace("^", "").replace("\\Z", "").replace("$", ""))
        return "/" + _PARAMETER.sub(lambda found: EXAMPLES.get(found[1] or "str", "none"), plain)


def routes() -> list[Route]:
    """In the order of the router."""
    return list(_walked(get_resolver().url_patterns, ""))


def own_addresses() -> set[str]:
    """The paths outside the admin."""
    return {route.path for route in routes() if not route.path.startswith("/admin/")}


def _walked(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        whole = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walked(pattern.url_patterns, whole)
        else:
            yield Route(whole, pattern.callback)
