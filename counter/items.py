"""Service items, their price versions and the openings of accounts: what is sold, to whom, at what price."""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q

from counter.errors import ServiceUnknown
from counter.models import AccountService, ServiceItem, ServicePrice

ITEM_CACHE_SECONDS = 2.0
ITEMS_MAX = 10_000
Mode = ServiceItem.Mode


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """A price from an instant on: per use, or per `increment` seconds."""

    effective_from: datetime
    price: Decimal
    connect_fee: Decimal
    increment: int


@dataclass(frozen=True, slots=True)
class Item:
    """A service item with its price versions, oldest first."""

    id: int
    label: str
    name: str
    mode: str
    currency: str
    enabled: bool
    is_application: bool
    legs: str
    on_expire: str
    hold_seconds: int
    keep_seconds: int
    max_seconds: int
    min_seconds: int
    unit_seconds: int
    rounding: str
    decimals: int
    quota: Decimal | None
    limits: int
    prices: tuple[PriceVersion, ...]

    def price_at(self, at: datetime) -> PriceVersion | None:
        """The version in force at an instant; None before the first."""
        in_force = [version for version in self.prices if version.effective_from <= at]
        return in_force[-1] if in_force else None


@dataclass(frozen=True, slots=True)
class Opening:
    """What an account has open of an item in [opened_at, closed_at), with its own price, quota and limits or None."""

    opened_at: datetime
    closed_at: datetime | None
    price: Decimal | None
    quota: Decimal | None
    limits: int | None

    def holds_at(self, at: datetime) -> bool:
        return self.opened_at <= at and (self.closed_at is None or at < self.closed_at)


class _ItemCache:
    """The whole catalogue of a process - it is small - believed for 2 s."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.items: dict[str, Item] = {}
        self.read_at = float("-inf")
        self.database = ""

    def fresh(self) -> dict[str, Item]:
        database = str(connection.settings_dict["NAME"])
        if time.monotonic() - self.read_at > ITEM_CACHE_SECONDS or database != self.database:
            with self.lock:
                self.items, self.read_at, self.database = load_items(), time.monotonic(), database
        return self.items


_cache = _ItemCache()
_PRICE_COLUMNS = ("effective_from", "price", "connect_fee", "increment")
_COLUMNS = [name for name in Item.__dataclass_fields__ if name != "prices"]
# Written out: asked before every call.
_ITEM = f"SELECT {', '.join(_COLUMNS)} FROM counter_serviceitem WHERE label = %s"  # noqa: S608  constant columns
_PRICES = f"SELECT {', '.join(_PRICE_COLUMNS)} FROM counter_serviceprice WHERE item_id = %s ORDER BY effective_from"  # noqa: S608


def load_items() -> dict[str, Item]:
    """The catalogue as stored now, by label."""
    versions: dict[int, list[PriceVersion]] = {}
    for row in ServicePrice.objects.order_by("effective_from").values_list("item_id", *_PRICE_COLUMNS):
        versions.setdefault(row[0], []).append(PriceVersion(*row[1:]))
    rows = ServiceItem.objects.values_list(*_COLUMNS).order_by("pk")[:ITEMS_MAX]
    return {item.label: item for item in (_item(row, versions.get(row[0], [])) for row in rows)}


def _item(row: tuple[Any, ...], prices: list[PriceVersion]) -> Item:
    columns = dict(zip(_COLUMNS, row, strict=True))
    return Item(prices=tuple(prices), **columns)


def items_of(labels: set[str]) -> dict[str, Item]:
    """The items with these labels, at most 2 s old: for uses that have happened. A label that is new is looked up."""
    known = _cache.fresh()
    found = {label: known[label] for label in labels if label in known}
    for label in labels - found.keys():
        with suppress(ServiceUnknown):
            found[label] = read_item(label)
    return found


def read_item(label: str) -> Item:
    """The item as stored now. Raises ServiceUnknown."""
    with connection.cursor() as cursor:
        cursor.execute(_ITEM, [label])
        row = cursor.fetchone()
        if row is None:
            raise ServiceUnknown
        cursor.execute(_PRICES, [row[0]])
        return _item(row, [PriceVersion(*price) for price in cursor.fetchall()])


def find_openings(pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], list[Opening]]:
    """The openings of each (account, item), newest first."""
    wanted = sorted(set(pairs))
    openings: dict[tuple[int, int], list[Opening]] = {pair: [] for pair in wanted}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT account_id, item_id, opened_at, closed_at, price, quota, limits
            FROM counter_accountservice JOIN unnest(%s::bigint[], %s::bigint[]) AS t(account_id, item_id)
              USING (account_id, item_id)
            ORDER BY opened_at DESC
            """,
            [[pair[0] for pair in wanted], [pair[1] for pair in wanted]],
        )
        for account_id, item_id, *columns in cursor.fetchall():
            openings[account_id, item_id].append(Opening(*columns))
    return openings


def opening_at(openings: list[Opening], at: datetime) -> Opening | None:
    """The opening in force at an instant."""
    return next((opening for opening in openings if opening.holds_at(at)), None)


def accounts_with_open(account_ids: list[int], label: str, *, at: datetime) -> set[int]:
    """Those of the accounts that had the item open at an instant."""
    rows = AccountService.objects.filter(
        Q(closed_at__isnull=True) | Q(closed_at__gt=at),
        account_id__in=account_ids,
        item__label=label,
        opened_at__lte=at,
    )
    return set(rows.values_list("account_id", flat=True))
