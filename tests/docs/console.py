"""Console blocks of a page as one shell session: what is typed after `$ `, and what must then be read.

`…` in an expected line stands for any text, a line that is only `…` for any lines. A command that ends in a backslash,
or opens a here-document, goes on in the next line.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import Page

SECONDS = 40
HERE = re.compile(r"<<'?(\w+)'?")


@dataclass(frozen=True)
class Step:
    """A command and the output that its page promises."""

    command: str
    expected: str


def steps_of(page: Page) -> Iterator[Step]:
    """The commands of all console blocks, in order."""
    for block in page.blocks:
        if block.language == "console":
            yield from _steps(block.text.splitlines())


def _steps(lines: list[str]) -> Iterator[Step]:
    place = 0
    while place < len(lines):
        assert lines[place].startswith("$ "), f"a console block begins with a command: {lines[place]!r}"
        command = [lines[place][2:]]
        ending = HERE.search(command[0])
        place += 1
        while command[-1].endswith("\\") or (ending and command[-1] != ending[1]):
            command.append(lines[place])
            place += 1
        output = []
        while place < len(lines) and not lines[place].startswith("$ "):
            output.append(lines[place])
            place += 1
        yield Step("\n".join(command), "\n".join(output))


def matches(expected: str, seen: str) -> bool:
    """Does the output keep the page's promise?"""
    pattern = "".join(_pattern(line.rstrip()) for line in expected.splitlines())
    lines = "".join(f"{line.rstrip()}\n" for line in seen.strip("\n").splitlines())
    return re.fullmatch(pattern, lines) is not None


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split("…")) + r"\n"


class Shell:
    """One bash that keeps its variables from command to command."""

    def __init__(self, directory: Path, *, environment: dict[str, str], names: dict[str, str]) -> None:
        self._names = names
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=directory, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, command: str) -> str:
        """The output of a command, in the page's own names."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        for shown, real in self._names.items():
            command = command.replace(shown, real)
        self._bash.stdin.write(f"{command}\nprintf '\\n@@end@@\\n'\n")
        self._bash.stdin.flush()
        lines = []
        for line in self._bash.stdout:
            if line == "@@end@@\n":
                break
            lines.append(line)
        output = "".join(lines).removesuffix("\n")
        for shown, real in self._names.items():
            output = output.replace(real, shown)
        return output

    def end(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        try:
            self._bash.wait(SECONDS)
        finally:
            self._bash.kill()
