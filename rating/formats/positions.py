"""Files without a header: the columns stand in the order of their format."""

import re
from collections import Counter
from collections.abc import Container, Mapping

from rating.formats.layout import REQUIRED, Layout
from rating.formats.table import FileRefused, Table, is_remark
from rating.formats.template import IGNORED, FileTemplate

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_PRICE = re.compile(r"[0-9]+(?:[.,][0-9]+)?", re.ASCII)


def is_text_price(head: list[list[str]], *, width: int) -> bool:
    """Are nearly all rows this wide, and do they begin with digits, a name and a number?"""
    rows = [[cell.strip() for cell in cells] for cells in head if not is_remark(cells)]
    fitting = sum(1 for cells in rows if len(cells) == width and _begins_like_a_rate(cells))
    return fitting > 0 and fitting * 5 >= len(rows) * 4


def _begins_like_a_rate(cells: list[str]) -> bool:
    is_priced = _PRICE.fullmatch(cells[2]) is not None and _PRICE.fullmatch(cells[1]) is None
    return is_priced and _DIGITS.fullmatch(cells[0]) is not None


def positional_layout(
    table: Table, columns: Mapping[str, str], template: FileTemplate, *, widths: Container[int]
) -> Layout:
    """The columns in their order, as many as the first row has. Raises FileRefused E_HEADER for another number."""
    number, first = next(((number, cells) for number, cells in table.head() if not is_remark(cells)), (0, []))
    if len(first) not in widths:
        raise FileRefused("E_HEADER", f"{len(first)} columns", row=number, column="header")
    titles = tuple(columns)[: len(first)]
    named = [template.columns.get(title, columns[title]) for title in titles]
    wrong = [name for name in REQUIRED if name not in named] + [
        name for name, count in Counter(filter(None, named)).items() if count > 1
    ]
    if wrong:  # by the template
        raise FileRefused("E_HEADER", ",".join(wrong), column="header")
    return Layout(
        row=0,
        titles=titles,
        fields=tuple((index, name) for index, name in enumerate(named) if name != IGNORED),
        others=tuple((index, titles[index]) for index, name in enumerate(named) if name == IGNORED),
        ignored=frozenset(title for title in titles if template.columns.get(title) == IGNORED),
    )
