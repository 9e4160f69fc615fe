"""A live stack and windows on it: who is logged in, in which language, how wide, light or dark."""

import json
import os
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from billing_platform.auth import hashed_secret
from billing_platform.supervision import unused_port
from billing_platform.webhooks import sealed_secret
from cdr.models import Provider
from tests.callcontrol.cast import make_platform, make_services
from tests.callcontrol.simulated import KEY, SECRET, TOKEN, Simulator, running
from tests.processes import ROOT, START_SECONDS, start_counter, wait_until

SPEED = 60  # a call is over in half a second; a test that looks at one has it stay in a state
Size = tuple[int, int]
WIDE, NARROW = (1280, 860), (360, 740)
PATIENCE_MS = 60_000  # for whatever is awaited; a passing test does not wait
SERIOUS = {"serious", "critical"}


@dataclass(frozen=True)
class Site:
    """The processes: where the web server is, the callback platform, and the counter's address."""

    url: str
    simulator: Simulator
    counter_address: str

    @contextmanager
    def counter_in_use(self) -> Iterator[None]:
        """The test's own process asks this counter too."""
        before = settings.COUNTER_ADDRESS
        settings.COUNTER_ADDRESS = [self.counter_address]
        yield
        settings.COUNTER_ADDRESS = before


@dataclass(frozen=True)
class Look:
    """What a browser's windows have in common."""

    language: str
    size: Size
    dark: bool


class Browsers:
    """Browsers for tests, one after the other in the same: making one, and its process, takes half a second.

    The next test finds no cookie and nothing stored; only the files that every page loads are still there.
    """

    def __init__(self, chromium: Browser, url: str) -> None:
        self._chromium, self._url = chromium, url
        self._free: dict[Look, list[BrowserContext]] = defaultdict(list)

    def lend(self, look: Look) -> BrowserContext:
        return self._free[look].pop() if self._free[look] else self._made(look)

    def take_back(self, look: Look, context: BrowserContext) -> None:
        keeper, *pages = context.pages
        for page in pages:
            page.close()
        context.clear_cookies()
        wire = context.new_cdp_session(keeper)
        wire.send("Storage.clearDataForOrigin", {"origin": self._url, "storageTypes": "all"})
        wire.detach()
        self._free[look].append(context)

    def _made(self, look: Look) -> BrowserContext:
        context = self._chromium.new_context(
            base_url=self._url, viewport={"width": look.size[0], "height": look.size[1]}, locale=look.language,
            color_scheme="dark" if look.dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(PATIENCE_MS)
        context.new_page()  # keeps the process
        return context


@dataclass
class Stack:
    """The site and the windows that a test has open on it."""

    browsers: Browsers
    site: Site
    page_errors: list[str] = field(default_factory=list)
    _lent: list[tuple[Look, BrowserContext]] = field(default_factory=list)

    def window(
        self,
        user: User | None,
        *,
        path: str = "/",
        language: str = "en",
        size: Size = WIDE,
        dark: bool = False,
    ) -> Page:
        """A window of a browser of its own, logged in as the user."""
        look = Look(language, size, dark)
        context = self.browsers.lend(look)
        self._lent.append((look, context))
        cookies = {"django_language": language} | ({"sessionid": session_of(user)} if user else {})
        context.add_cookies([{"name": name, "value": value, "url": self.site.url} for name, value in cookies.items()])
        return self.tab(context, path)

    def tab(self, context: BrowserContext, path: str = "/") -> Page:
        """Another tab of the same browser."""
        page = context.new_page()
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.on("console", lambda line: self._note(line.type, line.text))
        page.goto(path)
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "Content Security Policy" in text:
            self.page_errors.append(text)

    def close_windows(self) -> None:
        while self._lent:
            self.browsers.take_back(*self._lent.pop())

    def let_calls_stay(self, state: str | None) -> None:
        """Calls go on to this state and stay in it, however slow the browser is, until another one or none is named."""
        status, _ = self.site.simulator.ask("POST", "/sim/stay", json.dumps({"state": state}).encode())
        assert status == HTTPStatus.OK

    def calls_at_the_platform(self, customer: str) -> list[Any]:
        """The platform's own truth about calls to a number."""
        calls = self.site.simulator.ask("GET", "/sim/calls?limit=10000")[1]["calls"]
        return [call for call in calls if call["customer_number"] == customer]


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def by(page: Page | Locator, testid: str) -> Locator:
    """The element with this data-testid."""
    return page.locator(f'[data-testid="{testid}"]')


def serious_faults(page: Page) -> list[str]:
    """What axe finds of weight, with the elements."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {[node['target'] for node in fault['nodes']]}" for fault in found if fault["impact"] in SERIOUS
    ]


def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    page.wait_for_function("document.readyState === 'complete'")
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    """Counter, platform and web server on the database that is in use while they start."""
    make_services()
    Provider.objects.create(
        code="simulator", platform="generic", key_name=KEY, hook_token_hash=hashed_secret(TOKEN),
        secret=sealed_secret(SECRET),
    )  # fmt: skip
    port = unused_port()
    with ExitStack() as parts:
        counter = start_counter(directory)
        parts.callback(counter.kill9)
        address = str(counter.ready["address"])
        hooks = SimpleNamespace(server_port=port)
        simulator = parts.enter_context(running(hooks, "--speed", str(SPEED)))  # type: ignore[arg-type]
        make_platform(f"http://127.0.0.1:{simulator.port}/generic")
        parts.enter_context(running_web(port, directory, COUNTER_ADDRESS=address))
        yield Site(f"http://127.0.0.1:{port}", simulator, address)


@contextmanager
def running_web(port: int, directory: Path, **variables: str) -> Iterator[None]:
    """The web server as in production, one process, on the database that DATABASE_URL names now."""
    options = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
    options += ["--workers", "1", "--blocking-threads", "16", "--workers-kill-timeout", "2"]
    command = [sys.executable, "-m", "granian", *options, "billing_platform.wsgi:application"]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "billing_platform.settings", **variables}
    with (directory / "web.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(port), seconds=START_SECONDS, what=f"a web server, see {directory / 'web.log'}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as response:
            return bool(json.load(response))
    except (OSError, ValueError):
        return False
