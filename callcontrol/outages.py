"""While the counter does not answer: refuse, or grant within a cap what was fine a moment ago. (缓存计费模式)

What was last known lives in this process; what was granted is counted in PostgreSQL, without which nothing is granted.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from django.db.models import F, Q
from django.db.models.functions import Coalesce

from billing_platform import clock
from callcontrol.models import GatePolicy
from counter.errors import CounterUnavailable

BELIEVED_SECONDS = 60.0
KNOWN_MAX = 50_000
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Memory:
    """(organisation, label) -> account and the moment of its last yes; since when the counter is silent."""

    known: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    silent_since: float | None = None


_memory = _Memory()


@dataclass(slots=True)
class UncheckedGrant:
    """A use that was allowed without the counter. It counts against the cap until it is given back, once."""

    organization: str
    accno: str
    seconds_max: int
    policy_id: int
    given_back: bool = False

    def give_back(self) -> None:
        """The use is over, or was handed over to a call that counts for itself."""
        if not self.given_back:
            self.given_back = True
            give_back(self.policy_id, uses=1)


def note_answer(organization: str, label: str, accno: str) -> None:
    """The counter said yes just now."""
    if len(_memory.known) > KNOWN_MAX:
        _memory.known.clear()
    _memory.known[organization, label] = accno, monotonic()
    _memory.silent_since = None


def note_refusal(organization: str, label: str) -> None:
    """The counter said no: nothing is granted on older knowledge."""
    _memory.known.pop((organization, label), None)
    _memory.silent_since = None


def forget() -> None:
    """Drop what this process remembers."""
    _memory.known.clear()
    _memory.silent_since = None


def policy_of(organization: str) -> GatePolicy:
    """The organisation's own row, else that of all, else the defaults (not stored)."""
    rows = GatePolicy.objects.filter(Q(organization=organization) | Q(organization=""))
    return rows.order_by("-organization").first() or GatePolicy(organization="")


def grant_without_counter(organization: str, label: str) -> UncheckedGrant:
    """One use, when the policy is CONTINUE, the last answer was a fresh yes, and the cap has room.

    Raises CounterUnavailable.
    """
    now = monotonic()
    _memory.silent_since = _memory.silent_since or now
    accno, known_at = _memory.known.get((organization, label), ("", 0.0))
    policy = policy_of(organization)
    fresh = bool(accno) and known_at >= _memory.silent_since - BELIEVED_SECONDS
    if policy.policy != GatePolicy.Policy.CONTINUE or not fresh or not _count(policy):
        raise CounterUnavailable
    _log.error("granted without a check: organisation %s, service %s", organization, label)
    return UncheckedGrant(organization, accno, policy.continue_seconds, policy.pk)


def _count(policy: GatePolicy) -> bool:
    """One statement, so that no two uses share the last place under the cap."""
    at = clock.now()
    window = Q(unchecked_since__isnull=True) | Q(unchecked_since__gt=at - timedelta(minutes=policy.continue_minutes))
    room = GatePolicy.objects.filter(
        window, pk=policy.pk, policy=GatePolicy.Policy.CONTINUE, continue_minutes__gt=0,
        unchecked_calls__lt=F("continue_calls"),
        unchecked_amount__lte=F("continue_amount") - F("continue_estimate"),
    )  # fmt: skip
    counted = room.update(
        unchecked_since=Coalesce(F("unchecked_since"), at),
        unchecked_calls=F("unchecked_calls") + 1,
        unchecked_amount=F("unchecked_amount") + F("continue_estimate"),
    )
    return counted == 1


def give_back(policy_id: int, *, uses: int) -> None:
    """Uses that were granted without a check are over."""
    GatePolicy.objects.filter(pk=policy_id, unchecked_calls__gte=uses).update(
        unchecked_calls=F("unchecked_calls") - uses
    )


def end_outage() -> int:
    """The counter answers again: windows close, the next outage begins with full caps. How many closed."""
    return GatePolicy.objects.filter(unchecked_since__isnull=False).update(unchecked_since=None, unchecked_amount=0)
