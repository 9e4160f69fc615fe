"""Death after death: parts that come back armed and die at a place of their own, or are killed at a random moment.

A death is one `kill -9`: of a whole part, or of one of its processes. All dice are the seed's.
"""

import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

from billing_platform.supervision import last_words
from tests.faults.stack import Stack
from tests.faults.storm import WINK_SECONDS, Load
from tests.faults.supervisor import Part

# Part: the places it passes, and the hits at which it dies there. Something must get done between two deaths.
PLACES: dict[str, dict[str, tuple[int, int]]] = {
    "web": {
        "cdr.intake.before_commit": (2, 10), "cdr.intake.after_commit": (2, 10), "cdr.intake.mid_batch": (30, 200),
        "cdr.charging.before_counter": (2, 10), "cdr.charging.after_counter": (2, 10),
        "callcontrol.calling.after_intent": (1, 1), "callcontrol.calling.after_platform": (1, 1),
    },
    "counter": {
        "counter.committer.before_commit": (2, 10), "counter.committer.after_commit": (2, 10),
        "counter.grpc.before_reply": (5, 30), "ledger.posting.after_balance": (2, 10),
        "ledger.holds.after_place": (1, 2),
    },
    "worker": {
        "cdr.charging.before_counter": (1, 2), "cdr.charging.after_counter": (1, 2), "outbox.after_claim": (1, 2),
        "outbox.after_send": (1, 4), "jobs.after_claim": (1, 1),
    },
}  # fmt: skip
DRIVEN = frozenset(place for places in PLACES.values() for place in places)
A_JOB = "ledger.tasks.verify_recent_task"
PLAIN, UNARMED = 1 / 3, 0.15  # of the shares, of those that come back
BORN_SECONDS = 1.0  # what lives shorter is no process of ours: a part may ask the system something while it starts
SITE_STOPS_SECONDS = 6.0  # a process of the site that dies again so soon takes the whole site with it
LIVES = 3  # so many processes of a part die at the same place before it is killed as a whole and armed anew


class Reaper:
    """Sees to it that `times` processes die, spread over a load."""

    def __init__(self, stack: Stack, *, times: int, seed: int | str) -> None:
        self._dice = random.Random(f"reaper:{seed}")
        self._stack, self._times = stack, times
        self._next_places = {part: self._endless(list(places)) for part, places in PLACES.items()}
        self._born: dict[str, dict[int, float]] = {part.name: {} for part in stack.parts}  # its processes, since when
        self._struck, self._lost = set[int](), Counter[str]()
        self._wounded: dict[str, float] = {}  # parts one of whose processes has died, and when
        self.killed = Counter[str]()  # by us, in each part
        self.hits = Counter[str]()  # at each place
        self.unsettled_at_death: list[int] = []

    @property
    def deaths(self) -> int:
        return self.killed.total() + self.hits.total()

    def run_beside(self, load: Load) -> None:
        """In the main thread. The load gets its share for each death; if nobody has died by then, somebody is killed.

        In one share of three a plain kill strikes somewhere within it. Ends with the stack whole and the load released.
        """
        while self.deaths < self._times:
            before, begin = self.deaths, load.settled
            load.allowed = max(begin, load.total * (before + 1) // (self._times + 1))
            part_of_share = self._dice.uniform(0.1, 0.9) if self._dice.random() < PLAIN else 1.0
            moment = begin + (load.allowed - begin) * part_of_share
            while self.deaths == before and load.settled < moment and not load.is_over:
                time.sleep(WINK_SECONDS)
                self._count_hits()
            if self.deaths == before:
                self._kill_somebody()
            self.unsettled_at_death.append(load.total - load.settled)
        self._stack.heal()
        self._stack.beat.start()
        load.allowed = load.total

    def _count_hits(self) -> None:
        """Processes that have died at their place. Nobody dies of anything else."""
        for part in self._stack.parts:
            if not part.is_alive:
                if part.name not in self._wounded:
                    self._note_hits(part, 1)
                self._bring_back(part)
                continue
            lost, before = self._lost_children(part), self._wounded.get(part.name, 0.0)
            if not lost:
                continue
            self._wounded[part.name] = time.monotonic()
            if part is not self._stack.web:
                self._note_hits(part, lost)
            elif time.monotonic() - before > SITE_STOPS_SECONDS:  # else it may be the site that stops
                self._note_hits(part, 1)
            if self._lost[part.name] >= LIVES:
                self._kill(part)

    def _lost_children(self, part: Part) -> int:
        """How many have gone since the last look."""
        born, at, alive = self._born[part.name], time.monotonic(), part.children()
        lost = [pid for pid, since in born.items() if pid not in alive and at - since > BORN_SECONDS]
        self._born[part.name] = {pid: born.get(pid, at) for pid in alive - self._struck}
        return len(lost)

    def _note_hits(self, part: Part, number: int) -> None:
        assert part.failpoints, f"{part.name} died by itself:\n{last_words(part.log_path)}"
        self.hits[part.failpoints.partition(":")[0]] += number
        self._lost[part.name] += number

    def _kill_somebody(self) -> None:
        """A part that is at work, or one of its processes; or whoever is just coming up, when all are."""
        ready = [part for part in self._stack.parts if part.is_alive and part.answers()]
        part = self._dice.choice(ready or list(self._stack.parts))
        grown = {pid for pid, since in self._born[part.name].items() if time.monotonic() - since > BORN_SECONDS}
        children = sorted(grown & part.children())
        if not children or self._dice.random() < 0.3:
            self._kill(part)
            return
        child = self._dice.choice(children)
        os.kill(child, signal.SIGKILL)
        self._struck.add(child)  # it may take its time to die
        self._wounded[part.name] = time.monotonic()
        del self._born[part.name][child]
        self.killed[part.name] += 1

    def _kill(self, part: Part) -> None:
        part.kill9()
        self.killed[part.name] += 1
        self._bring_back(part)

    def _bring_back(self, part: Part) -> None:
        part.kill9()  # whoever is left of its group
        self._born[part.name], self._lost[part.name] = {}, 0
        self._wounded.pop(part.name, None)
        arming = "" if self._dice.random() < UNARMED else self._arming(part)
        if arming.startswith("jobs."):
            self._stack.ring(A_JOB)
        part.launch(arming)

    def _arming(self, part: Part) -> str:
        place = next(self._next_places[part.name])
        return f"{place}:kill9@{self._dice.randint(*PLACES[part.name][place])}"

    def _endless(self, places: list[str]) -> Iterator[str]:
        """Each of them once, in any order, and again."""
        for _ in itertools.count():
            self._dice.shuffle(places)
            yield from places
