"""Books that are closed: who keeps them is in the registry; whoever corrects the past asks here first."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from billing_platform.registry import CLOSED_PERIODS, resolve


class Closed(NamedTuple):
    """An account's period [begins, ends) whose documents were issued."""

    account_id: int
    begins: datetime
    ends: datetime


def closed_periods(account_ids: Collection[int], *, begins: datetime, ends: datetime) -> dict[int, list[Closed]]:
    """The closed periods of these accounts that touch [begins, ends), by account."""
    found: dict[int, list[Closed]] = {}
    for ask in resolve(CLOSED_PERIODS):
        for one in ask(account_ids, begins=begins, ends=ends):
            found.setdefault(one.account_id, []).append(one)
    return found
