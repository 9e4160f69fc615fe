"""Progress of long work on stderr: a bar on a terminal, one line per 10 % elsewhere; stdout stays clean."""

import time
from typing import TextIO

BAR_WIDTH = 30
REDRAW_SECONDS = 0.2


class Progress:
    """Tells people on `stream` how far the work is; cheap enough to be told of every row."""

    def __init__(self, stream: TextIO, *, job: str) -> None:
        self._stream, self._job = stream, job
        self._terminal = stream.isatty()
        self._started = time.monotonic()
        self._drawn_at = 0.0
        self._told = 0  # tenths already told

    def show(self, done: int, total: int) -> None:
        """`done` of `total` rows; a total of 0 counts as finished."""
        share = done / total if total else 1.0
        if self._terminal:
            self._draw(share, done=done, total=total)
        elif int(share * 10) > self._told:
            self._told = int(share * 10)
            self._stream.write(f"{self._job}: {self._told * 10} % ({done}/{total}, {self._rate(done)})\n")
            self._stream.flush()

    def end(self) -> None:
        """Leave the bar's line."""
        if self._terminal and self._drawn_at:
            self._stream.write("\n")

    def _rate(self, done: int) -> str:
        return f"{done / max(time.monotonic() - self._started, 0.001):.0f}/s"

    def _draw(self, share: float, *, done: int, total: int) -> None:
        if share < 1 and time.monotonic() - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = time.monotonic()
        bar = "█" * int(share * BAR_WIDTH)
        self._stream.write(f"\r{self._job} {bar:<{BAR_WIDTH}} {share:4.0%} {done}/{total} {self._rate(done)}\x1b[K")
        self._stream.flush()
