"""Tests that share what is slow to start run on one worker, one after the other, and what they share ends with them.

The groups that take longest come first, so that no worker is left alone with one of them at the end of a run.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

import pytest
from xdist.scheduler import LoadFileScheduling

Thing = TypeVar("Thing")

LONGEST_FIRST = (  # groups of files or directories, in the order of running; every other file is a group of its own
    ("tests/browser/",),
    ("tests/flows/test_click_to_charge.py", "tests/docs/test_docs.py"),  # the pages change the prices of the flow
    ("tests/faults/cases/",),
    ("tests/billing_platform/test_up.py",),
    ("tests/flows/test_demo.py",),
)


def group_of(nodeid: str) -> str:
    """The first place of the group that a test belongs to."""
    path = nodeid.partition("::")[0]
    return next((group[0] for group in LONGEST_FIRST if path.startswith(group)), path)


def rank_of(path: str) -> int:
    """Where a file stands in `LONGEST_FIRST`; those that are not named come last."""
    places = [place for group in LONGEST_FIRST for place in group]
    return next((rank for rank, place in enumerate(places) if path.startswith(place)), len(places))


class Shared:
    """What the tests of a group share: made for the first that asks, ended after the last one of the group."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._undo = ExitStack()

    def get(self, name: str, make: Callable[[], AbstractContextManager[Thing]]) -> Thing:
        if name not in self._made:
            self._made[name] = self._undo.enter_context(make())
        made: Thing = self._made[name]
        return made

    def end(self) -> None:
        self._made.clear()
        self._undo.close()


SHARED = Shared()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of tests in a file, and of files that are not named, stays what it is."""
    files = [item.nodeid.partition("::")[0] for item in items]
    numbers = {path: number for number, path in reversed([*enumerate(files)])}
    ordered = sorted(zip(files, items, strict=True), key=lambda pair: (rank_of(pair[0]), numbers[pair[0]]))
    items[:] = [item for _, item in ordered]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid):
        SHARED.end()


class GroupScheduling(LoadFileScheduling):
    """`--dist loadfile`, with groups in place of files and in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)
