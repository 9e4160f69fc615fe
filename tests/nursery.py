"""A process that has imported everything and bears commands: each stands at once instead of importing for a second.

    python -m tests.nursery DOOR    the number of a socket that it inherits and that listens

`tests.born` asks it. Whoever is born is a process of its own from its first line on, with the words, the directory, the
environment and the three streams of whom asked; nothing is open here, no connection and no thread, that two could
share. What settings were read from the environment is what was read here, except for the database and the failpoints.
The nursery ends when its standard input does, and everybody born in it with it.
"""

import ctypes
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")
django.setup()

from django.conf import settings  # noqa: E402  Django first
from django.core.management import get_commands, load_command_class  # noqa: E402
from django.db import connections  # noqa: E402

import billing_platform.urls  # noqa: E402, F401  the checks before a command read it
from billing_platform import failpoints  # noqa: E402
from billing_platform.settings import database  # noqa: E402

PACKET_BYTES = 200_000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

Request = dict[str, Any]


def import_commands() -> None:
    """What they import, too."""
    for name, room in get_commands().items():
        if isinstance(room, str) and not room.startswith("django."):
            load_command_class(room, name)


def bear(listener: socket.socket) -> Request:
    """Answer requests; returns in whoever was born, with what to become."""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    sys.exit()
                if key.fileobj is not listener:
                    tell_end(selector, key)
                elif request := answered(selector, listener):
                    return request


def answered(selector: selectors.BaseSelector, listener: socket.socket) -> Request | None:
    """None here; the request in whoever was born for it."""
    asking, _ = listener.accept()
    packet, streams, _, _ = socket.recv_fds(asking, PACKET_BYTES, 3)
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        for key in [*selector.get_map().values()]:
            if key.data:  # the lines of others, which end when they do
                key.data[1].close()
        listener.close()
        asking.close()
        return {**json.loads(packet), "streams": streams, "parent": parent}
    for stream in streams:
        os.close(stream)
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, asking))
    with suppress(OSError):  # whoever asked may be gone already
        asking.send(str(pid).encode())
    return None


def tell_end(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Who asked for the process that has ended is told its status."""
    selector.unregister(key.fileobj)
    os.close(key.fd)
    pid, asking = key.data
    _, status = os.waitpid(pid, 0)
    with asking, suppress(OSError):
        asking.send(str(os.waitstatus_to_exitcode(status)).encode())


def settle(request: Request) -> None:
    """Take the place that was asked for, and die with the nursery."""
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != request["parent"]:
        sys.exit(1)
    for number, stream in enumerate(request["streams"]):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    url = os.environ["DATABASE_URL"]
    settings.DATABASE_URL = url
    connections["default"].settings_dict["NAME"] = database(url)["NAME"]
    failpoints._armed = failpoints.parse_failpoints(os.environ.get("FAILPOINTS", ""))


def become(words: list[str]) -> None:
    """What `python WORDS` would be: a file, `-m module` or `-c program`."""
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102  words of our own tests
    elif words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    import_commands()
    gc.freeze()  # pages of what is there stay shared
    with socket.socket(fileno=int(sys.argv[1])) as door:
        request = bear(door)
    settle(request)
    become(request["words"])
