"""The pages of the documentation, read as far as the tests need: headings, code blocks, tables, links."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """Everything outside of code blocks."""
        return FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        return [Block(language, text) for language, text in FENCE.findall(self.text)]

    @property
    def levels(self) -> list[int]:
        """The tree of headings."""
        return [len(marks) for marks, _title in HEADING.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """As a reader's Markdown viewer makes them from headings."""
        return {anchor_of(title) for _marks, title in HEADING.findall(self.prose)}

    @property
    def links(self) -> list[str]:
        return LINK.findall(self.prose)

    @property
    def tables(self) -> list[list[list[str]]]:
        """Tables as rows of cells, without the line below the head."""
        tables: list[list[list[str]]] = []
        inside = False
        for line in self.prose.splitlines():
            if not line.startswith("|"):
                inside = False
                continue
            if not inside:
                tables.append([])
            inside = True
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                tables[-1].append(cells)
        return tables

    @property
    def chinese(self) -> "Page":
        return Page(self.path.with_suffix(".zh.md"))

    def table_after(self, heading: str) -> list[list[str]]:
        """The rows, without the head, of the first table below this heading."""
        section = Page(self.path)
        section.__dict__["text"] = self.text[self.text.index(f"# {heading}\n") :]
        return section.tables[0][1:]


def anchor_of(title: str) -> str:
    """`## A call's way` is `#a-calls-way`."""
    plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", title).strip().lower())
    return plain.replace(" ", "-")


def codes_in(cell: str) -> list[str]:
    """The words that a cell sets as code."""
    return re.findall(r"`([^`]+)`", cell)


def english_pages() -> list[Page]:
    return [Page(path) for path in sorted(DOCS.glob("*.md")) if not path.name.endswith(".zh.md")]
