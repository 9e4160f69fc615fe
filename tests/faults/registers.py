"""What the register checks share: trouble of three kinds, and those who read, hold and move money meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg2

from tests.faults.proxy import Proxy
from tests.faults.servers import Books
from tests.faults.supervisor import Part

LOOK_SECONDS = 0.05


@dataclass
class Trouble:
    """Parts are killed and paused, lines cut and taken down, one after the other, each for a moment."""

    parts: Sequence[Part]
    lines: Sequence[Proxy]
    dice: random.Random

    def make(self, *, seconds: float) -> Counter[str]:
        """How often which kind. All is up again afterwards, though perhaps still starting."""
        kinds = {"kill": self._kill, "pause": self._pause, "cut": self._cut, "down": self._down}
        made, until = Counter[str](), time.monotonic() + seconds
        while time.monotonic() < until:
            self._moment(1.5)
            kind = self.dice.choice(list(kinds))
            kinds[kind]()
            made[kind] += 1
        return made

    def _kill(self) -> None:
        part = self.dice.choice(self.parts)
        part.kill9()
        self._moment(0.5)
        part.launch()

    def _pause(self) -> None:
        part = self.dice.choice(self.parts)
        if part.is_alive:
            part.pause()
            self._moment(2.0)
            part.resume()

    def _cut(self) -> None:
        self.dice.choice(self.lines).cut()

    def _down(self) -> None:
        line = self.dice.choice(self.lines)
        line.down()
        self._moment(1.0)
        line.up()

    def _moment(self, seconds_max: float) -> None:
        time.sleep(self.dice.uniform(0.1, seconds_max))


@contextmanager
def side_by_side(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """Each in a thread while the block runs, until it is told to stop; what fails there fails here."""
    stop, failures = threading.Event(), list[BaseException]()

    def run(work: Callable[[threading.Event], None]) -> None:
        try:
            work(stop)
        except BaseException as failure:  # noqa: BLE001  outermost loop of this thread: raised again by the block
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


@dataclass
class Reader:
    """Reads all wallets in one snapshot again and again; `sums` counts what they came to."""

    books: Books
    accnos: Sequence[str]

    def __post_init__(self) -> None:
        self.sums = Counter[Decimal]()

    def read(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_SECONDS):
            try:
                rows = self.books.rows(
                    "SELECT balance FROM ledger_billingaccount WHERE accno = ANY(%s)", list(self.accnos)
                )
            except psycopg2.OperationalError:  # the server is down
                continue
            self.sums[sum((balance for (balance,) in rows), Decimal(0))] += 1


def teller_part(name: str, template: Part, *arguments: str, journal: Path) -> Part:
    """A teller in the same environment as another part."""
    command = (template.command[0], "-m", "tests.faults.teller", str(journal), name, *arguments)
    return Part(name, command, template.log_path.with_name(f"{name}.log"), template.environment, lambda: True)
