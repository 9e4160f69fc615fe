"""Real processes for fault cases: the commands of production, each in a process group of its own, known by pid.

Ports come from the kernel, addresses from the environment of each part; nothing of the developer's is ever touched.
Every part dies with the test process, `kill -9` of it included.
"""

import http.client
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from billing_platform.supervision import Child, ChildSpec, last_words, unused_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
CONNECTIONS_MAX = 40  # the kernel deals them out: none is left out of so many
HOST = "127.0.0.1"


def accepts(port: int) -> bool:
    """Does somebody listen?"""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def web_answers(port: int) -> bool:
    with closing(_connected(port)) as wire:
        return _is_ok(wire, "/healthz")


def ready_everywhere(web: "Part", port: int) -> bool:
    """Is `/readyz` green at each child of the site? Each of them remembers its own outages."""
    waiting = web.children()
    with ExitStack() as undo:
        for _ in range(CONNECTIONS_MAX):
            wire = undo.enter_context(closing(_connected(port)))
            if not _is_ok(wire, "/healthz"):
                return False
            child = web.who_serves(wire.sock.getsockname()[1])
            if child in waiting and not _is_ok(wire, "/readyz"):
                return False
            waiting.discard(child)
            if not waiting:
                return True
    return False


def _connected(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(HOST, port, timeout=5)


def _is_ok(wire: http.client.HTTPConnection, path: str) -> bool:
    try:
        wire.request("GET", path)
        answer = wire.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    return answer.status == http.HTTPStatus.OK


@dataclass
class Part:
    """One part of the platform. `answers` says when it can be used; a worker is given work whenever it comes up."""

    name: str
    command: tuple[str, ...]
    log_path: Path
    environment: Mapping[str, str]
    answers: Callable[[], bool]
    failpoints: str = ""
    _child: Child | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was never started"
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    @property
    def is_sound(self) -> bool:
        """Alive, and nothing in it is armed."""
        return self.is_alive and not self.failpoints

    def launch(self, failpoints: str = "") -> None:
        """Start without waiting; `failpoints` as in FAILPOINTS."""
        assert not self.is_alive, f"{self.name} runs already"
        self.failpoints = failpoints
        environment = {**self.environment, "FAILPOINTS": failpoints}
        self._child = Child(ChildSpec(self.name, self.command, self.log_path, ROOT, environment))

    def await_ready(self) -> None:
        """Return when it answers; fails with the end of its log."""
        wait_until(lambda: self.answers() or not self.is_alive, seconds=START_SECONDS)
        assert self.is_alive, f"{self.name} ended:\n{last_words(self.log_path)}"
        assert self.answers(), f"{self.name} did not start:\n{last_words(self.log_path)}"

    def start(self, failpoints: str = "") -> None:
        """Start and wait."""
        self.launch(failpoints)
        self.await_ready()

    def kill9(self) -> None:
        """`kill -9` of the part with all its children, as if its machine had gone. Killing twice is harmless."""
        if self._child is not None:
            if self._child.is_alive:
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.stop()  # reaps it, and whoever is left of its group

    def restart(self, failpoints: str = "") -> None:
        self.kill9()
        self.start(failpoints)

    def pause(self) -> None:
        """Nothing of it runs until `resume`; its sockets stay open."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def children(self) -> set[int]:
        """Processes that it has started and that live."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        found = {int(pid) for pid in path.read_text().split()} if path.exists() else set()
        return {pid for pid in found if not _is_zombie(pid)}

    def who_serves(self, port: int) -> int:
        """The child at the other end of a connection that comes from this port."""
        for pid in self.children():
            if any(end.raddr and end.raddr.port == port for end in psutil.Process(pid).net_connections("tcp")):
                return pid
        raise AssertionError(f"no child of {self.name} serves the connection from port {port}")

    def await_dead(self, *, seconds: float) -> None:
        """Until it has ended by itself: its failpoint was hit."""
        assert wait_until(lambda: not self.is_alive, seconds=seconds), f"{self.name} was to die and lives"

    def await_lost_child(self, before: set[int], *, seconds: float) -> None:
        """Until one of these children is gone: its failpoint was hit."""
        assert wait_until(lambda: bool(before - self.children()), seconds=seconds), f"no child of {self.name} died"

    def await_children(self, number: int, *, seconds: float) -> None:
        assert wait_until(lambda: len(self.children()) >= number, seconds=seconds), f"{self.name}: {self.children()}"


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def web_part(directory: Path, environment: Mapping[str, str], *, workers: int = 2) -> tuple[Part, int]:
    """The site, and its port."""
    port = unused_port()
    command = (
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST, "--port", str(port), "--no-ws",
        "--workers", str(workers), "--blocking-threads", "32", "--respawn-failed-workers", "--respawn-interval", "0.5",
        "--workers-kill-timeout", "5", "billing_platform.wsgi:application",
    )  # fmt: skip
    return Part("web", command, directory / "web.log", environment, lambda: web_answers(port)), port


def counter_part(directory: Path, environment: Mapping[str, str]) -> tuple[Part, int]:
    """The counter, and its port."""
    port = unused_port()
    command = (sys.executable, "manage.py", "runcounter", "--bind", f"{HOST}:{port}")
    return Part("counter", command, directory / "counter.log", environment, lambda: accepts(port)), port


def worker_part(directory: Path, environment: Mapping[str, str]) -> Part:
    """The worker with two children. It is ready when both are there."""
    command = (
        sys.executable, "-m", "celery", "-A", "billing_platform", "worker", "--concurrency", "2",
        "--queues", "money,outside,reports", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    part = Part("worker", command, directory / "worker.log", environment, lambda: len(part.children()) >= 2)
    return part


def beat_part(directory: Path, environment: Mapping[str, str]) -> Part:
    command = (sys.executable, "-m", "celery", "-A", "billing_platform", "beat", "--loglevel", "WARNING")
    return Part("beat", command, directory / "beat.log", environment, lambda: True)
