"""The pages as people meet them: a Chromium, the real web server, a counter and a callback platform on one database.

All modules share the browser and the processes, each test brings a tenant of its own. Without a Chromium the tests
are skipped.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, expect, sync_playwright
from pytest_django import DjangoDbBlocker

from counter import client
from tests.browser.stack import PATIENCE_MS, Browsers, Site, Stack, running_site
from tests.together import SHARED

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def find_chromium() -> str | None:
    """CHROMIUM, else the first one on the path."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "chrome"]
    return next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, which Django takes for an async caller of its database.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=2 * PATIENCE_MS)
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def chromium() -> Browser:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium: put one on the PATH or name it in CHROMIUM")
    return SHARED.get("chromium", lambda: launched(path))


@pytest.fixture
def site(
    shared_database: Callable[[], AbstractContextManager[object]],
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    def running() -> AbstractContextManager[Site]:
        directory: Path = tmp_path_factory.mktemp("site")
        return running_site(directory)

    with django_db_blocker.unblock(), shared_database():
        return SHARED.get("site", running)


@pytest.fixture
def browsers(chromium: Browser, site: Site) -> Browsers:
    return SHARED.get("browsers", lambda: nullcontext(Browsers(chromium, site.url)))


@pytest.fixture
def stack(
    browsers: Browsers,
    site: Site,
    shared_database: Callable[[], AbstractContextManager[object]],
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Stack]:
    """No window outlives its test, and no page may have logged an error."""
    cache.clear()
    client.forget_payers()
    stack = Stack(browsers, site)
    with django_db_blocker.unblock(), shared_database(), site.counter_in_use():
        yield stack
        stack.close_windows()
        stack.let_calls_stay(None)
    assert stack.page_errors == []
