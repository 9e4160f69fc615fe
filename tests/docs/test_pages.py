"""The two languages of every page tell the same, and every link leads somewhere."""

import re

import pytest

from tests.docs.pages import DOCS, ROOT, Page, english_pages

PAGES = english_pages()
EVERYTHING = [*PAGES, *(page.chinese for page in PAGES), Page(ROOT / "README.md")]
HAN = re.compile(r"[\u4e00-\u9fff]")
WANTED = {
    "quickstart", "concepts", "first-call-curl", "first-call-client", "architecture", "settings", "gate", "callbacks",
    "records", "rates", "decks", "rate-admin", "money", "commands", "errors", "metrics",
    "operations", "deployment", "decisions", "scale",
}  # fmt: skip


def name_of(page: Page) -> str:
    return page.path.name


def test_every_page_is_there_in_both_languages():
    english = {page.path.stem for page in PAGES}

    assert english == WANTED
    assert {path.name.removesuffix(".zh.md") for path in DOCS.glob("*.zh.md")} == english


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_both_languages_have_the_same_tree(page):
    assert page.chinese.levels == page.levels


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_both_languages_have_the_same_code(page):
    drawings = {"", "text"}  # pictures hold words

    assert [b for b in page.chinese.blocks if b.language not in drawings] == [
        b for b in page.blocks if b.language not in drawings
    ]
    assert [b.language for b in page.chinese.blocks] == [b.language for b in page.blocks]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_both_languages_have_the_same_tables(page):
    def shape(tables: list[list[list[str]]]) -> list[list[tuple[int, list[str]]]]:
        return [[(len(row), re.findall(r"`[^`]+`", row[0])) for row in table] for table in tables]

    assert shape(page.chinese.tables) == shape(page.tables)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_chinese_is_chinese_and_english_is_english(page):
    titles = re.findall(r"^#+ (.+)$", page.chinese.prose, re.MULTILINE)

    assert [title for title in titles if not HAN.search(title) and not re.fullmatch(r"[`\w.\-· ]+", title)] == []
    assert len(HAN.findall(page.chinese.prose)) > 100


@pytest.mark.parametrize("page", EVERYTHING, ids=name_of)
def test_links_lead_somewhere(page):
    broken = [link for link in page.links if not leads_somewhere(page, link)]

    assert broken == []


def leads_somewhere(page: Page, link: str) -> bool:
    if link.startswith(("http://127.0.0.1", "https://")):
        return True
    name, _, anchor = link.partition("#")
    target = page.path if not name else (page.path.parent / name).resolve()
    if not target.exists():
        return False
    return not anchor or anchor in Page(target).anchors


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_chinese_pages_lead_to_chinese_pages(page):
    english = [link for link in page.chinese.links if link.partition("#")[0] in {other.path.name for other in PAGES}]

    assert english == [page.path.name]  # the one to the other language
