"""Keyset pages: a page is asked for by the last row of the page before, in a cursor that only we can write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.core import signing

from billing_platform.errors import Malformed

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
CURSOR_MAX = 500  # characters
Row = TypeVar("Row")
Key = list[str | int]

_signer = signing.Signer(salt="cursor")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`after` is the sort key of the last row already seen; None asks for the first page."""

    limit: int
    after: Key | None

    def page(self, rows: Sequence[Row], key: "Callable[[Row], Key]", *, view: str) -> "Page[Row]":
        """The page of `rows`, which the caller read with `limit + 1`: the extra row only says that there is more."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return Page(list(shown), _written(key(shown[-1]), view=view) if more else None)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    items: list[Row]
    next_cursor: str | None


def page_request(query: Mapping[str, str], *, view: str) -> PageRequest:
    """Read `limit` (1…200, default 50) and `cursor`, which must come from the same view. Raises Malformed."""
    limit = query.get("limit", str(LIMIT_DEFAULT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= LIMIT_MAX):
        raise Malformed(f"limit is a whole number from 1 to {LIMIT_MAX}")
    cursor = query.get("cursor", "")
    return PageRequest(int(limit), _read(cursor, view=view) if cursor else None)


def _written(key: Key, *, view: str) -> str:
    return _signer.sign_object([view, key])


def _read(cursor: str, *, view: str) -> Key:
    if len(cursor) > CURSOR_MAX:
        raise Malformed("this cursor is not ours")
    try:
        written_for, key = _signer.unsign_object(cursor)
    except (signing.BadSignature, ValueError):
        raise Malformed("this cursor is not ours") from None
    if written_for != view:
        raise Malformed("this cursor belongs to another list")
    return list(key)
