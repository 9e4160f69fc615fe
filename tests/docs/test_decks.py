"""The page about deck files: its tables are the code's own."""

from dataclasses import fields

import pytest

from rating.formats.fields import COLUMNS
from rating.formats.reading import FORMATS
from rating.formats.template import DELIMITERS, ENCODINGS, STRIPS, FileTemplate
from rating.models import DeckImport
from tests.docs.deck_tables import LANGUAGES, renewed
from tests.docs.pages import DOCS, Page, codes_in

FOLDER = "cgrates"  # no file, and a command of its own
WRITTEN = {"\t": "TAB", "|": r"\|"}


@pytest.fixture(params=LANGUAGES)
def page(request) -> Page:
    return Page(DOCS / request.param)


def rows_of(page: Page, first: str) -> list[list[str]]:
    """The rows of the table whose first code is this one."""
    return next(table[1:] for table in page.tables if len(table) > 1 and codes_in(table[1][0])[:1] == [first])


def first_codes(rows: list[list[str]]) -> list[str]:
    return [code for row in rows for code in codes_in(row[0])]


def test_generated_tables_are_what_the_code_has(page):
    assert page.text == renewed(page.text, LANGUAGES[page.path.name])


def test_every_column_of_a_deck_is_there(page):
    columns, *_ = (table[1:] for table in page.tables if codes_in(table[1][0]) == ["prefix"])

    assert sorted(first_codes(columns)) == sorted(COLUMNS)


def test_every_format_is_there(page):
    assert first_codes(rows_of(page, "native")) == [*FORMATS, FOLDER]


def test_every_option_of_a_template_is_there_with_its_values(page):
    rows = rows_of(page, "format")
    values = {codes_in(row[0])[0]: codes_in(row[1]) for row in rows}

    assert list(values) == [field.name for field in fields(FileTemplate)]
    assert values["format"] == list(FORMATS)
    assert values["encoding"] == list(ENCODINGS)
    assert values["delimiter"] == [WRITTEN.get(one, one) for one in DELIMITERS]
    assert values["strip"] == list(STRIPS)
    for name in ("rate_unit", "past_dates", "grace"):
        assert [FileTemplate.from_json({name: value}).to_json() for value in values[name]] == [
            {name: value} for value in values[name]
        ]


def test_every_mode_and_state_of_an_import_is_there(page):
    assert first_codes(rows_of(page, "merge")) == DeckImport.Mode.values
    assert first_codes(rows_of(page, "received")) == DeckImport.State.values
