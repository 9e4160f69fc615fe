"""Fault cases: real servers, real processes, real kills. `smoke` cases run with every test run, `faults` ones when the
mark is asked for (`-m`, as `make faults` does) or FAULTS=1 is set.

SEED chooses workloads and moments: taken from the environment, else from the run's random order, else diced.
"""

import os
import random
import signal
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.faults.servers import FaultServers, fault_servers
from tests.faults.stack import Stack, running_stack
from tests.faults.stage import Stage
from tests.together import SHARED

DEADLINES = {"smoke": 120, "faults": 180}  # seconds, unless a case names its own
_failed = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deadline(seconds): of a fault case, when not that of its set")


def seed_of(config: pytest.Config) -> int:
    """Of this run; the processes that it starts inherit it."""
    if "SEED" not in os.environ:
        of_random_order = config.getoption("randomly_seed", None)  # a number once its plugin has read the options
        os.environ["SEED"] = str(of_random_order if isinstance(of_random_order, int) else random.randrange(10**6))
    return int(os.environ["SEED"])


def pytest_report_header(config: pytest.Config) -> str:
    return f"SEED={seed_of(config)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"SEED={seed_of(config)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long cases only when they are asked for."""
    if "faults" in config.getoption("markexpr") or os.environ.get("FAULTS") == "1":
        return
    long = [item for item in items if item.get_closest_marker("faults")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What failed tells its seed and how the logs of the parts end."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
        report.sections.append(("seed", f"SEED={seed_of(item.config)}"))
        stage = item.funcargs.get("stage")
        if isinstance(stage, Stage):
            report.sections += stage.stack.last_words()
    return report


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return seed_of(pytestconfig)


@pytest.fixture
def durable_servers() -> FaultServers:
    """Durable servers with a seeded template; one pair for all cases."""
    return SHARED.get("durable servers", fault_servers)


class _Current:
    """The stack that cases share one after the other. After a failure the next case gets a new one."""

    def __init__(self, servers: FaultServers) -> None:
        self._servers, self._undo = servers, ExitStack()
        self._stack: Stack | None = None

    def stack(self) -> Stack:
        if self._stack is None:
            self._stack = self._undo.enter_context(running_stack(self._servers))
        return self._stack

    def discard(self) -> None:
        self._stack = None
        self._undo.close()


@pytest.fixture
def _current(durable_servers: FaultServers) -> _Current:
    @contextmanager
    def current() -> Iterator[_Current]:
        current = _Current(durable_servers)
        yield current
        current.discard()

    return SHARED.get("current stack", current)


@pytest.fixture(autouse=True)
def _deadline(request: pytest.FixtureRequest, _current: _Current) -> Iterator[None]:
    """A case that does not end fails. What boots once for all cases is not counted."""
    if "stage" in request.fixturenames:
        _current.stack()
    named = request.node.get_closest_marker("deadline")
    seconds = named.args[0] if named else DEADLINES["faults" if request.node.get_closest_marker("faults") else "smoke"]

    def too_late(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"the case did not end in {seconds} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def stage(request: pytest.FixtureRequest, _current: _Current, seed: int, tmp_path: Path) -> Iterator[Stage]:
    """A case: after its story everything is healed and proved. A failed one leaves its journal in tmp_path."""
    name = f"{request.node.name.removeprefix('test_')[:24]}-{zlib.crc32(request.node.name.encode()):08x}"
    stage = Stage(_current.stack(), name=name, seed=seed, directory=tmp_path)
    try:
        yield stage
        if not request.node.stash.get(_failed, False):
            stage.prove()
    except BaseException:
        _current.discard()
        raise
    if request.node.stash.get(_failed, False):
        _current.discard()
