import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from callcontrol.simulation.web import Door, Request, Response, refusal

BODY_BYTES_MAX: Final = 65536


class PlatformServer(ThreadingHTTPServer):
    """All wire formats and the operator's desk on one port, each under its prefix."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.doors: Mapping[str, Door] = {}
        self.stopped = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent about callers that went away: the late answers are made for exactly that."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def answer(self, request: Request) -> Response:
        prefix, *rest = request.path or ("",)
        if (door := self.doors.get(prefix)) is None:
            return refusal(404, "not_found", detail=f"known prefixes: {', '.join(self.doors)}")
        return door.answer(Request(request.method, tuple(rest), request.query, request.headers, request.body))


class _Handler(BaseHTTPRequestHandler):
    server: PlatformServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Headers and body leave in two writes; without this the second one waits for the caller's delayed ACK.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Silent: what happened stands on /sim/calls."""

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit() and int(length[:9]) <= BODY_BYTES_MAX):
            self.close_connection = True
            self._write(refusal(413, "body_too_large"))
            return
        url = urlsplit(self.path)
        path = tuple(segment for segment in url.path.split("/") if segment)
        body = self.rfile.read(int(length))
        response = self.server.answer(Request(self.command, path, dict(parse_qsl(url.query)), self.headers, body))
        if response.after_seconds:
            self.server.stopped.wait(response.after_seconds)
        if response.cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._write(response)

    def _write(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)
