"""Ranges of ids worked through by several processes, each with its own connection; memory holds a range at a time.

This module is imported before Django is set up there: it imports no model.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import django
from django.conf import settings
from django.db import connection

WORTH_IT = 4  # ranges: a process needs a second or two before it is ready
Range = tuple[int, int]
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Worker = Callable[[Range], Answer]

_worker: list[Worker[Any]] = []  # of this process, once it has begun


def side_by_side(
    make: Callable[[Question], Worker[Answer]], question: Question, ranges: Sequence[Range], *, processes: int
) -> Iterator[tuple[Range, Answer]]:
    """Each range with its answer, as they come. `make(question)` makes a worker in every process, for one or more
    ranges; few ranges are worked through here."""
    if processes < 2 or len(ranges) < WORTH_IT:
        work = make(question)
        yield from ((one, work(one)) for one in ranges)
        return
    told = pickle.dumps((make, question)), settings.SETTINGS_MODULE, dict(connection.settings_dict)
    context = multiprocessing.get_context("spawn")  # a fork would share the connection
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=told) as pool:
        try:
            pending = {pool.submit(_work, one): one for one in ranges}
            for done in as_completed(pending):
                yield pending.pop(done), done.result()
        finally:
            pool.shutdown(cancel_futures=True)  # what has begun ends; nothing else begins


def _begin(told: bytes, settings_module: str, database: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to obey
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    django.setup()
    connection.settings_dict.update(database)
    make, question = pickle.loads(told)  # noqa: S301  our own parent wrote it
    _worker.append(make(question))
    gc.freeze()  # what has been loaded stays: the collector need not look through it after every few records


def _work(one: Range) -> Any:
    return _worker[0](one)


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its children."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only children come here
    parent.join()
    os._exit(1)
