"""Arrays for statements over whole batches, as one literal each: a list given to the driver is written element by
element, and read by the database as an expression of that many constants."""

from collections.abc import Iterable
from decimal import Decimal


def numbers_array(values: Iterable[int | Decimal]) -> str:
    """The literal of an array of finite numbers; the statement casts it, `%s::bigint[]`."""
    return f"{{{','.join(map(str, values))}}}"


def texts_array(values: Iterable[str]) -> str:
    """The literal of an array of texts without NUL; the statement casts it, `%s::text[]`."""
    given = list(values)
    if not given:
        return "{}"
    whole = '","'.join(given)
    if "\\" in whole or whole.count('"') != 2 * (len(given) - 1):
        whole = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in given)
    return f'{{"{whole}"}}'
