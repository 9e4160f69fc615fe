"""Processes from the nursery (`tests.nursery`), which stand at once.

`python -I -S tests/born.py SOCKET WORDS` does in a shell what `python WORDS` does; it imports next to nothing.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

ANSWER_BYTES = 100


class Born:
    """A process that the nursery bore: `pid`, and what one asks a `subprocess.Popen`."""

    def __init__(
        self,
        nursery: str,
        words: list[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        streams: tuple[int, int, int],
    ) -> None:
        self.returncode: int | None = None
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(nursery)
        request = {"words": words, "directory": directory, "environment": dict(environment)}
        socket.send_fds(self._line, [json.dumps(request).encode()], streams)
        self.pid = int(self._line.recv(ANSWER_BYTES))

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._ended_within(0)

    def wait(self, seconds: float | None = None) -> int:
        """The exit status. Raises TimeoutError."""
        status = self._ended_within(seconds)
        if status is None:
            raise TimeoutError(f"process {self.pid} did not end in {seconds} s")
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended in this moment; the nursery is about to tell
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], seconds)[0]:
            self.returncode = int(self._line.recv(ANSWER_BYTES) or -signal.SIGKILL)  # nothing: the nursery was killed
            self._line.close()
        return self.returncode


if __name__ == "__main__":
    born = Born(sys.argv[1], sys.argv[2:], directory=os.getcwd(), environment=os.environ, streams=(0, 1, 2))
    status = born.wait()
    sys.exit(status if status >= 0 else 128 - status)
