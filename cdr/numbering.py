"""Ids for rows that are written in bulk: a process takes a thousand at once and hands them out by itself."""

import threading

from django.db import connection

BLOCK = 1000  # the increment of the sequence `call_ids`


class _Block:
    """What is left of this process's block."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next = self.end = 0


_block = _Block()


def new_ids(how_many: int) -> range:
    """Ids that nobody else has, in growing order; what a process does not use is lost."""
    with _block.lock:
        if _block.end - _block.next < how_many:
            _block.next, _block.end = _fetch_block()
            if how_many > BLOCK:
                raise ValueError(f"at most {BLOCK} ids at once")
        first = _block.next
        _block.next += how_many
        return range(first, first + how_many)


def _fetch_block() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('call_ids')")
        (first,) = cursor.fetchone()
    return int(first), int(first) + BLOCK
