"""Asking a service outside who serves a number (归属地接口), and remembering its answers.

`learn` asks, at the gate or in a task, never inside a transaction; what it was told is kept in Valkey for every
process. `recall` brings answers into this process before a batch is priced. No answer, a late or a garbled one means
"as the tables say". Nothing configured: all of this is a look at an empty dict.
"""

import json
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from billing_platform import metrics, outside
from billing_platform.errors import PlatformError
from rating.segments import CHINA

KNOWN_SECONDS = 86_400  # in Valkey, when a carrier was named
UNKNOWN_SECONDS = 3_600  # in Valkey, when the service knew none
KEPT_SECONDS = 600.0  # in this process
MISSED_SECONDS = 30.0  # in this process, that Valkey had no answer
KEPT_MAX = 50_000
FAILURES_MAX = 3  # in a row; then nobody asks for PAUSE_SECONDS, and one asks again
PAUSE_SECONDS = 30.0
SILENT_SECONDS = 5.0  # after Valkey failed nobody asks it for so long
ASKED_MAX = 4  # numbers that one call of `learn` asks for: the legs of a call
ANSWER_BYTES_MAX = 16_384
_OK, _NOT_FOUND = 200, 404
_log = logging.getLogger(__name__)


class LookupFailed(Exception):
    """The service did not answer in time, or nothing that can be read."""


class CarrierLookup(Protocol):
    """The port: who serves a number, None when the service does not know. Raises LookupFailed."""

    def find(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class HttpCarrierLookup:
    """A service that answers a GET with JSON: where to ask, where the name stands in the answer, what it means here.

    `url` holds `{key}` (8613800138000) or `{national}` (13800138000); `path` is dotted: `data.carrier`.
    """

    url: str
    header: str
    path: str
    carriers: Mapping[str, str]
    seconds: float

    def find(self, key: str) -> str | None:
        """Our code of the carrier that the service names; None for a name that means nothing here."""
        answer = self._ask(self.url.replace("{key}", key).replace("{national}", key.removeprefix(CHINA)))
        if answer.status == _NOT_FOUND:
            return None
        if answer.status != _OK:
            raise LookupFailed(f"HTTP {answer.status}")
        try:
            named: Any = json.loads(answer.body)
        except (ValueError, RecursionError) as garbled:
            raise LookupFailed("not JSON") from garbled
        for step in self.path.split("."):
            if not isinstance(named, dict) or step not in named:
                raise LookupFailed("not the answer that was agreed")
            named = named[step]
        return self.carriers.get(str(named))

    def _ask(self, url: str) -> outside.Answer:
        name, _, value = self.header.partition(":")
        headers = {name.strip(): value.strip()} if value else {}
        until = monotonic() + self.seconds
        try:
            target = outside.judged_target(url, exceptions=settings.OUTSIDE_ALLOWED_PRIVATE_NETS, seconds=self.seconds)
            left = until - monotonic()
            return outside.get(target, headers=headers, seconds=left, body_max=ANSWER_BYTES_MAX)
        except PlatformError as failed:
            raise LookupFailed(str(failed.fields.get("reason", failed.code))) from failed


def configured_lookup() -> CarrierLookup | None:
    """The service of RATING_CARRIER_LOOKUP_URL; None without one."""
    if not settings.RATING_CARRIER_LOOKUP_URL:
        return None
    return HttpCarrierLookup(
        settings.RATING_CARRIER_LOOKUP_URL,
        settings.RATING_CARRIER_LOOKUP_HEADER,
        settings.RATING_CARRIER_LOOKUP_PATH,
        settings.RATING_CARRIER_LOOKUP_MAP,
        settings.RATING_CARRIER_LOOKUP_TIMEOUT_MS / 1000,
    )


class _Kept(NamedTuple):
    carrier: str  # "" = the service knows none, or nobody has asked it
    asked: bool
    until: float  # of the monotonic clock


class Answers:
    """What this process knows of the answers, at most KEPT_MAX of them. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def carrier(self, key: str) -> str:
        """The carrier that the service named, "" when none is known here."""
        if not self._kept:
            return ""
        kept = self._kept.get(key)
        return kept.carrier if kept is not None and monotonic() < kept.until else ""

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys of which this process knows nothing, not even that Valkey has no answer."""
        now = monotonic()
        return [key for key in keys if (kept := self._kept.get(key)) is None or now >= kept.until]

    def unasked(self, keys: Iterable[str]) -> list[str]:
        """The keys that nobody asked the service for, as far as is known."""
        now = monotonic()
        return [key for key in keys if (kept := self._kept.get(key)) is None or not kept.asked or now >= kept.until]

    def keep(self, carriers: Mapping[str, str | None]) -> None:
        """Remember answers; None: Valkey has none."""
        now = monotonic()
        if len(self._kept) + len(carriers) > KEPT_MAX:
            self._kept = {}
        for key, carrier in carriers.items():
            seconds = MISSED_SECONDS if carrier is None else KEPT_SECONDS
            self._kept[key] = _Kept(carrier or "", carrier is not None, now + seconds)

    def forget(self) -> None:
        """Know nothing."""
        self._kept = {}


class _Breaker:
    """Open for a while after so many failures in a row; then one caller tries, and all are let in once it succeeds."""

    def __init__(self, *, failures_max: int, seconds: float) -> None:
        self._lock = threading.Lock()
        self._failures_max, self._seconds = failures_max, seconds
        self._failures, self._paused_until = 0, 0.0

    def admits(self) -> bool:
        """May this caller ask? While open, nobody; after the pause, one."""
        with self._lock:
            if self._failures < self._failures_max:
                return True
            if monotonic() < self._paused_until:
                return False
            self._paused_until = monotonic() + self._seconds
            return True

    def note_failure(self) -> None:
        with self._lock:
            self._failures += 1
            self._paused_until = monotonic() + self._seconds

    def note_success(self) -> None:
        with self._lock:
            self._failures = 0

    reset = note_success


answers = Answers()
service_breaker = _Breaker(failures_max=FAILURES_MAX, seconds=PAUSE_SECONDS)
valkey_breaker = _Breaker(failures_max=1, seconds=SILENT_SECONDS)


def recall(keys: Iterable[str]) -> None:
    """Bring stored answers for these numbers into this process: at most one question to Valkey."""
    if not settings.RATING_CARRIER_LOOKUP_URL:
        return
    missing = answers.missing({key for key in keys if key})
    if not missing or not valkey_breaker.admits():
        return
    try:
        stored = cache.get_many([_name(key) for key in missing])
    except (RedisError, OSError) as error:
        valkey_breaker.note_failure()
        _log.warning("carrier answers not recalled: %s", type(error).__name__)
        return
    valkey_breaker.note_success()
    answers.keep({key: _carrier(stored.get(_name(key))) for key in missing})


def learn(keys: Iterable[str]) -> None:
    """Ask the service for the numbers that nobody asked it for yet, and store what it says. Outside transactions.

    The first failure ends it: a call that begins waits for one deadline, not for several.
    """
    lookup = configured_lookup()
    if lookup is None:
        return
    wanted = {key for key in keys if key.startswith(CHINA) and key.isdigit()}
    recall(wanted)
    told: dict[str, str] = {}
    for key in answers.unasked(wanted)[:ASKED_MAX]:
        carrier = _told_by(lookup, key)
        if carrier is None:
            break
        told[key] = carrier
    if told:
        _store(told)


def _told_by(lookup: CarrierLookup, key: str) -> str | None:
    """What the service says about one number, "" when it knows no carrier; None when it did not answer."""
    if not service_breaker.admits():
        metrics.carrier_lookups.labels("skipped").inc()
        return None
    try:
        carrier = lookup.find(key)
    except LookupFailed as failed:
        service_breaker.note_failure()
        metrics.carrier_lookups.labels("failed").inc()
        _log.warning("carrier look-up failed: %s", failed)
        return None
    service_breaker.note_success()
    metrics.carrier_lookups.labels("found" if carrier else "unknown").inc()
    return carrier or ""


def _store(told: Mapping[str, str]) -> None:
    """For this process at once; for the others when Valkey takes it."""
    answers.keep(told)
    try:
        for found, seconds in ((True, KNOWN_SECONDS), (False, UNKNOWN_SECONDS)):
            several = {_name(key): carrier for key, carrier in told.items() if bool(carrier) is found}
            if several and valkey_breaker.admits():
                cache.set_many(several, timeout=seconds)
    except (RedisError, OSError) as error:
        valkey_breaker.note_failure()
        _log.warning("carrier answers not stored: %s", type(error).__name__)


def _name(key: str) -> str:
    return f"carrier:{key}"


def _carrier(stored: object) -> str | None:
    return stored if isinstance(stored, str) else None
