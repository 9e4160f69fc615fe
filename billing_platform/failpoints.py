"""Named places where a fault test may kill, stop or delay the process; nothing at all outside TEST_MODE.

FAILPOINTS="cdr.intake.after_commit:kill9@3,counter.grpc.before_reply:sleep=2" - third hit; actions kill9, exit,
sleep=SECONDS, raise, drop (closes the database socket under the connection).
"""

import itertools
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection

NAMES = frozenset({
    "cdr.intake.before_commit", "cdr.intake.after_commit", "cdr.intake.mid_batch",
    "cdr.charging.before_counter", "cdr.charging.after_counter",
    "counter.committer.before_commit", "counter.committer.after_commit", "counter.grpc.before_reply",
    "counter.replacing.before_commit", "counter.replacing.after_commit",
    "ledger.posting.after_balance", "ledger.holds.after_place",
    "callcontrol.calling.after_intent", "callcontrol.calling.after_platform",
    "outbox.after_claim", "outbox.after_send", "jobs.after_claim",
    "rating.imports.before_commit",
})  # fmt: skip


class FailpointHit(RuntimeError):
    """Raised by the action `raise`."""


@dataclass(slots=True)
class _Armed:
    action: Callable[[], None]
    at_hit: int  # 0 = every hit
    hits: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))


def _drop() -> None:
    connection.ensure_connection()
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _hit() -> None:
    raise FailpointHit("failpoint")


def _action(text: str) -> Callable[[], None]:
    if text.startswith("sleep="):
        return lambda: time.sleep(float(text.removeprefix("sleep=")))
    return {
        "kill9": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exit": lambda: os._exit(1),
        "raise": _hit,
        "drop": _drop,
    }[text]


def parse_failpoints(text: str) -> dict[str, _Armed]:
    """`name:action[@hit]`, comma separated. Raises ValueError on an unknown name, KeyError on an unknown action."""
    armed = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition(":")
        action, _, hit = rest.partition("@")
        if name not in NAMES:
            raise ValueError(f"unknown failpoint {name!r}")
        armed[name] = _Armed(_action(action), int(hit or 0))
    return armed


_armed = parse_failpoints(settings.FAILPOINTS) if settings.TEST_MODE else {}


def failpoint(name: str) -> None:
    """Do what FAILPOINTS says about this place: usually nothing, at the price of one dictionary look-up."""
    armed = _armed.get(name)
    if armed is not None:
        hit = next(armed.hits)
        if armed.at_hit in {0, hit}:
            armed.action()
