"""The pages as people meet them: a Chromium, the real web server, a counter and a callback platform on one database.

All modules share the processes, each test brings a tenant of its own. Without a Chromium the tests are skipped.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, sync_playwright
from pytest_django import DjangoDbBlocker

from counter import client
from tests.browser.stack import Site, Stack, running_site

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def find_chromium() -> str | None:
    """CHROMIUM, else the first one on the path."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "chrome"]
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium: put one on the PATH or name it in CHROMIUM")
    # Playwright keeps an event loop in this thread, which Django takes for an async caller of its database.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def site(
    shared_database: Callable[[], AbstractContextManager[object]],
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with ExitStack() as parts:
        with django_db_blocker.unblock(), shared_database():
            site = parts.enter_context(running_site(tmp_path_factory.mktemp("site")))
        yield site


@pytest.fixture
def stack(
    chromium: Browser,
    site: Site,
    shared_database: Callable[[], AbstractContextManager[object]],
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Stack]:
    """No window outlives its test, and no page may have logged an error."""
    cache.clear()
    client.forget_payers()
    stack = Stack(chromium, site)
    with django_db_blocker.unblock(), shared_database(), site.counter_in_use():
        yield stack
        stack.close_windows()
    assert stack.page_errors == []
