"""What long work says on its way: how far it is on stderr, and its last lines for who watches from elsewhere."""

import logging
import threading
import time
from collections import deque
from datetime import timedelta
from typing import TextIO

from billing_platform import clock
from billing_platform.logs import masked

BAR_WIDTH = 30
REDRAW_SECONDS = 0.2
LINES_KEPT = 50
LINE_MAX = 300  # letters


class Progress:
    """Tells people on `stream` how far the work is: a bar on a terminal, one line per 10 % elsewhere.

    Cheap enough to be told of every row.
    """

    def __init__(self, stream: TextIO, *, job: str) -> None:
        self._stream, self._job = stream, job
        self._terminal = stream.isatty()
        self._started, self._step = time.monotonic(), ""
        self._drawn_at = 0.0
        self._told = 0  # tenths already told

    def show(self, step: str, done: int, total: int, per_cent: int) -> None:
        """`done` of `total` rows of a step ("" for work of one step); `per_cent` is that of the whole."""
        if step != self._step:
            self._step, self._started = step, time.monotonic()
        rows = f"{step} {done}/{total}".strip()
        if self._terminal:
            self._draw(per_cent, rows, done=done)
        elif per_cent // 10 > self._told:
            self._told = per_cent // 10
            self._stream.write(f"{self._job}: {self._told * 10} % ({rows}, {self._rate(done)})\n")
            self._stream.flush()

    def end(self) -> None:
        """Leave the bar's line."""
        if self._terminal and self._drawn_at:
            self._stream.write("\n")

    def _rate(self, done: int) -> str:
        return f"{done / max(time.monotonic() - self._started, 0.001):.0f}/s"

    def _draw(self, per_cent: int, rows: str, *, done: int) -> None:
        if per_cent < 100 and time.monotonic() - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = time.monotonic()
        bar = "█" * (per_cent * BAR_WIDTH // 100)
        self._stream.write(f"\r{self._job} {bar:<{BAR_WIDTH}} {per_cent:3}% {rows} {self._rate(done)}\x1b[K")
        self._stream.flush()


class RunLog(logging.Handler):
    """The last lines of a run, masked as all logs: what its thread logged, how far it came, what failed.

    Hears the thread that made it, as long as the block runs; of an exception its class, never its values.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._thread = threading.get_ident()
        self._kept: deque[str] = deque(maxlen=LINES_KEPT)
        # The clock may ask the database, which is busy with the work, in the middle of a COPY perhaps: asked once.
        self._began_at, self._began = clock.now(), time.monotonic()

    @property
    def lines(self) -> list[str]:
        """The last 50, each with its time in UTC."""
        return list(self._kept)

    def note(self, text: str) -> None:
        """Add a line."""
        line = masked(" ".join(text.replace("\x00", "").split()))
        at = self._began_at + timedelta(seconds=time.monotonic() - self._began)
        self._kept.append(f"{at:%H:%M:%S} {line[:LINE_MAX]}")

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            raised = f" ({record.exc_info[0].__name__})" if record.exc_info and record.exc_info[0] else ""
            self.note(f"{record.levelname} {record.getMessage()}{raised}")

    def __enter__(self) -> "RunLog":
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_end: object) -> None:
        logging.getLogger().removeHandler(self)
