"""The simulated platform as a real process, and a hook receiver of our own that hears what it pushes."""

import hashlib
import hmac
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET, TOKEN = "key-1", "a shared secret", "token-1"
ACK = (200, b'{"result":"accepted","cdr_id":"1"}')
DEADLINE_SECONDS = 60
PRESENT_SECONDS = 60  # what a slow machine may take; a wrong zone or unit is off by an hour and more
SPEED = 400
references = (f"cb-{number}" for number in count(1))


@dataclass(frozen=True)
class Heard:
    kind: str
    path: str
    headers: dict[str, str]
    raw: bytes
    content: dict[str, Any]

    @property
    def is_genuine(self) -> bool:
        at, proof = (part.split("=")[1] for part in self.headers["X-Signature"].split(","))
        wanted = hmac.new(SECRET.encode(), at.encode() + b"." + self.raw, hashlib.sha256).hexdigest()
        is_recent = abs(time.time() - int(at)) < PRESENT_SECONDS  # noqa: TID251
        return proof == wanted and self.headers["X-Key"] == KEY and is_recent


class Hooks(ThreadingHTTPServer):
    """Hears the pushes of all calls; answers each with an acknowledgement unless a test has lined up something else."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HookHandler)
        self.changed = threading.Condition()
        self.everything: list[Heard] = []
        self.answers: dict[tuple[str, str], list[tuple[int, bytes]]] = {}

    def accept(self, heard: Heard) -> tuple[int, bytes]:
        with self.changed:
            self.everything.append(heard)
            self.changed.notify_all()
            lined_up = self.answers.get((_reference(heard), heard.kind), [])
            return lined_up.pop(0) if lined_up else ACK

    def of(self, reference: str, kind: str) -> list[Heard]:
        return [heard for heard in list(self.everything) if _reference(heard) == reference and heard.kind == kind]

    def wait(self, reference: str, kind: str, number: int = 1) -> list[Heard]:
        with self.changed:
            arrived = self.changed.wait_for(lambda: len(self.of(reference, kind)) >= number, DEADLINE_SECONDS)
        assert arrived, f"{reference}: {len(self.of(reference, kind))} of {number} {kind} pushes"
        return self.of(reference, kind)

    def wait_state(self, reference: str, state: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: state in self.states(reference), DEADLINE_SECONDS), state

    def states(self, reference: str) -> list[str]:
        return [heard.content["state"] for heard in self.of(reference, "status")]

    def kinds(self, reference: str) -> list[str]:
        return [heard.kind for heard in list(self.everything) if _reference(heard) == reference]


def _reference(heard: Heard) -> str:
    return str(heard.content.get("reference") or heard.content.get("call_id"))


class _HookHandler(BaseHTTPRequestHandler):
    server: Hooks

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.rsplit("/", 1)[1]
        status, answer = self.server.accept(Heard(kind, self.path, dict(self.headers), raw, json.loads(raw)))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Simulator:
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response.status, json.loads(content) if response.headers[
            "Content-Type"
        ] == "application/json" else content

    def generic(self, method: str, path: str, content: dict[str, object] | None = None) -> Any:
        body = b"" if content is None else json.dumps(content).encode()
        return self.ask(method, f"/generic{path}", body, proof(body))

    def place(self, customer_number: str, **more: object) -> tuple[str, Any]:
        reference = str(more.setdefault("reference", next(references)))
        order = {
            "agent_number": "13800000001",
            "customer_number": customer_number,
            "display_to_customer": "02500000001",
        }
        return reference, self.generic("POST", "/calls", order | more)[1]

    def truth(self, reference: str) -> Any:
        calls = self.ask("GET", "/sim/calls?limit=10000")[1]["calls"]
        return next((call for call in calls if call["reference"] == reference), None)

    def wait_truth(self, reference: str, condition: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition(call := self.truth(reference)):
            assert time.monotonic() < deadline, call
        return call


def proof(body: bytes, *, secret: str = SECRET, age_seconds: int = 0) -> dict[str, str]:
    at = str(int(time.time()) - age_seconds)  # noqa: TID251
    digest = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Key": KEY, "X-Signature": f"t={at},v1={digest}"}


@contextmanager
def running(
    hooks: Hooks, *options: str, program: tuple[str, ...] = ("-m", "callcontrol.simulation")
) -> Iterator[Simulator]:
    command = [sys.executable, *program, "platform", "--port", "0", "--key", KEY, "--secret", SECRET]
    command += ["--hook-token", TOKEN, "--hook-base", f"http://127.0.0.1:{hooks.server_port}", *options]
    nowhere = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    process = subprocess.Popen(command, cwd=ROOT, env=nowhere, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started["pid"] == process.pid
        yield Simulator(process, started["port"])
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_SECONDS)
