"""Real processes for tests: the counter, and whatever else speaks over a socket, against the test's own database.

Python programs come from a nursery (`tests.nursery`), which spares each the second that importing takes. What needs
another environment than the nursery's, the database and the failpoints aside, is started from nothing.
"""

import functools
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from billing_platform.supervision import unused_port
from counter import client
from tests.born import Born

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0  # a passing test does not wait
_ENVIRONMENT = dict(os.environ)  # before any test changed it


def wait_until(condition: Callable[[], Any], *, seconds: float = 60.0, what: str = "condition") -> Any:
    """The first true answer of `condition`; fails when there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not in {seconds} s: {what}")


class Nursery:
    """Bears processes in one environment; see `tests.nursery`. It ends with us, and everybody born in it."""

    _numbers = count(1)
    DJANGO = {"DJANGO_SETTINGS_MODULE": "billing_platform.settings"}
    OWN = frozenset({"DATABASE_URL", "FAILPOINTS"})  # what each may have of its own
    UNREAD = frozenset({"PYTEST_CURRENT_TEST", "DJANGO_ALLOW_ASYNC_UNSAFE", "SEED"})  # by any setting

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._same = self._compared(environment)
        directory = Path(os.environ["BILLING_TEST_RUN"])
        self.socket = str(directory / f"nursery-{os.getpid()}-{next(self._numbers)}.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(self.socket)
            door.listen(32)
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", str(door.fileno())], cwd=ROOT, env=dict(environment),
                stdin=subprocess.PIPE, pass_fds=[door.fileno()],
            )  # fmt: skip

    def suits(self, environment: Mapping[str, str]) -> bool:
        return self._same == self._compared(environment)

    def bear(self, words: list[str], *, environment: Mapping[str, str], streams: tuple[int, int, int]) -> Born:
        """`python WORDS` with these streams."""
        return Born(self.socket, words, directory=str(ROOT), environment=environment, streams=streams)

    def end(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait()

    def _compared(self, environment: Mapping[str, str]) -> dict[str, str]:
        read = self.DJANGO | dict(environment)
        return {name: read[name] for name in read.keys() - self.OWN - self.UNREAD}


@contextmanager
def running_nursery(environment: Mapping[str, str]) -> Iterator[Nursery]:
    nursery = Nursery(environment)
    yield nursery
    nursery.end()


@functools.cache
def nursery() -> Nursery:
    """Of this test process."""
    return Nursery(_ENVIRONMENT)


@dataclass
class Process:
    """A started program; `ready` is the JSON line that it printed, `output` what it prints from there on."""

    popen: "subprocess.Popen[str] | Born"
    output: IO[str]
    ready: dict[str, Any]
    log: Path

    def kill9(self) -> None:
        """As if the power failed."""
        self.popen.kill()
        self.popen.wait()
        self.output.close()

    def terminate(self, *, seconds: float = 60.0) -> int:
        """SIGTERM, and the exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)


def start(words: list[str], *, log: Path, env: dict[str, str] | None = None) -> Process:
    """Start `python WORDS`, which prints one JSON line when it is ready."""
    read, write = os.pipe()
    environment = os.environ | (env or {})
    with log.open("a") as errors, open(os.devnull) as nothing, os.fdopen(write, "w") as output:
        popen = launch(words, environment=environment, streams=(nothing.fileno(), output.fileno(), errors.fileno()))
    said = os.fdopen(read)
    line: list[str] = []
    reader = threading.Thread(target=lambda: line.append(said.readline()), daemon=True)
    reader.start()
    reader.join(START_SECONDS)
    if not line or not line[0].startswith("{"):
        popen.kill()
        raise AssertionError(f"{' '.join(words)} did not start:\n{log.read_text()[-3000:]}")
    return Process(popen, said, json.loads(line[0]), log)


@dataclass
class Errand:
    """A program that was given all its input and will end by itself."""

    popen: "subprocess.Popen[str] | Born"
    _output: IO[bytes]

    def end(self, *, seconds: float = 120.0) -> tuple[int, str]:
        """Its exit status, negative for a signal, and what it printed."""
        status = self.popen.wait(seconds)
        with self._output as output:
            output.seek(0)
            return status, output.read().decode()


def send(words: list[str], *, given: bytes = b"", env: dict[str, str] | None = None) -> Errand:
    """Start `python WORDS` with this input; its errors are ours."""
    output = tempfile.TemporaryFile()  # noqa: SIM115  `end` closes it
    with tempfile.TemporaryFile() as source:
        source.write(given)
        source.seek(0)
        streams = (source.fileno(), output.fileno(), 2)
        return Errand(launch(words, environment=os.environ | (env or {}), streams=streams), output)


def launch(
    words: list[str], *, environment: Mapping[str, str], streams: tuple[int, int, int]
) -> "subprocess.Popen[str] | Born":
    """`python WORDS`, in a session of its own: born where that is the same, else started from nothing."""
    if nursery().suits(environment):
        return nursery().bear(words, environment=environment, streams=streams)
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=dict(environment), start_new_session=True,
        stdin=stdin, stdout=stdout, stderr=stderr, text=True,
    )  # fmt: skip


@contextmanager
def running_counter(
    tmp_path: Path, *, address: str = "127.0.0.1:0", env: dict[str, str] | None = None
) -> Iterator[Process]:
    """A counter process on the current database; COUNTER_ADDRESS points at it meanwhile."""
    process = start_counter(tmp_path, address=address, env=env)
    before = settings.COUNTER_ADDRESS
    settings.COUNTER_ADDRESS = [process.ready["address"]]
    client._lines_key = 0, ()  # an earlier counter, whose line is down, may have had this port
    try:
        yield process
    finally:
        settings.COUNTER_ADDRESS = before
        process.kill9()


def start_counter(tmp_path: Path, *, address: str = "127.0.0.1:0", env: dict[str, str] | None = None) -> Process:
    """A counter process on the current database, not stopped by anybody but the caller."""
    words = ["manage.py", "runcounter", "--bind", address, "--print-json"]
    return start(words, log=tmp_path / "counter.log", env=env)


@contextmanager
def running_web(tmp_path: Path, *, env: dict[str, str] | None = None) -> Iterator[str]:
    """The web server on the current database and a free port; answers its root address."""
    port = unused_port()
    log = tmp_path / "web.log"
    options = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words = ["-m", "granian", *options, "--blocking-threads", "4", "billing_platform.wsgi:application"]
    with log.open("a") as output, open(os.devnull) as nothing:
        streams = (nothing.fileno(), output.fileno(), output.fileno())
        popen = launch(words, environment=os.environ | (env or {}), streams=streams)
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
