"""Callback platforms: one module per wire format, all offering an `adapter.Adapter`."""

import json
from dataclasses import dataclass

from django.db.models import Q

from billing_platform.webhooks import opened_secret, sealed_secret
from callcontrol.models import PlatformAccount
from callcontrol.platforms import generic
from callcontrol.platforms.adapter import Account, Adapter

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (generic.ADAPTER,)}


@dataclass(frozen=True, slots=True)
class Platform:
    """An account with the adapter that speaks for it. `max_seconds` 0: no limit of its own."""

    account: Account
    adapter: Adapter
    max_seconds: int


def platforms_for(organization: str) -> list[Platform]:
    """The enabled platforms of an organisation, its own and the shared ones, in the order in which they are tried."""
    rows = PlatformAccount.objects.filter(
        Q(organization=organization) | Q(organization=""), enabled=True, adapter__in=ADAPTERS
    )
    return [_platform(row) for row in rows.order_by("priority", "id")]


def find_platform(code: str) -> Platform | None:
    """The platform with this code, enabled or not: calls that it has taken go on."""
    row = PlatformAccount.objects.filter(code=code, adapter__in=ADAPTERS).first()
    return _platform(row) if row is not None else None


def find_address(code: str) -> str:
    """Where our account with this platform leads; "" without one."""
    return PlatformAccount.objects.filter(code=code).values_list("base_url", flat=True).first() or ""


def sealed_credentials(credentials: dict[str, str]) -> bytes:
    """As stored: JSON, encrypted."""
    return sealed_secret(json.dumps(credentials, sort_keys=True))


def _platform(row: PlatformAccount) -> Platform:
    adapter = ADAPTERS[row.adapter]
    credentials = json.loads(opened_secret(bytes(row.credentials)))
    limits = [limit for limit in (row.max_seconds, adapter.max_seconds_bound) if limit]
    return Platform(Account(row.code, row.base_url, row.hook_base, credentials), adapter, min(limits, default=0))
