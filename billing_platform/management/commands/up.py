import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils.translation import gettext as _

from billing_platform import demo, embedded
from billing_platform.embedded import Servers
from billing_platform.supervision import (
    ChildSpec,
    Crew,
    StartFailed,
    SupervisionError,
    last_words,
    unused_port,
    wait_until,
)

HOST = "127.0.0.1"
READY_WITHIN_SECONDS = 90.0
FALLS_BEFORE_GIVING_UP = 3  # at the start; later a child is started again for ever
PORT_PATIENCE_SECONDS = 5.0
SECRETS = {  # file in var/secrets: the setting that it stands for
    "secret_key": "DJANGO_SECRET_KEY",
    "key_pepper": "KEY_PEPPER",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the doors listen on this machine. The counter's is None when COUNTER_ADDRESS names the user's own."""

    web: int
    counter: int | None
    simulator: int | None


class Command(BaseCommand):
    """Runs the whole platform on one machine until Ctrl-C: the same processes as in production, supervised."""

    help = (
        "Start everything: PostgreSQL and Valkey (unless addresses are given), web, counter, worker, beat, simulator."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the site; 0 is a free one (default: 8000)")
        parser.add_argument("--counter-port", type=int, default=50051, help="of gRPC (default: 50051)")
        parser.add_argument("--simulator-port", type=int, default=8090, help="of the simulator (default: 8090)")
        parser.add_argument("--ports-from-kernel", action="store_true", help="free ports for all three")
        parser.add_argument("--no-simulators", action="store_true", help="nothing plays the outside world")
        parser.add_argument("--workers", type=int, default=2, help="web processes (default: 2)")
        parser.add_argument("--print-json", action="store_true", help="one JSON line when ready, in place of text")

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt_once)
        try:
            self._run(options)
        except KeyboardInterrupt:
            self.stderr.write("stopped")
        except SupervisionError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        except PermissionError as error:
            raise CommandError(f"{error.filename} is not ours to write: set VAR_DIR to a place that is") from error

    def _run(self, options: dict[str, Any]) -> None:
        """Everything is undone in the opposite order, whichever step fails or is interrupted."""
        with _servers() as servers:
            self.stderr.write(f"servers run; state and logs are in {settings.VAR_DIR}")
            ports = _ports(options)
            environment = _environment(servers, ports)
            self._migrate()
            seeded = self._seed(environment)
            with Crew(self._crew(ports, environment=environment, web_workers=options["workers"])) as crew:
                _wait_until_ready(crew, ports.web)
                ready = _ready(servers, ports=ports, crew=crew, seeded=seeded)
                self.stdout.write(json.dumps(ready) if options["print_json"] else _text_of(ready))
                self.stdout.flush()
                while True:
                    crew.revive()
                    servers.revive()
                    time.sleep(0.2)

    def _migrate(self) -> None:
        call_command("migrate", interactive=False, verbosity=0, stdout=self.stderr)
        connections.close_all()

    def _seed(self, environment: Mapping[str, str]) -> object:
        """The ids that `seed_demo` made or found. It needs secrets that only the children are given."""
        if not self._has("seed_demo"):
            return None
        command = [*_own_command("seed_demo"), "--format", "json"]
        made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own
        if made.returncode != 0:
            raise StartFailed(f"seed_demo ended with exit code {made.returncode}")
        return json.loads(made.stdout)["items"]

    def _crew(self, ports: Ports, *, environment: Mapping[str, str], web_workers: int) -> list[ChildSpec]:
        """In the order of starting; they stop in the opposite one, so that doors close before what they need."""
        commands = {}
        if ports.counter is not None and self._has("runcounter"):
            commands["counter"] = _own_command("runcounter", "--bind", f"{HOST}:{ports.counter}")
        commands["worker"] = _module("celery", *_CELERY, "worker", *_WORKER_OPTIONS)
        commands["beat"] = _module("celery", *_CELERY, "beat", "--schedule", str(settings.VAR_DIR / "beat"))
        commands["web"] = _module("granian", *_web_options(ports.web, web_workers), "billing_platform.wsgi:application")
        if ports.simulator is not None and self._has("simulate"):
            commands["simulator"] = _own_command("simulate", "platform", *_simulator_options(ports))
        return [
            ChildSpec(
                name=name,
                command=command,
                log_path=settings.VAR_DIR / "log" / f"{name}.log",
                cwd=settings.BASE_DIR,
                environment=environment,
            )
            for name, command in commands.items()
        ]

    def _has(self, command: str) -> bool:
        if command not in get_commands():
            self.stderr.write(f"{command}: no such command here, left out")
            return False
        return True


_CELERY = ("-A", "billing_platform")
_WORKER_OPTIONS = (
    "--concurrency", "2", "--queues", "money,outside,reports", "--loglevel", "INFO",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip


def _interrupt_once(_signal: int, _frame: FrameType | None) -> None:
    """Once is enough: a second Ctrl-C shall not cut the orderly stop short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _servers() -> Servers:
    """Our own, except where the settings point somewhere else."""
    var_dir: Path = settings.VAR_DIR
    postgres_at = settings.DATABASE_URL if embedded.database_url(var_dir) != settings.DATABASE_URL else None
    valkey_at = settings.REDIS_URL if embedded.redis_url(var_dir) != settings.REDIS_URL else None
    return Servers(var_dir, postgres_at=postgres_at, valkey_at=valkey_at)


def _ports(options: dict[str, Any]) -> Ports:
    def wanted(name: str) -> int:
        if options["ports_from_kernel"] or not options[name]:
            return unused_port()
        check_free(options[name], option=name.replace("_", "-"))
        return int(options[name])

    return Ports(
        web=wanted("port"),
        counter=None if os.environ.get("COUNTER_ADDRESS") else wanted("counter_port"),
        simulator=None if options["no_simulators"] else wanted("simulator_port"),
    )


def check_free(port: int, *, option: str) -> None:
    """Waits a moment for a run that is just ending. Raises StartFailed when somebody listens on the port."""

    def is_free() -> bool:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                return False
            return True

    if not wait_until(is_free, seconds=PORT_PATIENCE_SECONDS):
        raise StartFailed(f"port {port} is in use: stop what listens there or choose another with --{option}")


def _environment(servers: Servers, ports: Ports) -> dict[str, str]:
    """What every child sees: ours, and where the parts of this run are."""
    environment = dict(os.environ)
    environment |= {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "VAR_DIR": str(settings.VAR_DIR),
        "PUBLIC_URL": os.environ.get("PUBLIC_URL", f"http://{HOST}:{ports.web}"),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),  # many threads must not mean many heaps
    }
    if "PROMETHEUS_MULTIPROC_DIR" not in environment:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(_empty_directory(settings.VAR_DIR / "metrics"))
    if ports.counter is not None:
        environment["COUNTER_ADDRESS"] = f"{HOST}:{ports.counter}"
    if ports.simulator is not None:
        environment["SIMULATOR_URL"] = f"http://{HOST}:{ports.simulator}"
    for file_name, setting in SECRETS.items():
        if setting not in environment and f"{setting}_FILE" not in environment:
            environment[f"{setting}_FILE"] = str(_secret_file(settings.VAR_DIR / "secrets" / file_name))
    return environment


def _empty_directory(path: Path) -> Path:
    """For the figures of this run alone: those of processes that are gone would be added up with ours."""
    path.mkdir(mode=0o700, exist_ok=True)
    for file in path.iterdir():
        file.unlink()
    return path


def _secret_file(path: Path) -> Path:
    """A secret of this var directory, made once, for our eyes only."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(48))
        unfinished.rename(path)
    return path


def _own_command(*words: str) -> tuple[str, ...]:
    return (sys.executable, str(settings.BASE_DIR / "manage.py"), *words)


def _module(name: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *words)


def _web_options(port: int, workers: int) -> tuple[str, ...]:
    return (
        "--interface", "wsgi", "--host", HOST, "--port", str(port), "--no-ws",
        "--workers", str(workers), "--blocking-threads", "32",
        "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "5",
    )  # fmt: skip


def _simulator_options(ports: Ports) -> tuple[str, ...]:
    return (
        "--host", HOST, "--port", str(ports.simulator), "--hook-base", f"http://{HOST}:{ports.web}",
        "--key", demo.SIMULATOR_KEY_ID, "--secret", demo.SIMULATOR_SECRET, "--hook-token", demo.SIMULATOR_HOOK_TOKEN,
        "--speed", os.environ.get("SIMULATOR_SPEED", "1"),
    )  # fmt: skip


def _wait_until_ready(crew: Crew, port: int) -> None:
    """Until `/readyz` answers 200. Raises StartFailed with what it, or a child that keeps ending, said last."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    status, answer = 0, "no answer"
    while status != http.HTTPStatus.OK:
        crew.revive()
        fallen, falls = crew.most_fallen()
        if falls >= FALLS_BEFORE_GIVING_UP:
            raise StartFailed(
                f"{fallen.name} keeps ending; {fallen.log_path} ends with:\n{last_words(fallen.log_path)}"
            )
        if time.monotonic() > deadline:
            raise StartFailed(f"not ready after {READY_WITHIN_SECONDS:.0f} s; /readyz says {status}: {answer}")
        time.sleep(0.1)
        status, answer = _readiness(port)


def _readiness(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    finally:
        connection.close()


def _ready(servers: Servers, *, ports: Ports, crew: Crew, seeded: object) -> dict[str, Any]:
    return {
        "url": f"http://{HOST}:{ports.web}",
        "counter_address": os.environ["COUNTER_ADDRESS"] if ports.counter is None else f"{HOST}:{ports.counter}",
        "simulator_url": None if ports.simulator is None else f"http://{HOST}:{ports.simulator}",
        "database_url": servers.database_url,
        "redis_url": servers.redis_url,
        "pids": crew.pids() | servers.pids(),
        "logins": dict.fromkeys(demo.PEOPLE, demo.PASSWORD) if seeded else {},
        "api_key": demo.API_KEY if seeded else None,
        "seeded": seeded,
    }


def _text_of(ready: dict[str, Any]) -> str:
    lines = [_("Ready: %(url)s/ (Ctrl-C stops everything)") % {"url": ready["url"]}]
    if ready["logins"]:
        lines.append(_("Demo users, password %(password)s:") % {"password": demo.PASSWORD})
        lines += [f"  {name:<12}{role.label}" for name, role in demo.PEOPLE.items()]
        lines.append(_("API key: %(key)s") % {"key": ready["api_key"]})
    return "\n".join(lines)
