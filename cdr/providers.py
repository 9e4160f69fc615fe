"""Who sends call records: looked up by code, remembered for half a minute; tokens and secrets with their rotation."""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import QuerySet

from billing_platform import clock
from billing_platform.auth import Caller, hashed_secret, inside_networks
from billing_platform.trail import record_act
from billing_platform.webhooks import opened_secret, sealed_secret
from cdr.models import Provider

KEPT_SECONDS = 30.0  # a revoked token or a changed row acts within this time
SENDERS_MAX = 200  # provider names of one organisation
KEPT_MAX = 20_000
_DUMMY = hashed_secret("")
_HOOKS = Provider.objects.exclude(platform=Provider.Platform.NATIVE)


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """A provider row as intake needs it; secrets and hashes carry the instant until which they live."""

    id: int
    code: str
    platform: str
    organization: str
    zone_name: str
    key_name: str
    tokens: tuple[tuple[bytes, datetime | None], ...]
    secrets: tuple[tuple[bytes, datetime | None], ...]
    networks: tuple[str, ...]
    acknowledgement: str

    @property
    def zone(self) -> ZoneInfo:
        """In which naive times of this provider are read."""
        return ZoneInfo(self.zone_name)

    def live_secrets(self, at: datetime) -> list[str]:
        """The signing secrets that are valid now, opened."""
        return [opened_secret(sealed) for sealed, until in self.secrets if until is None or at < until]


Value = TypeVar("Value")
Sender = tuple[str, str]  # organisation and name


class _Kept(Generic[Value]):
    """What was read by what it was asked for, each with the monotonic instant until which it may be believed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[tuple[str, str], tuple[Value, float]] = {}

    def find(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Value]:
        """Those of the asked that are remembered."""
        now = time.monotonic()
        kept = ((name, self._read.get(name)) for name in asked)
        return {name: entry[0] for name, entry in kept if entry is not None and now < entry[1]}

    def get(self, asked: tuple[str, str], read: Callable[[], Value]) -> Value:
        """What is remembered, else what is read now."""
        found = self.find([asked])
        return found[asked] if asked in found else self.keep(asked, read())

    def keep(self, asked: tuple[str, str], value: Value) -> Value:
        with self._lock:
            if len(self._read) > KEPT_MAX:
                self._read.clear()
            self._read[asked] = value, time.monotonic() + KEPT_SECONDS
        return value

    def forget(self) -> None:
        self._read.clear()


_providers, _senders = _Kept["ProviderFacts | None"](), _Kept[int]()


def forget_providers() -> None:
    """Drop what this process remembers (a row was changed here)."""
    _providers.forget()
    _senders.forget()


def find_hook(code: str) -> ProviderFacts | None:
    """The provider behind a webhook's code."""
    return _providers.get(("hook", code), lambda: _read(_HOOKS.filter(code=code, enabled=True)))


def find_provider(provider_id: int) -> ProviderFacts | None:
    """The provider with this id, enabled or not."""
    return _providers.get(("id", str(provider_id)), lambda: _read(Provider.objects.filter(pk=provider_id)))


def find_senders(senders: Sequence[Sender]) -> dict[Sender, int]:
    """The provider rows of organisations' own senders: one question for all that this process does not remember.

    The first record makes its sender's row; a sender beyond SENDERS_MAX of its organisation is missing.
    """
    found = _senders.find(senders)
    missing = [sender for sender in senders if sender not in found]
    stored = _read_senders(missing) if missing else {}
    for sender in missing:
        number = stored.get(sender) or _make_sender(*sender)
        if number is not None:
            found[sender] = _senders.keep(sender, number)
    return found


def _read_senders(senders: Sequence[Sender]) -> dict[Sender, int]:
    rows = Provider.objects.filter(
        platform=Provider.Platform.NATIVE, organization__in={organization for organization, _name in senders},
        code__in={name for _organization, name in senders},
    )  # fmt: skip
    return {(row[0], row[1]): row[2] for row in rows.values_list("organization", "code", "pk")}


def _make_sender(organization: str, name: str) -> int | None:
    """The row of a new sender, whoever of several processes is first; None when there are too many."""
    native = Provider.objects.filter(platform=Provider.Platform.NATIVE, organization=organization)
    if native.count() >= SENDERS_MAX:
        return None
    row, _made = Provider.objects.get_or_create(
        code=name, platform=Provider.Platform.NATIVE, organization=organization, defaults={"zone": "UTC"}
    )
    return row.pk


def _read(rows: "QuerySet[Provider]") -> ProviderFacts | None:
    row = rows.first()
    return None if row is None else _facts(row)


def _facts(row: Provider) -> ProviderFacts:
    tokens = [(row.hook_token_hash, None), (row.previous_token_hash, row.previous_token_until)]
    sealed = [(row.secret, None), (row.previous_secret, row.previous_secret_until)]
    return ProviderFacts(
        row.pk, row.code, row.platform, row.organization, row.zone, row.key_name,
        tuple((bytes(token), until) for token, until in tokens if token is not None),
        tuple((bytes(secret), until) for secret, until in sealed if secret is not None),
        tuple(row.networks), row.acknowledgement,
    )  # fmt: skip


def may_knock(provider: ProviderFacts | None, token: str, *, address: str, at: datetime) -> bool:
    """Is this hook token live for the provider, and does the sender stand in its networks? An unknown provider costs
    the same time."""
    given = hashed_secret(token[:200])
    tokens = provider.tokens if provider is not None else ((_DUMMY, None),)
    matched = False
    for stored, until in tokens:
        matched |= hmac.compare_digest(stored, given) and (until is None or at < until)
    if provider is None or not matched:
        return False
    return not provider.networks or inside_networks(address, provider.networks)


@transaction.atomic(durable=True)  # old and new token change places together, and the trail says who did it
def rotate_token(provider_id: int, *, overlap: timedelta, caller: Caller) -> str:
    """A new hook token, shown once; the old one stays valid for `overlap`."""
    token = secrets.token_urlsafe(32)
    row = Provider.objects.select_for_update().get(pk=provider_id)
    Provider.objects.filter(pk=provider_id).update(
        previous_token_hash=row.hook_token_hash, previous_token_until=clock.now() + overlap,
        hook_token_hash=hashed_secret(token),
    )  # fmt: skip
    record_act(caller, "provider.rotate_token", target=("provider", provider_id))
    forget_providers()
    return token


@transaction.atomic(durable=True)  # old and new secret change places together, and the trail says who did it
def rotate_secret(provider_id: int, *, overlap: timedelta, caller: Caller) -> str:
    """A new signing secret, shown once; the old one stays valid for `overlap`."""
    secret = secrets.token_urlsafe(32)
    row = Provider.objects.select_for_update().get(pk=provider_id)
    Provider.objects.filter(pk=provider_id).update(
        previous_secret=row.secret, previous_secret_until=clock.now() + overlap, secret=sealed_secret(secret)
    )
    record_act(caller, "provider.rotate_secret", target=("provider", provider_id))
    forget_providers()
    return secret
