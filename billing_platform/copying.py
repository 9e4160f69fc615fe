"""COPY: the fastest way for many rows into a table; a batch of one works the same."""

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

Cell = str | int | bool | bytes | Decimal | datetime | None

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_RENDERERS: dict[type, Callable[[Any], str]] = {
    str: lambda value: value.translate(_ESCAPES),
    bool: lambda value: "t" if value else "f",
    bytes: lambda value: "\\\\x" + value.hex(),  # the backslash itself is escaped
    datetime: datetime.isoformat,
    int: str,
    Decimal: str,
    type(None): lambda _value: "\\N",
}


def _rendered(cells: tuple[Cell, ...]) -> Iterable[str]:
    """A column as text. Columns are uniform, so most are judged once and not cell by cell."""
    first = cells[0]
    if first is cells[-1] and cells.count(first) == len(cells):
        return [_renderer(type(first))(first)] * len(cells)
    kinds = set(map(type, cells))
    if kinds == {str}:
        whole = "".join(cells)  # type: ignore[arg-type]  # all of them are text
        if whole.isprintable() and "\\" not in whole:
            return cells  # type: ignore[return-value]  # the same
    if len(kinds) == 1:
        return map(_renderer(kinds.pop()), cells)
    return [_renderer(type(cell))(cell) for cell in cells]


def _renderer(kind: type) -> Callable[[Any], str]:
    return _RENDERERS.get(kind) or next(render for known, render in _RENDERERS.items() if issubclass(kind, known))


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Insert rows by COPY in the present transaction. Decimals are finite, text holds no NUL: doors refuse both."""
    lines = map("\t".join, zip(*map(_rendered, zip(*rows, strict=True)), strict=True))
    text = "\n".join([*lines, ""])
    # Django wraps the errors of execute() only; unwrapped they would pass by everybody who expects them.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", io.StringIO(text))
