"""Who pays, as remembered by a process that asks the counter."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.conf import settings

from counter.errors import CounterError
from counter.uses import PayerAsked, PayerFound

PAYERS_MAX, PERIODS_KEPT = 50_000, 4
ASKED_MAX = 1000
RENEWED_MAX = 100  # doubted payers that a question takes along
Outcome = PayerFound | CounterError


class Answers(NamedTuple):
    """What the counter said, in the order of the questions, and the generation of its directory that vouches for it."""

    outcomes: Sequence[Outcome]
    directory: str


class _Kept(NamedTuple):
    found: PayerFound
    turn: int
    believed_until: float


class Payers:
    """What this process knows of who pays.

    Every answer of the counter names the directory's generation, read before the answer was. A generation says that
    something has changed and not what, and a change may concern many: an organisation's binding those below it, an
    account's state its parent. So when it has moved, every answer is in doubt and none is used again until the counter
    has given it anew under the generation heard last: nobody is charged by what was true before. What was known
    stays as a list of what to ask: a question that must be asked anyway takes some of the doubted along, so that a
    change costs a few large questions and not one for every tenant. While the generation stands still and is heard,
    answers are good beyond their minute.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[_Kept, ...]] = {}  # the doubted come first
        self._directory, self._heard_at = "", float("-inf")
        self._turn = 0  # how often another generation was heard; one that comes again vouches for nothing old
        self._lock = threading.Lock()

    def tell(
        self, asked: Sequence[PayerAsked], ask: Callable[[Sequence[PayerAsked]], Answers]
    ) -> list[str | CounterError]:
        """The account or the refusal for each, in order.

        All that is not remembered is asked for at once, by one instant of each payer; a second time at most, for the
        instants at which that answer does not hold.
        """
        told: dict[PayerAsked, str | CounterError] = {one: self._find(one) for one in dict.fromkeys(asked)}
        missing = [one for one, accno in told.items() if not accno]
        if missing:
            first = {one[:2]: one for one in missing}
            answers = self._ask([*first.values()], ask)
            near = {one: answers[first[one[:2]]] for one in missing}
            answers |= {one: found for one, found in near.items() if _is_good(found, one)}
            rest = [one for one in missing if one not in answers]
            answers |= self._ask(rest, ask) if rest else {}
            told |= {one: _accno_of(answers[one]) for one in missing}
        return [told[one] for one in asked]

    def hear(self, directory: str) -> None:
        """The counter named this generation."""
        with self._lock:
            if directory and directory != self._directory:
                self._directory, self._turn = directory, self._turn + 1
            self._heard_at = time.monotonic()

    def forget(self) -> None:
        with self._lock:
            self._known = {}

    def _find(self, asked: PayerAsked) -> str:
        now, turn = time.monotonic(), self._turn
        heard = now - self._heard_at < settings.ACCOUNT_CACHE_TTL
        for kept in self._known.get(asked[:2], ()):
            if kept.turn == turn and (heard or now < kept.believed_until) and kept.found.holds(asked.at):
                return kept.found.accno
        return ""

    def _ask(
        self, asked: Sequence[PayerAsked], ask: Callable[[Sequence[PayerAsked]], Answers]
    ) -> dict[PayerAsked, Outcome]:
        """Ask for these, and remember; with them for payers in doubt, as of the latest instant among these."""
        at = max(one.at for one in asked)
        doubted = [PayerAsked(*key, at) for key in self._doubted(at_most=min(RENEWED_MAX, ASKED_MAX - len(asked)))]
        whole = list(dict.fromkeys([*asked, *doubted]))
        said = ask(whole)
        self.hear(said.directory)
        answers = dict(zip(whole, said.outcomes, strict=True))
        with self._lock:
            for one, outcome in answers.items():
                self._keep(one, outcome, directory=said.directory)
        return answers

    def _keep(self, asked: PayerAsked, outcome: Outcome, *, directory: str) -> None:
        """Remember an answer; not one of another generation than the last that was heard."""
        if directory != self._directory:
            return
        if len(self._known) > PAYERS_MAX:
            self._known = {}
        known = [kept for kept in self._known.pop(asked[:2], ()) if kept.turn == self._turn]
        if isinstance(outcome, PayerFound):
            known.append(_Kept(outcome, self._turn, time.monotonic() + settings.ACCOUNT_CACHE_TTL))
        if known:
            self._known[asked[:2]] = tuple(known[-PERIODS_KEPT:])

    def _doubted(self, *, at_most: int) -> list[tuple[str, str]]:
        """Organisations and labels whose answers are in doubt, those first that have been so for longest."""
        found: list[tuple[str, str]] = []
        with self._lock:
            for key, kept in self._known.items():
                if len(found) >= at_most or kept[-1].turn == self._turn:
                    break
                found.append(key)
        return found


def _is_good(found: Outcome, asked: PayerAsked) -> bool:
    return isinstance(found, PayerFound) and found.holds(asked.at)


def _accno_of(outcome: Outcome) -> str | CounterError:
    return outcome.accno if isinstance(outcome, PayerFound) else outcome
