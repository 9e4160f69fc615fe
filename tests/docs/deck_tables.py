"""The tables of the page about deck files, rendered from the code, in both languages behind a comment that names each.

    manage.py shell -c "from tests.docs.deck_tables import write_pages; write_pages()"

writes them anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType

from django.utils.translation import override

from rating.findings import MESSAGES, TITLES
from rating.formats import a2billing, astpp, cgrates, headers, jerasoft, kazoo, magnus, yeti
from rating.formats.template import FIELDS
from rating.messages import PLAN_MESSAGES, ROW_MESSAGES
from rating.rails import RAIL_NAMES
from tests.docs.pages import DOCS

LANGUAGES = {"decks.md": "en", "decks.zh.md": "zh-hans"}
SYSTEMS = (astpp, a2billing, magnus, yeti, kazoo, jerasoft)
TABLE = re.compile(r"^<!-- (\w+) -->\n\n(?:\|.*\n)*", re.MULTILINE)
PLACEHOLDER = re.compile(r"%\(\w+\)s")
HEADS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "aliases": {"en": ("field", "titles"), "zh-hans": ("字段", "列名")},
    "systems": {"en": ("field",), "zh-hans": ("字段",)},
    "folder": {"en": ("file", "columns"), "zh-hans": ("文件", "列")},
    "rails": {"en": ("name", "stops when"), "zh-hans": ("名称", "何时停下")},
    "rows": {"en": ("code", "meaning"), "zh-hans": ("代码", "含义")},
    "plans": {"en": ("code", "meaning in a folder"), "zh-hans": ("代码", "在文件夹中的含义")},
    "lint": {"en": ("code", "what", "message"), "zh-hans": ("代码", "问题", "说明")},
}


def rendered(name: str, language: str) -> str:
    """One table as Markdown."""
    with override(language):
        head = list(HEADS[name][language])
        if name == "systems":
            head += [module.NAME for module in SYSTEMS]
        lines = [_line(head), _line(["---"] * len(head)), *map(_line, _ROWS[name]())]
    return "".join(f"{line}\n" for line in lines)


def renewed(text: str, language: str) -> str:
    """The page with all its tables as the code has them. KeyError: a comment names no table."""
    return TABLE.sub(lambda found: f"<!-- {found[1]} -->\n\n{rendered(found[1], language)}", text)


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _codes(words: Iterable[str]) -> str:
    return " ".join(f"`{word}`" for word in words)


def _aliases() -> Iterator[list[str]]:
    for field, titles in headers.ALIASES.items():
        yield [_codes([field]), _codes(titles)]


def _systems() -> Iterator[list[str]]:
    """A line for each field that some system has a column for; what has no place here in the last."""
    for field in (*FIELDS, ""):
        cells = [_codes(_titles(module, field)) for module in SYSTEMS]
        if any(cells):
            yield [_codes([field]) if field else "–", *cells]


def _titles(module: ModuleType, field: str) -> Iterator[str]:
    """Columns with names of their own are translated from several: they have no single field."""
    return (title for title, name in module.columns().items() if name == field)


def _folder() -> Iterator[list[str]]:
    for file, columns in cgrates.COLUMNS.items():
        yield [_codes([file]), _codes(columns)]


def _meanings(messages: Mapping[str, object]) -> Iterator[list[str]]:
    for code, message in messages.items():
        yield [_codes([code]), str(message)]


def _lint() -> Iterator[list[str]]:
    for code, title in TITLES.items():
        messages = [str(text) for name, text in MESSAGES.items() if name.partition(".")[0] == code]
        yield [_codes([code]), str(title), PLACEHOLDER.sub("…", " ".join(messages)).replace("。 ", "。")]


_ROWS = {
    "aliases": _aliases,
    "systems": _systems,
    "folder": _folder,
    "rails": lambda: _meanings(RAIL_NAMES),
    "rows": lambda: _meanings(ROW_MESSAGES),
    "plans": lambda: _meanings(PLAN_MESSAGES),
    "lint": _lint,
}


def write_pages() -> None:
    """Put the tables into the pages as the code has them now."""
    for name, language in LANGUAGES.items():
        page = DOCS / name
        page.write_text(renewed(page.read_text(), language))
