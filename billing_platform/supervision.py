"""Child processes that never outlive their parent, and the lock that makes one supervisor.

A child is asked to stop by its own signal and killed with its whole group when its grace is over. The kernel sends it
the same signal when the parent dies, `kill -9` included, so that nothing is left that would block the next start.
"""

import fcntl
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_log = logging.getLogger(__name__)

_TETHER = Path(__file__).with_name("tether.py")
_LOG_TAIL_BYTES = 2000
_LOG_BYTES = 20_000_000  # at a start, a longer log becomes NAME.log.1
_START_SECONDS = 60.0  # a crash recovery may take its time
_START_ATTEMPTS = 5
_PORTS_FROM, _PORTS_TRIED = 10_000, 200
_PAUSE_SECONDS_MAX = 30.0
_SETTLED_AFTER_SECONDS = 60.0


class SupervisionError(Exception):
    """A server or process cannot run; the text says what to do. `exit_code` is the command's answer."""

    exit_code = 1


class SupervisorRunning(SupervisionError):
    """Another supervisor holds the lock of this var directory."""

    exit_code = 5


class StartFailed(SupervisionError):
    """The program ended, or did not answer, before its deadline."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. Output of the child is appended to `log_path`; `uid` None means our own."""

    name: str
    command: tuple[str, ...]
    log_path: Path
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    uid: int | None = None


class Child:
    """One running child. Construct it in the main thread: the kernel ties a child to the *thread* that made it."""

    def __init__(self, spec: ChildSpec) -> None:
        assert threading.current_thread() is threading.main_thread(), "children die with the thread that starts them"
        self.spec = spec
        self._is_over = False
        with _opened_log(spec.log_path) as log:
            self._popen = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                (*_tied(spec.stop_signal, spec.uid), *spec.command),
                cwd=spec.cwd,
                env=dict(spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops its children in order
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._popen.poll()

    def ask_to_stop(self) -> None:
        if self.is_alive:
            self._popen.send_signal(self.spec.stop_signal)

    def stop(self) -> None:
        """Ask, wait for the grace, then kill the whole group. Stopping twice is harmless."""
        if self._is_over:  # its number may belong to a stranger by now
            return
        self.ask_to_stop()
        try:
            self._popen.wait(self.spec.grace_seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        _kill_group(self.pid)
        self._is_over = True

    def kill9(self) -> None:
        """`kill -9` of this one process, as a crash would; its own children notice by themselves."""
        self._popen.kill()
        self._popen.wait()


class Server:
    """One server with a home directory; may be killed and started again while the others run."""

    def __init__(
        self, home: Path, *, lock_files: tuple[Path, ...], plan: Callable[[], ChildSpec], answers: Callable[[], bool]
    ) -> None:
        self.home = home
        self._lock_files = lock_files
        self._plan = plan
        self._answers = answers
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    def start(self) -> None:
        """Return when it answers. Raises StartFailed with the end of its log, or BinariesMissing."""
        assert self._child is None or not self._child.is_alive, f"{self.home.name} runs already"
        spec = self._plan()
        for lock_file in self._lock_files:
            retire_orphan(self.home, lock_file, stop_signal=spec.stop_signal)
        for _attempt in range(_START_ATTEMPTS):  # right after a crash its old backends may still hold the memory
            self._child = Child(spec)
            decided = wait_until(lambda: self._answers() or not self.is_alive, seconds=_START_SECONDS)
            if decided and self.is_alive:
                return
            self.stop()
            if not decided:
                break
        raise StartFailed(f"{spec.name} did not start; {spec.log_path} ends with:\n{last_words(spec.log_path)}")

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def kill9(self) -> None:
        self._running().kill9()

    def _running(self) -> Child:
        assert self._child is not None, f"{self.home.name} was never started"
        return self._child


class Crew:
    """Children that are started again when they end: at once less and less often, up to every 30 s."""

    def __init__(self, specs: Sequence[ChildSpec]) -> None:
        self._members = [_Member(spec) for spec in specs]

    def revive(self) -> None:
        """Start who is due; to be called every moment from the main thread."""
        now = time.monotonic()
        for member in self._members:
            member.revive(now)

    def pids(self) -> dict[str, int]:
        return {member.spec.name: member.child.pid for member in self._members if member.child is not None}

    def most_fallen(self) -> tuple[ChildSpec, int]:
        """Who ended most often in a row without living a minute, and how often."""
        member = max(self._members, key=lambda member: member.falls)
        return member.spec, member.falls

    def stop(self) -> None:
        """One after the other, last started first, each within its grace."""
        for member in reversed(self._members):
            if member.child is not None:
                member.child.stop()

    def __enter__(self) -> Self:
        self.revive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(slots=True)
class _Member:
    spec: ChildSpec
    child: Child | None = None
    falls: int = 0
    due: float = 0.0  # monotonic seconds: when it started, or when it may start again

    def revive(self, now: float) -> None:
        if self.child is None:
            if now >= self.due:
                self.child, self.due = Child(self.spec), now
        elif not self.child.is_alive:
            _log.warning("%s ended with %s", self.spec.name, self.child.exit_code)
            self.child.stop()  # its group may hold the port
            self.child, self.falls = None, self.falls + 1
            self.due = now + min(2.0 ** (self.falls - 2), _PAUSE_SECONDS_MAX)
        elif now - self.due > _SETTLED_AFTER_SECONDS:
            self.falls = 0


@contextmanager
def only_supervisor(lock_path: Path) -> Iterator[None]:
    """Hold the lock while the block runs. Raises SupervisorRunning at once; a dead holder holds nothing."""
    with lock_path.open("a+") as lock:  # not inherited by children, so an orphan cannot keep it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise SupervisorRunning(f"another supervisor (pid {holder}) already runs on {lock_path.parent}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Whether the condition came true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def unused_port() -> int:
    """A port of this machine where nobody listens, for a program that is yet to start.

    It lies below those that the kernel hands to connections: one of these could take it before the program does.
    """
    for port in random.sample(range(_PORTS_FROM, _first_handed_out()), _PORTS_TRIED):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartFailed("no port of this machine is free")


def _first_handed_out() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


def last_words(log_path: Path) -> str:
    """The end of a log, for the message that says why its writer did not start."""
    with log_path.open("rb") as log:
        log.seek(max(0, log_path.stat().st_size - _LOG_TAIL_BYTES))
        return log.read().decode(errors="replace").strip()


def retire_orphan(home: Path, lock_file: Path, *, stop_signal: signal.Signals) -> None:
    """Stop the server that an earlier supervisor left on `home`; forget a lock file that names a stranger.

    A server refuses to start while the pid in its lock file is alive, even when that number has long been given to
    another program. The working directory tells the two apart. A file with a dead pid is left to the server itself.
    """
    try:
        pid = abs(int(lock_file.read_text().split()[0]))
    except FileNotFoundError:
        return
    except (ValueError, IndexError):  # cut short by a crash: the server would refuse an empty file
        lock_file.unlink()
        return
    if not _runs_in(home, pid):
        if Path(f"/proc/{pid}").exists():
            lock_file.unlink()
        return
    os.kill(pid, stop_signal)
    if not wait_until(lambda: not _runs_in(home, pid), seconds=20):
        raise StartFailed(f"a server (pid {pid}) is still running on {home}; stop it first")


def _runs_in(home: Path, pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == home
    except OSError:  # gone, a zombie, or another user's
        return False


def _opened_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def _tied(stop_signal: signal.Signals, uid: int | None) -> tuple[str, ...]:
    """The words before a command that tie it to us; see `tether`."""
    # Who was let into this interpreter by another user may not reach it by its name.
    interpreter = sys.executable if os.access(sys.executable, os.X_OK) else "/proc/self/exe"
    user = -1 if uid is None else uid
    return interpreter, "-I", "-S", str(_TETHER), str(int(stop_signal)), str(os.getpid()), str(user)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
