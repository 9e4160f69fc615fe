"""Every message id of a package's templates and modules, read without running it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

CALLS = frozenset(
    {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
)
_IN_TEMPLATE = re.compile(r"(?<!\w)(_|gettext|ngettext|pgettext)\((?P<ids>.*?)\)", re.DOTALL)


def message_ids(package: Path) -> set[str]:
    """Singular forms; contexts are left out."""
    found: set[str] = set()
    for path in package.rglob("*.html"):
        found |= set(_of_template(path.read_text()))
    for path in package.rglob("*.py"):
        if "migrations" not in path.parts:
            found |= set(_of_module(ast.parse(path.read_text())))
    return {message for message in found if message.strip()}


def _of_template(text: str) -> Iterator[str]:
    for call in _IN_TEMPLATE.finditer(templatize(text)):
        try:
            arguments = ast.parse(f"f({call['ids']})", mode="eval").body.args  # type: ignore[attr-defined]
        except SyntaxError:
            continue
        texts = [part.value for part in arguments if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        yield from texts[1:] if call[1] == "pgettext" else texts[:1]


def _of_module(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in CALLS:
            texts = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            yield from texts[1:] if getattr(node.func, "id", "").startswith("pgettext") else texts[:1]
