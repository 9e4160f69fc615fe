"""How children are started: tied to their parent, and by no code of ours between fork and exec."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_A_CHILD = """
import os, sys, time
from pathlib import Path
from billing_platform.supervision import Child, ChildSpec, wait_until

os.register_at_fork(after_in_child=lambda: os._exit(99))  # as a library that wakes up in a half process and aborts it
log = Path(sys.argv[1])
child = Child(ChildSpec("child", tuple(sys.argv[2:]), log, Path("/")))
wait_until(lambda: not child.is_alive, seconds=20)
print(child.exit_code)
print(log.read_text(), end="")
"""


def started(log: Path, *command: str) -> list[str]:
    """The exit code of the child, and what it said."""
    told = subprocess.run(
        [sys.executable, "-c", START_A_CHILD, str(log), *command],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    return told.stdout.splitlines()


def test_what_a_library_does_after_a_fork_reaches_no_child(tmp_path):
    assert started(tmp_path / "log", "echo", "alive") == ["0", "alive"]


def test_a_command_that_is_not_there_ends_with_a_word(tmp_path):
    assert started(tmp_path / "log", "/nowhere/program") == ["1", "/nowhere/program: No such file or directory"]
