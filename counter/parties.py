"""Who uses what, as this process remembers it: accounts and openings, kept while the directory's generation stands.

The number is read for every batch, before anything it vouches for; triggers move it in the transaction that opens or
closes a service, moves an account to another organisation, suspends or closes it. Balances move without it: they are
never taken from here.
"""

from collections.abc import Collection

import msgspec
from django.db import connection

from counter.items import Opening, find_openings
from ledger.accounts import find_accounts

KEPT_MAX = 100_000  # accounts, and openings of accounts

AccountItem = tuple[int, int]


class Party(msgspec.Struct, frozen=True, gc=False):
    """An account that pays. Of `state` only suspended and closed are certain."""

    id: int
    accno: str
    organization: str
    state: str


class Directory:
    """What was read at one generation of one database; replaced as a whole, never cleaned."""

    def __init__(self, vouched_by: tuple[str, int]) -> None:
        self.vouched_by = vouched_by
        self._parties: dict[str, Party] = {}
        self._openings: dict[AccountItem, list[Opening]] = {}

    @property
    def is_full(self) -> bool:
        return max(len(self._parties), len(self._openings)) > KEPT_MAX

    def parties(self, accnos: Collection[str]) -> dict[str, Party]:
        """The accounts with these numbers, by number; unknown ones are absent, and asked for again next time."""
        unknown = [accno for accno in accnos if accno not in self._parties]
        for account in find_accounts(unknown).values() if unknown else ():
            self._parties[account.accno] = Party(account.id, account.accno, account.organization, account.state)
        return self._parties

    def openings(self, pairs: Collection[AccountItem]) -> dict[AccountItem, list[Opening]]:
        """The openings of each (account, item), newest first."""
        unknown = [pair for pair in pairs if pair not in self._openings]
        if unknown:
            self._openings |= find_openings(unknown)
        return self._openings


_directory = Directory(("", 0))


def present_directory() -> Directory:
    """What is known at the generation that stands in the database now."""
    global _directory  # several committers may replace it; each goes on with the one it was given
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM counter_directorygeneration WHERE id = 1")
        vouched_by = str(connection.settings_dict["NAME"]), cursor.fetchone()[0]
    if _directory.vouched_by != vouched_by or _directory.is_full:
        _directory = Directory(vouched_by)
    return _directory
