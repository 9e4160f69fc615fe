"""Real processes for tests: the counter, and whatever else speaks over a socket, against the test's own database."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], *, seconds: float = 10.0, what: str = "condition") -> Any:
    """The first true answer of `condition`; fails when there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not in {seconds} s: {what}")


@dataclass
class Process:
    """A started program; `ready` is the JSON line that it printed."""

    popen: "subprocess.Popen[str]"
    ready: dict[str, Any]
    log: Path

    def kill9(self) -> None:
        """As if the power failed."""
        self.popen.kill()
        self.popen.wait()

    def terminate(self, *, seconds: float = 15.0) -> int:
        """SIGTERM, and the exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)


def start(arguments: list[str], *, log: Path, env: dict[str, str] | None = None) -> Process:
    """Start a program that prints one JSON line when it is ready."""
    with log.open("a") as errors:
        popen = subprocess.Popen(
            arguments, cwd=ROOT, env=os.environ | (env or {}), stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert popen.stdout is not None
    line: list[str] = []
    reader = threading.Thread(target=lambda: line.append(popen.stdout.readline()), daemon=True)
    reader.start()
    reader.join(START_SECONDS)
    if not line or not line[0].startswith("{"):
        popen.kill()
        raise AssertionError(f"{' '.join(arguments[-4:])} did not start:\n{log.read_text()[-3000:]}")
    return Process(popen, json.loads(line[0]), log)


@contextmanager
def running_counter(
    tmp_path: Path, *, address: str = "127.0.0.1:0", env: dict[str, str] | None = None
) -> Iterator[Process]:
    """A counter process on the current database; COUNTER_ADDRESS points at it meanwhile."""
    process = start_counter(tmp_path, address=address, env=env)
    before = settings.COUNTER_ADDRESS
    settings.COUNTER_ADDRESS = [process.ready["address"]]
    try:
        yield process
    finally:
        settings.COUNTER_ADDRESS = before
        process.kill9()


def start_counter(tmp_path: Path, *, address: str = "127.0.0.1:0", env: dict[str, str] | None = None) -> Process:
    """A counter process on the current database, not stopped by anybody but the caller."""
    arguments = [sys.executable, "manage.py", "runcounter", "--bind", address, "--print-json"]
    return start(arguments, log=tmp_path / "counter.log", env=env)


@contextmanager
def running_web(tmp_path: Path, *, env: dict[str, str] | None = None) -> Iterator[str]:
    """The web server on the current database and a free port; answers its root address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    log = tmp_path / "web.log"
    options = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with log.open("a") as output:
        popen = subprocess.Popen(
            [sys.executable, "-m", "granian", *options, "--blocking-threads", "4", "billing_platform.wsgi:application"],
            cwd=ROOT, env=os.environ | (env or {}), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: _answers(port), seconds=START_SECONDS, what=f"the web server\n{log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
