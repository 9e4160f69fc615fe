"""What the oracle's checks answer, in words that every floor may use. The oracle itself is `ledger.audit`.

A check is a function without arguments that yields a Finding for every invariant it looks at, clean ones included. It
reads inside the one snapshot of the run. Between the nightly runs a check may look only at what came after `since()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

EXAMPLES_MAX = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """How often an invariant (1 to 12) is broken, with at most 20 examples for people."""

    invariant: int
    breaches: int
    examples: tuple[str, ...] = ()


_since: ContextVar[datetime | None] = ContextVar("oracle_since", default=None)


def since() -> datetime | None:
    """Rows created before this instant were found clean by an earlier run; None: everything is to be looked at."""
    return _since.get()


@contextmanager
def looking_since(instant: datetime | None) -> Iterator[None]:
    """Checks inside the block look at what came after the instant."""
    token = _since.set(instant)
    try:
        yield
    finally:
        _since.reset(token)
