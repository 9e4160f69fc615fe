"""Who pays, as remembered by a process that asks the counter."""

import time
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

PAYERS_MAX, PERIODS_KEPT = 50_000, 4


@dataclass(frozen=True, slots=True)
class Payer:
    """An answer, the period in which it holds, and the directory's generation that vouches for it."""

    accno: str
    since: datetime | None
    until: datetime | None
    directory: str
    believed_until: float

    def holds(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


class Payers:
    """What this process knows of who pays. Every answer of the counter names the directory's generation: when it has
    moved, all is forgotten at once; while it stands still and is heard, answers are good beyond their minute."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], list[Payer]] = {}
        self._directory, self._heard_at = "", float("-inf")

    def hear(self, directory: str) -> None:
        if directory and directory != self._directory:
            self._known, self._directory = {}, directory
        self._heard_at = time.monotonic()

    def find(self, organization: str, label: str, at: datetime) -> str:
        now = time.monotonic()
        heard = now - self._heard_at < settings.ACCOUNT_CACHE_TTL
        for payer in self._known.get((organization, label), ()):
            vouched = heard and payer.directory == self._directory
            if (now < payer.believed_until or vouched) and payer.holds(at):
                return payer.accno
        return ""

    def keep(self, organization: str, label: str, payer: Payer) -> None:
        if len(self._known) > PAYERS_MAX:
            self._known.clear()
        kept = self._known.get((organization, label), [])[-PERIODS_KEPT:]
        self._known[organization, label] = [*kept, payer]

    def forget(self) -> None:
        self._known = {}


def latest(*instants: datetime | None) -> datetime | None:
    """The latest of those that are given."""
    return max((instant for instant in instants if instant is not None), default=None)


def earliest(*instants: datetime | None) -> datetime | None:
    """The earliest of those that are given."""
    return min((instant for instant in instants if instant is not None), default=None)
