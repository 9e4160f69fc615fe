"""Every console block of the documentation does what it says, on a platform that was started for it."""

import sys
from collections.abc import Iterator

import pytest

from tests.docs.console import Shell, Step, matches, steps_of
from tests.docs.pages import Page, english_pages
from tests.flows.live import ROOT, Platform, shared_platform
from tests.processes import Nursery, running_nursery
from tests.together import SHARED

TOLD = [page for page in english_pages() if any(block.language == "console" for block in page.blocks)]
BORN = ROOT / "tests" / "born.py"
NOT_RUN = (
    "make ",
    "git ",
    "docker ",
    "python3 -m venv",
    "openssl ",
    "mkdir ",
)  # in sh blocks: what a test cannot do twice


@pytest.fixture
def platform(lent_database, tmp_path_factory) -> Platform:
    return shared_platform(lent_database, tmp_path_factory)


@pytest.fixture
def nursery(platform) -> Nursery:
    """Bears the commands of the pages."""
    return SHARED.get("nursery of the pages", lambda: running_nursery(platform.environment))


@pytest.fixture
def shell(platform, nursery, tmp_path) -> Iterator[Shell]:
    names = {
        ".venv-client/bin/python": sys.executable,
        ".venv/bin/python manage.py": f"{sys.executable} -I -S {BORN} {nursery.socket} {ROOT / 'manage.py'}",
        "http://127.0.0.1:8000": platform.url,
        "127.0.0.1:50051": platform.ready["counter_address"],
        "http://127.0.0.1:8090": platform.ready["simulator_url"],
    }
    session = Shell(tmp_path, environment=platform.environment, names=names)
    yield session
    session.end()


@pytest.mark.parametrize("page", TOLD, ids=lambda page: page.path.stem)
def test_the_page_does_what_it_says(page: Page, shell: Shell, platform: Platform, tmp_path):
    for block in page.blocks:
        name = block.text.partition("\n")[0].removeprefix("# ")
        if block.text.startswith("# ") and name.endswith((".py", ".csv", ".ndjson")):
            text = block.text.replace("http://127.0.0.1:8000", platform.url)
            (tmp_path / name).write_text(text.replace("127.0.0.1:50051", platform.ready["counter_address"]))

    for step in steps_of(page):
        seen = shell.run(step.command)

        assert matches(step.expected, seen), told_apart(step, seen)


def told_apart(step: Step, seen: str) -> str:
    return f"\n$ {step.command}\n--- the page says\n{step.expected}\n--- it printed\n{seen}"


def test_what_is_not_run_is_only_what_cannot_be():
    """A `sh` block holds commands that start, deploy or install; everything else is a console block."""
    lines = [
        (page.path.name, line)
        for page in english_pages()
        for block in page.blocks
        if block.language == "sh"
        for line in block.text.splitlines()
    ]

    assert [(name, line) for name, line in lines if not line.startswith((*NOT_RUN, ".venv-client", "#", "  "))] == []


def test_an_unkept_promise_is_seen():
    assert matches("a … c\n…\nend", "a b c\n1\n2\nend")
    assert matches("a\n…", "a")
    assert not matches("a … c", "a b d")
    assert not matches("", "something")
