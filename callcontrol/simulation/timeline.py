import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

Action = Callable[[], None]

logger = logging.getLogger(__name__)


class Timeline:
    """Runs actions later, on one thread for all calls. Its time can be made faster, and stands still while paused.

    Actions must be short: whatever waits for the network belongs to the courier.
    """

    def __init__(self, *, speed: float) -> None:
        self.speed = speed
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._paused_at: float | None = None
        self._pauses_seconds = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Drop what is still due and return when no action runs any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def now(self) -> float:
        """Seconds on this timeline's own clock; pauses do not count."""
        at = time.monotonic() if self._paused_at is None else self._paused_at
        return at - self._pauses_seconds

    def after(self, seconds: float, action: Action) -> None:
        """Run the action after `seconds` of call time, which is `seconds / speed` for whoever watches."""
        with self._changed:
            heapq.heappush(self._due, (self.now() + seconds / self.speed, next(self._order), action))
            self._changed.notify()

    def pause(self) -> None:
        with self._changed:
            if self._paused_at is None:
                self._paused_at = time.monotonic()
                self._changed.notify()

    def resume(self) -> None:
        with self._changed:
            if self._paused_at is not None:
                self._pauses_seconds += time.monotonic() - self._paused_at
                self._paused_at = None
                self._changed.notify()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception:  # the outermost loop: one broken call must not stop all the others
                logger.exception("an action of the timeline failed")

    def _next(self) -> Action | None:
        """Wait for the next due action; None once stopped."""
        with self._changed:
            while not self._stopped:
                if self.paused or not self._due:
                    self._changed.wait()
                elif (wait_seconds := self._due[0][0] - self.now()) > 0:
                    self._changed.wait(wait_seconds)
                else:
                    return heapq.heappop(self._due)[2]
            return None
