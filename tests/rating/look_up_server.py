"""Somebody's look-up service: a real HTTP server that says who serves a number, is late, fails, or talks nonsense."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class LookUpService:
    """`carriers` by national number. `mood`: well, late, failing, garbage, other, dripping or gone (404)."""

    port: int = 0
    mood: str = "well"
    carriers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/numbers/{{national}}?key={{key}}"

    def answer(self, number: str) -> tuple[int, bytes]:
        if self.mood == "failing":
            return 503, b"busy"
        if self.mood == "gone":
            return 404, b""
        if self.mood == "garbage":
            return 200, b"[" * 5000
        if self.mood == "other":
            return 200, b'{"error": "quota"}'
        return 200, json.dumps({"data": {"carrier": self.carriers.get(number)}}).encode()


@contextmanager
def look_up_service() -> Iterator[LookUpService]:
    service = LookUpService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = self.path.split("?")[0].rsplit("/", 1)[1]
            service.asked.append(number)
            service.headers.append(self.headers.get("X-Token", ""))
            status, body = service.answer(number)
            if service.mood == "late":
                time.sleep(1.2)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self._write(body)
            except OSError:
                pass  # who asked did not wait

        def _write(self, body: bytes) -> None:
            for byte in body:
                self.wfile.write(bytes([byte]))
                if service.mood == "dripping":
                    time.sleep(0.05)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
