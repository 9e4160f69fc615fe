"""Who is calling: a person with roles, a program with a scoped key, or nobody. Names no view; views name audiences."""

import functools
import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, connection
from django.db.models import Q
from django.http import HttpRequest

from billing_platform import clock
from billing_platform.errors import Forbidden, Unauthenticated
from billing_platform.models import ApiKey, KeyGeneration, Membership, Role

KEY_CACHE_SECONDS = 30.0  # a revocation acts within this time
KEY_LOOK_SECONDS = 10.0  # how often a process asks whether any key has changed
KEY_CACHE_SIZE = 20_000
NOTE_USES_SECONDS = 10.0
ACTOR_MAX = 80  # letters
_DUMMY_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """`kind` person, key or anonymous; `organization` is a code, "" when bound to none."""

    kind: str
    id: str = ""
    organization: str = ""
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    user_id: int | None = None
    name: str = ""

    @property
    def actor(self) -> str:
        """As the audit trail names it: `person:alice`, `key:ab12`; cut to what every column that keeps it holds."""
        return f"{self.kind}:{self.name if self.kind == 'person' else self.id}"[:ACTOR_MAX]

    @property
    def sees_all(self) -> bool:
        """Not bound to one organisation. What they may do is still a matter of roles and scopes."""
        return not self.organization or Role.PLATFORM_ADMIN.value in self.roles


ANONYMOUS = Caller("anonymous")


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a door serves: any of the roles, any of the scopes, or everybody. Deny is the default."""

    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    everybody: bool = False

    def admit(self, caller: Caller) -> None:
        """Raises Unauthenticated for nobody, Forbidden for somebody else."""
        if self.everybody or self.roles & caller.roles or self.scopes & caller.scopes:
            return
        if caller.kind == "anonymous":
            raise Unauthenticated
        needed = sorted(self.scopes if caller.kind == "key" else self.roles)
        raise Forbidden(needs=needed)


def audience(*, roles: tuple[str, ...] = (), scopes: tuple[str, ...] = ()) -> Audience:
    """Shorthand for the tables in views."""
    return Audience(frozenset(roles), frozenset(scopes))


EVERYBODY = Audience(everybody=True)


@dataclass(frozen=True, slots=True)
class _KnownKey:
    """An ApiKey row as needed to judge a request."""

    caller: Caller
    hashes: tuple[tuple[bytes, datetime | None], ...]
    expires_at: datetime | None
    networks: tuple[str, ...]


class _KeyCache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, _KnownKey] = {}
        self.used: set[str] = set()
        self.noted_at = float("-inf")
        self.looked_at = float("-inf")
        self.generation: tuple[str, int] = "", 0

    def find(self, key_id: str) -> _KnownKey | None:
        if time.monotonic() - self.looked_at > KEY_LOOK_SECONDS:
            self.look_for_changes()
        known = self.known.get(key_id)
        if known is not None:
            return known
        known = _load_key(key_id)
        with self.lock:
            if len(self.known) > KEY_CACHE_SIZE:
                self.known.clear()
            if known is None:
                self.known.pop(key_id, None)
            else:
                self.known[key_id] = known
                self.used.add(key_id)
        self.note_uses()
        return known

    def look_for_changes(self) -> None:
        """Forget every key when one has changed. While the database is away keys are believed for KEY_CACHE_SECONDS."""
        looked_at = time.monotonic()
        try:
            number = KeyGeneration.objects.values_list("number", flat=True).get(pk=1)
        except DatabaseError:
            if looked_at - self.looked_at > KEY_CACHE_SECONDS:
                raise
            return
        generation = str(connection.settings_dict["NAME"]), number
        with self.lock:
            if generation != self.generation:
                self.known.clear()
            self.generation, self.looked_at = generation, looked_at

    def note_uses(self) -> None:
        """Write when keys were last used: all of them in one statement, every ten seconds at most."""
        with self.lock:
            if time.monotonic() - self.noted_at < NOTE_USES_SECONDS:
                return
            used, self.used, self.noted_at = self.used, set(), time.monotonic()
        at = clock.now()
        stale = Q(last_used_at__lt=at - timedelta(minutes=1)) | Q(last_used_at__isnull=True)
        ApiKey.objects.filter(stale, key_id__in=used).update(last_used_at=at)


_keys = _KeyCache()


def forget_keys() -> None:
    """Drop this process's key cache (tests, and the admin after a revocation in the same process)."""
    _keys.known.clear()
    _keys.looked_at = float("-inf")
    _keys.noted_at = float("-inf")


def _load_key(key_id: str) -> _KnownKey | None:
    row = ApiKey.objects.filter(key_id=key_id, revoked_at__isnull=True).first()
    if row is None:
        return None
    hashes: list[tuple[bytes, datetime | None]] = [(bytes(row.secret_hash), row.expires_at)]
    if row.previous_hash is not None:
        hashes.append((bytes(row.previous_hash), row.previous_until))
    caller = Caller("key", row.key_id, row.organization, _scope_set(tuple(row.scopes)), name=row.name)
    return _KnownKey(caller, tuple(hashes), row.expires_at, tuple(row.networks))


@functools.lru_cache(maxsize=1024)
def _scope_set(scopes: tuple[str, ...]) -> frozenset[str]:
    """Thousands of keys have the same few scopes: one set serves them all."""
    return frozenset(scopes)


def hashed_secret(secret: str) -> bytes:
    """HMAC-SHA256 of a key's secret under the installation's pepper, 32 bytes."""
    return hmac.digest(settings.KEY_PEPPER.encode(), secret.encode(), hashlib.sha256)


def caller_of_key(credential: str, *, address: str) -> Caller:
    """The caller behind `<id>.<secret>`. Raises Unauthenticated, always the same way, whatever is wrong."""
    key_id, _, secret = credential.partition(".")
    known = _keys.find(key_id) if 0 < len(key_id) <= 24 and key_id.isalnum() else None
    given = hashed_secret(secret[:200])
    hashes = known.hashes if known else ((_DUMMY_HASH, None),)
    at = clock.now()
    matched = False
    for stored, until in hashes:
        matched |= hmac.compare_digest(stored, given) and (until is None or at < until)
    if known is None or not matched or (known.expires_at is not None and at >= known.expires_at):
        raise Unauthenticated
    if known.networks and not inside_networks(address, known.networks):
        raise Unauthenticated
    return known.caller


def inside_networks(address: str, networks: tuple[str, ...] | list[str]) -> bool:
    """Is this address inside one of the networks (CIDR texts)? An unreadable address is not."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)


def credential_of(headers: "dict[str, str] | HttpRequest") -> str:
    """`apikey: <id>.<secret>` or `Authorization: Bearer <id>.<secret>`; "" when there is none."""
    if isinstance(headers, HttpRequest):
        key, bearer = headers.META.get("HTTP_APIKEY", ""), headers.META.get("HTTP_AUTHORIZATION", "")
    else:
        key, bearer = headers.get("apikey", ""), headers.get("authorization", "")
    if key:
        return str(key)
    scheme, _, token = str(bearer).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def remote_address(request: HttpRequest) -> str:
    """The caller's address: the peer's, or what a proxy of ours (TRUSTED_PROXY_NETWORKS) says it was."""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if settings.TRUSTED_PROXY_NETWORKS and inside_networks(peer, settings.TRUSTED_PROXY_NETWORKS):
        return str(request.META.get("HTTP_X_FORWARDED_FOR", peer)).rpartition(",")[2].strip()
    return peer


def caller_of_request(request: HttpRequest) -> Caller:
    """Key before session; a wrong key is refused even when a session is there. Kept on the request."""
    caller = cast("Caller | None", getattr(request, "_caller", None))
    if caller is None:
        credential = credential_of(request)
        caller = (
            caller_of_key(credential, address=remote_address(request)) if credential else _caller_of_session(request)
        )
        request._caller = caller  # type: ignore[attr-defined]  # one reading a request
    return caller


def _caller_of_session(request: HttpRequest) -> Caller:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ANONYMOUS
    return caller_of_user(user, chosen=request.session.get("organization", ""))


def caller_of_user(user: AbstractBaseUser, *, chosen: str = "") -> Caller:
    """A person's roles in the chosen organisation, or in the first one by code."""
    memberships = list(Membership.objects.filter(user_id=user.pk).order_by("organization", "role"))
    organizations = [membership.organization for membership in memberships]
    organization = chosen if chosen in organizations else (organizations[0] if organizations else "")
    roles = {str(membership.role) for membership in memberships if membership.organization == organization}
    if getattr(user, "is_superuser", False):
        roles |= {Role.PLATFORM_ADMIN.value}
    return Caller(
        "person", str(user.pk), organization, roles=frozenset(roles), user_id=user.pk, name=user.get_username()
    )


def is_network(text: str) -> bool:
    """Is this an address or a network in CIDR form?"""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def issue_key(
    *,
    name: str,
    organization: str,
    scopes: list[str],
    expires_at: datetime | None = None,
    networks: Sequence[str] = (),
) -> str:
    """Make a key; the returned `<id>.<secret>` is shown once and cannot be read again."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    ApiKey.objects.create(
        key_id=key_id, name=name, organization=organization, scopes=scopes, expires_at=expires_at,
        networks=list(networks), secret_hash=hashed_secret(secret),
    )  # fmt: skip
    return f"{key_id}.{secret}"


def rotate_key(key_id: str, *, overlap: timedelta) -> str:
    """A new secret for the key; the old one stays valid for `overlap`."""
    row = ApiKey.objects.get(key_id=key_id)
    secret = secrets.token_urlsafe(32)
    ApiKey.objects.filter(pk=row.pk).update(
        previous_hash=row.secret_hash, previous_until=clock.now() + overlap, secret_hash=hashed_secret(secret)
    )
    forget_keys()
    return f"{key_id}.{secret}"
