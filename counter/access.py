"""Who may ask the counter what: keys, trusted peers, and the organisations whose accounts they see."""

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from django.conf import settings

from billing_platform.auth import Caller, caller_of_key, credential_of, inside_networks
from billing_platform.errors import Unauthenticated
from billing_platform.models import Scope
from counter.directory import descendants
from counter.errors import NotAllowed, NotAuthenticated

TREE_CACHE_SECONDS = 30.0
PEERS_KEPT = 1024
LOOPBACK = ("127.0.0.0/8", "::1/128")
EVERYTHING = frozenset({Scope.COUNTER_READ.value, Scope.COUNTER_USE.value, Scope.COUNTER_ADMIN.value})


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may do and see; `organizations` None = all, `organization` is the one of its key."""

    actor: str
    scopes: frozenset[str]
    organization: str = ""
    organizations: frozenset[str] | None = None

    def sees(self, organization: str) -> bool:
        """Is an account of this organisation there at all, for this caller?"""
        return self.organizations is None or organization in self.organizations

    def require(self, scope: str) -> None:
        """Raises NotAllowed."""
        if scope not in self.scopes:
            raise NotAllowed(f"needs {scope}")


def access_of_peer(peer: str, metadata: dict[str, str]) -> Access:
    """A key in the metadata, else a loopback, unix-socket or trusted peer without one. Raises NotAuthenticated."""
    credential = credential_of(metadata)
    address = _address(peer)
    if credential:
        return access_of_key(credential, address=address)
    if (peer.startswith("unix:") or _is_loopback(address)) and settings.COUNTER_LOOPBACK_AUTH == "optional":
        return Access("peer:loopback", EVERYTHING)
    if inside_networks(address, settings.COUNTER_TRUSTED_NETWORKS):
        return Access("peer:trusted", EVERYTHING)
    raise NotAuthenticated


def access_of_key(credential: str, *, address: str) -> Access:
    """What a key may do: its scopes, in its organisation and those below it. Raises NotAuthenticated."""
    try:
        return access_of_caller(caller_of_key(credential, address=address))
    except Unauthenticated as refused:
        raise NotAuthenticated from refused


def access_of_caller(caller: Caller) -> Access:
    """A key without an organisation belongs to the platform itself and sees all."""
    organizations = _tree(caller.organization) if caller.organization else None
    return Access(caller.actor, caller.scopes, caller.organization, organizations)


_trees: dict[str, tuple[frozenset[str], float]] = {}
_trees_lock = threading.Lock()


def _tree(organization: str) -> frozenset[str]:
    codes, believed_until = _trees.get(organization, (frozenset[str](), 0.0))
    if time.monotonic() >= believed_until:
        codes = descendants(organization) | {organization}
        with _trees_lock:
            _trees[organization] = codes, time.monotonic() + TREE_CACHE_SECONDS
    return codes


@lru_cache(maxsize=PEERS_KEPT)
def _is_loopback(address: str) -> bool:
    return inside_networks(address, LOOPBACK)


@lru_cache(maxsize=PEERS_KEPT)
def _address(peer: str) -> str:
    """The address in gRPC's name of a peer: `ipv4:127.0.0.1:5`, `ipv6:%5B::1%5D:5`."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""
