"""The real processes of a benchmark: durable PostgreSQL, Valkey, counter, web, all of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from billing_platform.supervision import unused_port

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0


@dataclass
class Stack:
    """Where the doors are, and the processes behind them."""

    directory: Path
    environment: dict[str, str]
    web_port: int
    counter_address: str
    processes: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def memory_mb(self, name: str) -> float:
        """Resident memory of a part and its children, in MB."""
        pids = _with_children(self.processes[name].pid)
        return round(sum(_resident_kb(pid) for pid in pids) / 1024, 1)

    def memory_mb_of_workers(self, name: str) -> list[float]:
        """Resident memory of each worker of a part, in MB."""
        return [round(_resident_kb(pid) / 1024, 1) for pid in _with_children(self.processes[name].pid)[1:]]


@contextmanager
def running_stack(
    directory: Path, *, environment: dict[str, str], wsgi: str = "billing_platform.wsgi:application", workers: int = 1
) -> Iterator[Stack]:
    """Start counter and web, wait until both answer; stop them in the opposite order."""
    counter = subprocess.Popen(
        [sys.executable, "manage.py", "runcounter", "--bind", "127.0.0.1:0", "--print-json"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=(directory / "counter.log").open("a"), text=True,
    )  # fmt: skip
    assert counter.stdout is not None
    address = json.loads(counter.stdout.readline())["address"]
    environment = environment | {"COUNTER_ADDRESS": address}
    port = unused_port()
    web = subprocess.Popen(
        [
            sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "--no-ws", "--workers", str(workers), "--blocking-threads", "64", "--backpressure", "128", wsgi,
        ],
        cwd=ROOT, env=environment, stdout=(directory / "web.log").open("a"), stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    stack = Stack(directory, environment, port, address, {"counter": counter, "web": web})
    try:
        _wait_until_ready(stack)
        yield stack
    finally:
        for process in (web, counter):
            process.send_signal(signal.SIGTERM)
        for process in (web, counter):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(stack: Stack) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(f"{stack.url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the web process did not answer; see {stack.directory}/web.log")


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    if children.exists():
        for child in children.read_text().split():
            found += _with_children(int(child))
    return found


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def machine() -> str:
    """This machine in general terms."""
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{os.cpu_count()} cores, {round(memory_kb / 1048576)} GiB memory"
