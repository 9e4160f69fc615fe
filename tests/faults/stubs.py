"""The callback platform of fault cases: accepts every call and remembers it. Nobody is called."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.faults.supervisor import HOST


class CallbackPlatform(ThreadingHTTPServer):
    """Speaks the platform wire format `generic`. `placed` holds our references in the order of arrival."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Order)
        self.placed: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), name="platform", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Order(BaseHTTPRequestHandler):
    server: CallbackPlatform

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.placed.append(order["reference"])
        self._answer({"accepted": True, "provider_call_id": f"p-{order['reference']}"})

    def do_GET(self) -> None:
        self._answer({"calls": []})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Standard error belongs to the test run."""
