"""`manage.py up` as its user runs it: one real platform, looked at, hurt, killed with -9, started again, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from billing_platform import demo
from billing_platform.management.commands import up
from billing_platform.supervision import ChildSpec, Crew, StartFailed, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_OURS = {"DATABASE_URL", "REDIS_URL", "COUNTER_ADDRESS", "PUBLIC_URL", "DJANGO_SECRET_KEY_FILE", "KEY_PEPPER_FILE"}


class Up:
    """A running `up` on free ports; `ready` is the JSON line that it printed."""

    def __init__(self, var_dir: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        self.popen = subprocess.Popen(
            command_line(),
            env=environment | {"VAR_DIR": str(var_dir)},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        with self.popen.stdout as stdout:
            line = stdout.readline()
        assert line, f"`up` ended with {self.popen.wait()}"
        self.ready: dict[str, Any] = json.loads(line)

    def end(self, with_signal: signal.Signals) -> int:
        self.popen.send_signal(with_signal)
        return self.popen.wait(60)

    def is_ready(self) -> bool:
        """Each web process answers for itself; one that is new on a busy machine may take its two seconds and more."""
        return self.status_of("/readyz") == 200

    def status_of(self, path: str) -> int:
        connection = HTTPConnection(urlsplit(self.ready["url"]).netloc, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def command_line() -> list[str]:
    return [sys.executable, "manage.py", "up", "--ports-from-kernel", "--print-json"]


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter: it went while it was read
        return True


@pytest.fixture(scope="module")
def var_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def started() -> Iterator[list[Up]]:
    runs: list[Up] = []
    yield runs
    for run in runs:
        if run.popen.poll() is None:
            run.end(signal.SIGTERM)


@pytest.fixture
def platform(started, var_dir) -> Up:
    """The one that still runs, for all tests here in any order; a new one after a test that ended it."""
    if not started or started[-1].popen.poll() is not None:
        started.append(Up(var_dir))
    return started[-1]


def test_every_part_runs_and_the_site_is_ready(platform, var_dir):
    assert set(platform.ready["pids"]) == {"counter", "worker", "beat", "web", "simulator", "postgres", "valkey"}
    assert platform.status_of("/healthz") == 200
    assert wait_until(platform.is_ready, seconds=60)
    assert platform.ready["logins"]["agent"] == demo.PASSWORD
    writers = {path.stem.rpartition("_")[2] for path in (var_dir / "metrics").glob("*.db")}
    assert len(writers) >= 4  # one scrape adds up web twice, counter, worker


def test_secrets_are_made_once_and_for_our_eyes_only(platform, var_dir):
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (var_dir / "secrets").iterdir()}

    assert modes == {"secret_key": "0o600", "key_pepper": "0o600"}
    assert oct((var_dir / "secrets").stat().st_mode & 0o777) == "0o700"


def test_second_up_on_the_same_state_is_refused(platform, var_dir):
    second = subprocess.run(
        command_line(), env=os.environ | {"VAR_DIR": str(var_dir)}, cwd=REPOSITORY, capture_output=True, text=True
    )

    assert second.returncode == 5
    assert f"another supervisor (pid {platform.popen.pid}) already runs on {var_dir}" in second.stderr


def test_what_dies_is_started_again(platform):
    os.kill(platform.ready["pids"]["web"], signal.SIGKILL)
    os.kill(platform.ready["pids"]["postgres"], signal.SIGKILL)
    assert wait_until(lambda: is_gone(platform.ready["pids"]["web"]), seconds=30)

    assert wait_until(platform.is_ready, seconds=60)


def test_kill_9_leaves_nothing_and_the_next_start_is_stopped_in_order(platform, var_dir):
    secret = (var_dir / "secrets" / "secret_key").read_text()

    platform.end(signal.SIGKILL)
    again = Up(var_dir)

    try:
        assert wait_until(again.is_ready, seconds=60)
        assert wait_until(lambda: all(map(is_gone, platform.ready["pids"].values())), seconds=30)
        assert (var_dir / "secrets" / "secret_key").read_text() == secret
    finally:
        assert again.end(signal.SIGTERM) == 0
    assert all(map(is_gone, again.ready["pids"].values()))


def test_child_that_keeps_ending_is_tried_less_and_less_often(tmp_path):
    spec = ChildSpec(name="falls", command=("sh", "-c", "echo again"), log_path=tmp_path / "falls.log", cwd=tmp_path)

    with Crew([spec]) as crew:

        def has_fallen_three_times() -> bool:
            crew.revive()
            return crew.most_fallen() == (spec, 3)

        assert wait_until(has_fallen_three_times, seconds=30)

    assert spec.log_path.read_text() == "again\n" * 3


def test_port_in_use_is_refused_with_the_option_that_helps(monkeypatch):
    monkeypatch.setattr(up, "PORT_PATIENCE_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(StartFailed, match=f"port {port} is in use: .* choose another with --counter-port"):
            up.check_free(port, option="counter-port")
