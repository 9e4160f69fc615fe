"""Ringing a task: fast or not at all. The row is the queue and a sweeper finds it, so a lost ring loses only time."""

import functools
import logging
import threading
import time

from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Producer
from kombu.pools import ProducerPool
from redis.exceptions import RedisError

from billing_platform import metrics
from billing_platform.celery import app

CONNECT_SECONDS, SOCKET_SECONDS = 0.3, 0.5
SILENT_SECONDS = 5.0  # after a failure nobody tries for so long
PRODUCERS = 8
_log = logging.getLogger(__name__)


class _Breaker:
    """Open for some seconds after a failure, so that a dead broker costs one caller half a second, not every caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent_until = 0.0

    def is_open(self) -> bool:
        return time.monotonic() < self._silent_until

    def trip(self) -> None:
        with self._lock:
            self._silent_until = time.monotonic() + SILENT_SECONDS

    def reset(self) -> None:
        self._silent_until = 0.0


breaker = _Breaker()


@functools.cache
def _producers() -> ProducerPool:
    """Connections of our own: the worker's have long timeouts, a caller of ours must not wait so long."""
    options = {
        **app.conf.broker_transport_options,
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry_on_timeout": False,
        "max_retries": 0,
    }
    connection = Connection(app.conf.broker_url, transport_options=options, connect_timeout=CONNECT_SECONDS)
    return ProducerPool(connection.Pool(PRODUCERS), limit=PRODUCERS)


def ring(task: str, *ids: int | str, after_seconds: int = 0) -> bool:
    """Publish a task by name with ids only; False (counted, logged once per outage) when the broker is away."""
    if breaker.is_open():
        metrics.doorbells_lost.labels(task).inc()
        return False
    try:
        producer: Producer
        with _producers().acquire(block=True, timeout=CONNECT_SECONDS) as producer:
            app.send_task(task, args=ids, countdown=after_seconds or None, producer=producer, retry=False)
    except (OperationalError, RedisError, OSError) as error:
        breaker.trip()
        metrics.doorbells_lost.labels(task).inc()
        _log.warning("doorbell %s not heard: %s", task, type(error).__name__)
        return False
    return True
