"""Somebody's look-up service: a real HTTP server that says who serves a number, or fails in one of many ways."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DRIPPED = 10_000  # bytes are promised, a few of them come


@dataclass
class LookUpService:
    """`carriers` by national number. `mood`: well, silent, failing, garbage, other, dripping (no end) or gone (404)."""

    port: int = 0
    mood: str = "well"
    carriers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

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
            if service.mood == "silent":
                service.ended.wait()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(DRIPPED if service.mood == "dripping" else len(body)))
                self.end_headers()
                self.wfile.write(body)
                while service.mood == "dripping" and not service.ended.wait(0.05):
                    self.wfile.write(b" ")
            except OSError:
                pass  # who asked did not wait

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.ended.set()
        server.shutdown()
        server.server_close()
