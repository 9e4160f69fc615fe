import http.client
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from callcontrol.simulation.clock import iso_millisecond, wall_now
from callcontrol.simulation.timeline import Timeline

RETRY_AFTER_SECONDS: Final = (2, 5, 10)
# Real seconds: how long a hook may take is the hook's own affair and does not run faster.
HOOK_TIMEOUT_SECONDS: Final = 10
SENDERS: Final = 16
ANSWER_BYTES_MAX: Final = 65536

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell a hook, in its platform's words. Each attempt makes new `headers`: a proof carries its time."""

    kind: str
    label: str
    url: str
    body: bytes
    headers: Callable[[], dict[str, str]]
    acknowledged: Callable[[int, bytes], bool]


@dataclass(slots=True)
class Lane:
    """The pushes of one call leave in order: the next one waits for the first attempt of the one before it."""

    waiting: "deque[Push]" = field(default_factory=deque)
    in_flight: int = 0


@dataclass(slots=True)
class Push:
    """A message under way. `at_once` copies leave together; the first `deaf` attempts never see their answer."""

    message: Message
    lane: Lane
    at_once: int = 1
    deaf: int = 0
    lost: bool = False
    attempts: list[dict[str, object]] = field(default_factory=list)
    acks: int = 0

    def as_json(self) -> dict[str, object]:
        told = {"kind": self.message.kind, "label": self.message.label, "lost": self.lost, "acks": self.acks}
        return told | {"attempts": list(self.attempts)}


class Courier:
    """Sends pushes with a few threads and repeats what was not acknowledged: three times, after 2, 5 and 10 s."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[Push, int] | None] = queue.SimpleQueue()
        self._senders = [threading.Thread(target=self._run, name=f"sender-{n}", daemon=True) for n in range(SENDERS)]

    def start(self) -> None:
        for sender in self._senders:
            sender.start()

    def stop(self) -> None:
        """Let what is on the wire finish for a moment; what still waits is dropped."""
        for _ in self._senders:
            self._jobs.put(None)
        for sender in self._senders:
            sender.join(timeout=0.2)

    def post(self, push: Push) -> None:
        with self._lock:
            push.lane.waiting.append(push)
            if push.lane.in_flight == 0:
                self._launch(push.lane)

    def _launch(self, lane: Lane) -> None:
        push = lane.waiting.popleft()
        lane.in_flight = push.at_once
        for _ in range(push.at_once):
            self._jobs.put((push, 1))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._attempt(*job)

    def _attempt(self, push: Push, number: int) -> None:
        sent_at = wall_now()
        outcome, acknowledged = _deliver(push.message)
        if number <= push.deaf:
            outcome, acknowledged = "timeout", False
        with self._lock:
            push.attempts.append({"number": number, "at": iso_millisecond(sent_at), "outcome": outcome})
            push.acks += acknowledged
            if number == 1:
                self._landed(push.lane)
        if not acknowledged and number <= len(RETRY_AFTER_SECONDS):
            self._timeline.after(RETRY_AFTER_SECONDS[number - 1], partial(self._jobs.put, (push, number + 1)))

    def _landed(self, lane: Lane) -> None:
        lane.in_flight -= 1
        if lane.in_flight == 0 and lane.waiting:
            self._launch(lane)


def _deliver(message: Message) -> tuple[str, bool]:
    """POST once: the HTTP status or the name of what failed, and whether the answer is an acknowledgement."""
    address = urlsplit(message.url)
    connect = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = connect(address.netloc, timeout=HOOK_TIMEOUT_SECONDS)
    try:
        connection.request("POST", address.path, body=message.body, headers=message.headers() | {"Connection": "close"})
        response = connection.getresponse()
        answer = response.read(ANSWER_BYTES_MAX)
    except TimeoutError:
        return "timeout", False
    except (OSError, http.client.HTTPException) as error:
        logger.info("%s push failed: %s", message.kind, type(error).__name__)
        return type(error).__name__, False
    finally:
        connection.close()
    return str(response.status), message.acknowledged(response.status, answer)
