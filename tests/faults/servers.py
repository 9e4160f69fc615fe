"""Durable PostgreSQL and Valkey of the fault cases' own, a migrated and seeded template, and clones of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from billing_platform.embedded import Servers, socket_dir
from tests.faults.clerk import Clerk

TEMPLATE = "template_faults"
PREFIX = "billing-fault-"


class FaultServers:
    """fsync and checksums on, as in production. A case that kills a server starts it again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._servers = Servers(directory, durable=True)
        self.postgres, self.valkey = self._servers.postgres, self._servers.valkey
        self.redis_url = self._servers.redis_url
        self.postgres_socket = socket_dir(directory) / ".s.PGSQL.5432"
        self._numbers = count(1)

    def start(self) -> None:
        self._servers.start()
        self._on_server("CREATE DATABASE {}", TEMPLATE)
        clerk = Clerk(self.environment(TEMPLATE, var_dir=self.directory))
        clerk.prepare()
        clerk.dismiss()

    def stop(self) -> None:
        self._servers.stop()

    def revive(self) -> None:
        self._servers.revive()

    def clone(self) -> str:
        """The name of a new database with all that the template has; for cases that crash no server."""
        name = f"faults_{next(self._numbers)}"
        self._on_server("CREATE DATABASE {} TEMPLATE {}", name, TEMPLATE)
        return name

    def crash_proof_clone(self) -> str:
        """The same for cases that may."""
        name = self.clone()
        # A copied sequence believes that its next 32 numbers are in the log already: a crash would give them out again.
        self._on_server("CHECKPOINT")
        return name

    def drop(self, name: str) -> None:
        self._on_server("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def url_of(self, name: str, *, behind: Path | None = None) -> str:
        """`behind` is the socket directory of a proxy."""
        host = behind or self.postgres_socket.parent
        return f"postgresql:///{name}?host={quote(str(host), safe='')}&port=5432&user=postgres"

    def environment(self, name: str, *, var_dir: Path, behind: Path | None = None) -> dict[str, str]:
        """What a process on this database is given; ours alone, whatever the developer's shell says."""
        return os.environ | {
            "DATABASE_URL": self.url_of(name, behind=behind), "REDIS_URL": self.redis_url, "VAR_DIR": str(var_dir),
            "TEST_MODE": "1", "LOG_LEVEL": "WARNING", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    def _on_server(self, statement: str, *names: str) -> None:
        with closing(psycopg2.connect(self.url_of("postgres"))) as server:
            server.autocommit = True
            with server.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def short_directory() -> Iterator[Path]:
    """A new directory of mode 0700 whose path leaves room for a socket's name."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def fault_servers() -> Iterator[FaultServers]:
    """Started, and gone afterwards with all that they hold."""
    with short_directory() as directory:
        servers = FaultServers(directory)
        try:
            servers.start()
            yield servers
        finally:
            servers.stop()


class Books:
    """A database as it is, read beside the product: every query is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self._url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall())

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the only row."""
        ((found, *_),) = self.rows(query, *values)
        return found

    def change(self, statements: str, *values: Any) -> None:
        """What the product would never do: for canaries and for leases that are to end now."""
        with closing(psycopg2.connect(self._url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statements, values or None)

    def fingerprint(self) -> dict[str, tuple[int, str]]:
        """Rows and digest of everything that money touches: equal before and after means that nothing moved."""
        return {
            table: self.rows(f"SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t")[0]  # noqa: S608, E501  names of the list below
            for table in MONEY_TABLES
        }  # fmt: skip


MONEY_TABLES = (
    "ledger_billingaccount", "ledger_transfer", "ledger_transferkey", "ledger_hold", "counter_servicerecord",
    "call_records", "billing_platform_outboxevent",
)  # fmt: skip
