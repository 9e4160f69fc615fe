"""The test harness: one real PostgreSQL and one Valkey per run, a clone of a migrated template per xdist worker.

* `db` (or the mark `django_db`) wraps a test in a transaction that is rolled back.
* `fresh_database`, `transactional_db` or `django_db(transaction=True)` give the test a database of its own (0.1 s):
  real commits, threads, other processes. Nothing is flushed: the ledger's triggers refuse it, and seeded rows stay.
* `servers` gives the servers themselves, for tests that need Valkey without a database.

`DATABASE_URL` and `REDIS_URL` point the same tests at servers of the developer's own: databases made there are dropped,
Valkey databases from the named one on are emptied. `EXPLORE=1` shuffles the tests anew and lets the property tests
draw new examples; without it each run has the same of both, so that it says something about a change and nothing about
luck.
"""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import django
import psycopg2
import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections
from hypothesis import HealthCheck
from hypothesis import settings as property_settings
from psycopg2 import sql
from pytest_django import DjangoDbBlocker

from billing_platform.embedded import Servers
from billing_platform.supervision import SupervisorRunning, only_supervisor
from tests.queries import django_assert_max_num_queries, django_assert_num_queries  # noqa: F401  fixtures
from tests.together import (  # noqa: F401  hooks
    pytest_collection_modifyitems,
    pytest_runtest_teardown,
    pytest_xdist_make_scheduler,
)

# A run starts hundreds of processes: without the files each of them would compile everything again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# In the background of a shell Ctrl-C is ignored, and so it would be by everything that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says something about the machine, not about the property.
property_settings.register_profile("drawn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
property_settings.register_profile("steady", property_settings.get_profile("drawn"), derandomize=True)
EXPLORING = bool(os.environ.get("EXPLORE"))
property_settings.load_profile("drawn" if EXPLORING else "steady")

RUN_PREFIX = "billing-test-"
ABANDONED_AFTER_SECONDS = 3600
STEADY_ORDER = 20_261_122  # seed of the order in which tests run, unless one is asked for
IDS_APART = 100_000  # between two databases of one run, so that what a process caches by id stays true

if settings.configured:  # pytest-django read them before this file could say which servers to use
    raise pytest.UsageError("run the tests without DJANGO_SETTINGS_MODULE and --ds: tests/conftest.py sets it")


class TestRun:
    """Which servers and databases this run uses. The first process decides, its xdist workers read what it decided."""

    __test__ = False

    def __init__(self) -> None:
        self.worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        if self.worker:
            self.directory = Path(os.environ["BILLING_TEST_RUN"])
            given = os.environ["BILLING_TEST_DATABASE_URL"], os.environ["BILLING_TEST_REDIS_URL"]
        else:
            self.directory = Path(tempfile.mkdtemp(prefix=RUN_PREFIX))
            given = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
        self.servers = Servers(self.directory, durable=False, postgres_at=given[0] or None, valkey_at=given[1] or None)
        self.name = "test_" + self.directory.name.removeprefix(RUN_PREFIX).lower()
        self.template = f"{self.name}_template"
        self._numbers = count(1)
        self._started = False

    def announce(self) -> None:
        """Tell Django of this process, and the workers to come, where to go."""
        os.environ["BILLING_TEST_RUN"] = str(self.directory)
        os.environ["BILLING_TEST_DATABASE_URL"] = self.servers.database_url
        os.environ["BILLING_TEST_REDIS_URL"] = self.servers.redis_url
        os.environ["TEST_MODE"] = "1"
        os.environ["API_RATES"] = "1000000/1,1000000/1,1000000/1"  # one address asks for hundreds of people here
        os.environ["VAR_DIR"] = str(self.directory)
        os.environ["DATABASE_URL"] = self.url_of(self.template)
        os.environ["REDIS_URL"] = self.redis_url_of_worker()

    def start(self) -> None:
        """Start the servers and migrate the template; a worker finds both done."""
        if self._started or self.worker:
            return
        self._started = True
        self.servers.start()
        self._run_sql("CREATE DATABASE {}", self.template)
        with database_in_use(self, self.template):
            call_command("migrate", verbosity=0, interactive=False)

    def stop(self) -> None:
        if self.worker:
            return
        if self._started:
            for name in self._databases():
                self.drop(name)
            self.servers.stop()
            self._started = False
        shutil.rmtree(self.directory, ignore_errors=True)

    def clone(self) -> str:
        """The name of a new database with everything that the migrations made. About 0.1 s."""
        number = next(self._numbers)
        name = f"{self.name}_{self.worker or 'main'}_{number}"
        # Copying files takes a third of the time that copying page by page through the log takes: nothing is synced.
        self._run_sql("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, self.template)
        with closing(psycopg2.connect(self.url_of(name))) as clone, clone, clone.cursor() as cursor:
            cursor.execute(
                "SELECT setval(seqrelid, COALESCE(pg_sequence_last_value(seqrelid), 0) + %s) FROM pg_sequence",
                [number * IDS_APART],
            )
        return name

    def drop(self, name: str) -> None:
        self._run_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def url_of(self, name: str) -> str:
        parts = urlsplit(self.servers.database_url)
        return f"postgresql://{parts.netloc}/{name}?{parts.query}"

    def redis_url_of_worker(self) -> str:
        """A Valkey database per worker, counted from the one that the address names."""
        parts = urlsplit(self.servers.redis_url)
        on_socket = parts.scheme == "unix"
        first = parts.query.removeprefix("db=") if on_socket else parts.path.strip("/")
        number = int(first or 0) + (int(self.worker.removeprefix("gw")) + 1 if self.worker else 0)
        return f"unix://{parts.path}?db={number}" if on_socket else f"{parts.scheme}://{parts.netloc}/{number}"

    def _databases(self) -> list[str]:
        with closing(psycopg2.connect(self.servers.database_url)) as server, server.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"{self.name}_"])
            return [name for (name,) in cursor.fetchall()]

    def _run_sql(self, statement: str, *names: str) -> None:
        with closing(psycopg2.connect(self.servers.database_url)) as server:
            server.autocommit = True
            with server.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@dataclass(frozen=True, slots=True)
class FreshDatabase:
    """A database of one test. `url` is for other processes; DATABASE_URL in the environment says the same."""

    name: str
    url: str


@contextmanager
def database_in_use(run: TestRun, name: str) -> Iterator[FreshDatabase]:
    """Django's connections of this process, and processes that it starts, use the database while the block runs."""
    before = connection.settings_dict["NAME"], os.environ["DATABASE_URL"]
    fresh = FreshDatabase(name, run.url_of(name))
    connections.close_all()
    connection.settings_dict["NAME"], os.environ["DATABASE_URL"] = name, fresh.url
    try:
        yield fresh
    finally:
        connections.close_all()
        end_committers()
        connection.settings_dict["NAME"], os.environ["DATABASE_URL"] = before


def end_committers() -> None:
    """The threads that commit for others hold connections of their own; the next database gets new threads."""
    for gatherer in (intake._gatherer, charges):
        assert gatherer.stop(timeout=60)
        gatherer._running, gatherer._stopping = [], False


def sweep_abandoned_runs() -> None:
    """Remove what runs left that were killed with -9; the kernel has already stopped their servers."""
    for directory in Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*"):
        try:
            if time.time() - directory.stat().st_mtime > ABANDONED_AFTER_SECONDS:  # noqa: TID251 - the age of a file
                with only_supervisor(directory / "supervisor.lock"):
                    shutil.rmtree(directory, ignore_errors=True)
        except (SupervisorRunning, OSError):
            continue


RUN = TestRun()
atexit.register(RUN.stop)  # also when something imported below fails
RUN.announce()
# The other conftests may import models at their top, so Django stands before they are read.
os.environ["DJANGO_SETTINGS_MODULE"] = "billing_platform.settings"
django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"]  # or pytest-django of a worker would read the settings before this file
# The server ends who does nothing in a transaction for ten seconds; a test on a busy machine may have to wait as long.
connection.settings_dict["OPTIONS"].setdefault("options", "-c idle_in_transaction_session_timeout=600000")

from cdr import intake  # noqa: E402  needs Django
from counter.committer import charges  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not EXPLORING and config.getoption("randomly_seed", None) == "default":
        config.option.randomly_seed = STEADY_ORDER
    if RUN.worker:
        return
    sweep_abandoned_runs()
    signal.signal(signal.SIGTERM, _interrupt)
    if config.getoption("dist", "no") != "no" and not config.getoption("collectonly"):
        RUN.start()  # the workers share what outlives each of them


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def servers(django_db_blocker: DjangoDbBlocker) -> Servers:
    with django_db_blocker.unblock():
        RUN.start()
    return RUN.servers


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, servers: Servers) -> Iterator[None]:
    """In place of pytest-django's: the database of this worker, cloned."""
    name = RUN.clone()
    with database_in_use(RUN, name):
        yield
    RUN.drop(name)


@pytest.fixture
def fresh_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[FreshDatabase]:
    """A migrated database of this test's own: what it commits is committed, and other threads and processes see it."""
    cache.clear()
    name = RUN.clone()
    with django_db_blocker.unblock(), database_in_use(RUN, name) as fresh:
        yield fresh
    RUN.drop(name)


@pytest.fixture(scope="module")
def module_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[FreshDatabase]:
    """The same for all tests of a module, which then keep out of each other's way: for processes slow to start."""
    cache.clear()
    name = RUN.clone()
    with django_db_blocker.unblock(), database_in_use(RUN, name) as fresh:
        yield fresh
    RUN.drop(name)


@pytest.fixture(scope="session")
def lent_database(servers: Servers) -> Callable[[], AbstractContextManager[FreshDatabase]]:
    """A migrated database while a block runs, for other processes: this one goes on with its own."""

    @contextmanager
    def lent() -> Iterator[FreshDatabase]:
        name = RUN.clone()
        yield FreshDatabase(name, RUN.url_of(name))
        RUN.drop(name)

    return lent


@pytest.fixture(scope="session")
def shared_database(django_db_setup: None) -> Iterator[Callable[[], AbstractContextManager[FreshDatabase]]]:
    """A database for the tests of several modules, whose processes outlive each of them. Each test enters it."""
    name = RUN.clone()
    yield partial(database_in_use, RUN, name)
    RUN.drop(name)


@pytest.fixture
def _django_db_helper(request: pytest.FixtureRequest, django_db_setup: None) -> None:
    """In place of pytest-django's, which empties all tables after a test that commits."""
    mark = request.node.get_closest_marker("django_db")
    commits = {"fresh_database", "transactional_db", "live_server"} & set(request.fixturenames)
    if commits or (mark is not None and mark.kwargs.get("transaction")):
        request.getfixturevalue("fresh_database")
    else:
        cache.clear()
        request.getfixturevalue("_django_db_helper")
