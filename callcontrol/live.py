"""A call as server-sent events: one line of state whenever it changes, until the call is over."""

import json
import threading
import time
from collections.abc import Iterator

from django.conf import settings

from callcontrol.errors import StreamsExhausted
from callcontrol.models import Callback
from callcontrol.models.calls import OVER
from callcontrol.shown import call_shown
from callcontrol.wishes import Placer

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
RETRY_SECONDS = 2


class _Streams:
    """How many streams this process has open; each of them keeps a web thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = 0

    def take(self) -> None:
        with self.lock:
            if self.open >= settings.CALLBACK_STREAMS_MAX:
                raise StreamsExhausted(retry_after=RETRY_SECONDS)
            self.open += 1

    def give_back(self) -> None:
        with self.lock:
            self.open -= 1


streams = _Streams()


class LiveCall:
    """The body of the response. Its place is taken when it is made and given back when it is closed, once."""

    def __init__(self, call_id: int, placer: Placer) -> None:
        """Raises StreamsExhausted when the process has no room: the reader polls instead."""
        streams.take()
        self._events = _events(call_id, placer)
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        """Django calls this when the reader is gone or the call is over."""
        if not self._closed:
            self._closed = True
            streams.give_back()


def _events(call_id: int, placer: Placer) -> Iterator[bytes]:
    yield f"retry: {RETRY_SECONDS * 1000}\n\n".encode()
    seen, said_at = None, time.monotonic()
    while True:
        call = Callback.objects.select_related("agent").get(pk=call_id)
        if call.updated_at != seen:
            seen, said_at = call.updated_at, time.monotonic()
            yield f"event: call\ndata: {json.dumps(call_shown(call, placer), ensure_ascii=False)}\n\n".encode()
        elif time.monotonic() - said_at > HEARTBEAT_SECONDS:
            said_at = time.monotonic()
            yield b": still here\n\n"
        if call.rank >= OVER:
            return
        time.sleep(POLL_SECONDS)
