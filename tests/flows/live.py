"""The whole platform as real processes, on a database of the test's own: `manage.py up`, told when it is ready."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.together import SHARED

ROOT = Path(__file__).resolve().parents[2]
UP = ("manage.py", "up", "--ports-from-kernel", "--workers", "1", "--print-json")
STOP_SECONDS = 60
SPEED = 20  # of the calls on the shared platform
CHOSEN_BY_UP = {"COUNTER_ADDRESS", "PUBLIC_URL", "DJANGO_SECRET_KEY_FILE", "KEY_PEPPER_FILE"}


@dataclass(frozen=True, slots=True)
class Platform:
    """A running platform: what `up` printed, and the environment in which a command finds it."""

    ready: dict[str, Any]
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def headers(self) -> dict[str, str]:
        return {"apikey": self.ready["api_key"]}

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a management command beside it."""
        return subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip


@contextmanager
def running_platform(directory: Path, *, database_url: str, speed: int) -> Iterator[Platform]:
    """The platform until the block ends, on servers of ours; its simulated calls run `speed` times faster."""
    environment = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_UP}
    environment |= {"VAR_DIR": str(directory), "DATABASE_URL": database_url, "SIMULATOR_SPEED": str(speed)}
    with (directory / "up.log").open("w") as log:
        popen = subprocess.Popen(
            [sys.executable, *UP], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert popen.stdout is not None
    try:
        line = popen.stdout.readline()
        assert line, f"`up` ended with {popen.wait()}:\n{(directory / 'up.log').read_text()[-3000:]}"
        ready = json.loads(line)
        yield Platform(ready, environment | _addresses(ready, directory))
    finally:
        popen.send_signal(signal.SIGINT)
        popen.wait(STOP_SECONDS)
        popen.stdout.close()


def shared_platform(
    lent_database: Callable[[], AbstractContextManager[Any]], directories: pytest.TempPathFactory
) -> Platform:
    """One for all tests of the group, which leave its prices and the money of its tenant as they like."""

    @contextmanager
    def running() -> Iterator[Platform]:
        directory = directories.mktemp("platform-var")
        with (
            lent_database() as database,
            running_platform(directory, database_url=database.url, speed=SPEED) as platform,
        ):
            yield platform

    return SHARED.get("platform", running)


def _addresses(ready: dict[str, Any], directory: Path) -> dict[str, str]:
    """What `up` tells its children, and what a person's own shell would read from the same VAR_DIR."""
    return {
        "COUNTER_ADDRESS": ready["counter_address"],
        "DJANGO_SECRET_KEY_FILE": str(directory / "secrets" / "secret_key"),
        "KEY_PEPPER_FILE": str(directory / "secrets" / "key_pepper"),
    }
