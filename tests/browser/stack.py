"""A live stack and windows on it: who is logged in, in which language, how wide, light or dark."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from billing_platform.auth import hashed_secret
from billing_platform.webhooks import sealed_secret
from cdr.models import Provider
from tests.callcontrol.cast import make_platform, make_services
from tests.callcontrol.simulated import KEY, SECRET, TOKEN, Simulator, running
from tests.processes import ROOT, start_counter, wait_until

SPEED = 6  # a call lasts 3 to 5 s, every state long enough to be seen
Size = tuple[int, int]
WIDE, NARROW = (1280, 860), (360, 740)
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


@dataclass
class Stack:
    """The site and the windows that a test has open on it."""

    browser: Browser
    site: Site
    page_errors: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def window(
        self,
        user: User | None,
        *,
        path: str = "/",
        language: str = "en",
        size: tuple[int, int] = WIDE,
        dark: bool = False,
    ) -> Page:
        """A window of a browser of its own, logged in as the user."""
        context = self.browser.new_context(
            base_url=self.site.url, viewport={"width": size[0], "height": size[1]}, locale=language,
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(8000)
        self._contexts.append(context)
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
        while self._contexts:
            self._contexts.pop().close()

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
    port = free_port()
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
        wait_until(lambda: _answers(port), seconds=30, what=f"a web server, see {directory / 'web.log'}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as response:
            return bool(json.load(response))
    except (OSError, ValueError):
        return False
