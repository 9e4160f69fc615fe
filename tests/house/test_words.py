"""What the repository may say: the product alone. And what it may hold: no secret, no catalogue out of date."""

import gettext
import re
import subprocess
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = sorted(ROOT.glob("*/locale/zh_Hans/LC_MESSAGES/django.po"))


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_private_keys_and_no_long_secrets():
    found = [
        path.name
        for path in tracked()
        if path.suffix not in {".lock", ".mo", ".png", ".svg", ".xlsx"}
        and re.search(r"BEGIN (RSA |EC )?PRIVATE KEY|AKIA[0-9A-Z]{16}", path.read_text(errors="replace"))
        and path != Path(__file__)
    ]

    assert found == []


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.parts[-5])
def test_chinese_is_complete(catalogue):
    entries = polib.pofile(str(catalogue))

    assert [entry.msgid for entry in entries.untranslated_entries()] == []
    assert [entry.msgid for entry in entries.fuzzy_entries()] == []


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.parts[-5])
def test_compiled_catalogue_is_up_to_date(catalogue):
    with catalogue.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    stale = [
        entry.msgid
        for entry in polib.pofile(str(catalogue)).translated_entries()
        if entry.msgstr and compiled.pgettext(entry.msgctxt, entry.msgid) != entry.msgstr
        and compiled.gettext(entry.msgid) != entry.msgstr
    ]  # fmt: skip

    assert stale == []


def test_a_message_reads_the_same_in_every_room():
    """The rooms' catalogues become one: without a context of its own one room's word would stand in another's page."""
    said: dict[tuple[str | None, str], set[str]] = {}
    for path in CATALOGUES:
        for entry in polib.pofile(str(path)):
            said.setdefault((entry.msgctxt, entry.msgid), set()).add(entry.msgstr or str(entry.msgstr_plural))

    assert {message: words for message, words in said.items() if len(words) > 1} == {}


def test_every_message_in_the_code_is_in_a_catalogue():
    """gettext calls with a literal: Python only; templates are checked by the pages' own tests."""
    known = {entry.msgid for path in CATALOGUES for entry in polib.pofile(str(path))}
    used = {
        match.group(2)
        for path in tracked()  # what other tests make and remove meanwhile is not looked at
        if path.suffix == ".py" and "tests" not in path.parts
        for match in re.finditer(r"""\b(?:_|gettext|gettext_lazy)\(\s*(["'])((?:(?!\1).)+)\1\s*\)""", path.read_text())
    }

    assert sorted(used - known) == []
