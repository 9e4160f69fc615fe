"""A proxy before PostgreSQL, the counter or Valkey: down, slow, cut, deaf on one side, or losing one answer.

It runs in a thread of its own; every switch may be turned while connections are open.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

from billing_platform.supervision import unused_port
from tests.faults.supervisor import HOST

CHUNK = 1 << 16
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # PostgreSQL's simple query, as psycopg2 sends it
Address = Path | int  # a unix socket, or a port of this machine


class Proxy:
    """Passes bytes to and from `upstream` until it is told otherwise; listens on `port`, or on a unix socket."""

    def __init__(self, upstream: Address, *, listen: Path | None = None) -> None:
        self.upstream = upstream
        self.port = unused_port()
        self._listen_at = listen
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._is_down = False
        self._delay_seconds = 0.0
        self._swallows_answers = False
        self._lost_commit: int | None = None
        self.commits_lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def down(self) -> None:
        """Nobody is served: connections are cut, new ones end at once."""
        self._is_down = True
        self.cut()

    def up(self) -> None:
        """Everything passes again, at once."""
        self._is_down, self._swallows_answers, self._delay_seconds, self._lost_commit = False, False, 0.0, None

    def delay(self, seconds: float) -> None:
        """Each piece of an answer arrives that much later."""
        self._delay_seconds = seconds

    def swallow_answers(self) -> None:
        """Requests arrive, answers do not."""
        self._swallows_answers = True

    def lose_commit(self, *, after: int) -> None:
        """After so many others one COMMIT reaches the server, is carried out, and the connection is cut unanswered."""
        self._lost_commit, self.commits_lost = after, 0

    def cut(self) -> None:
        """End every connection in this moment."""
        self._run(self._cut())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._listen_at is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
        else:
            self._server = await asyncio.start_unix_server(self._serve, self._listen_at)

    async def _close(self) -> None:
        self._server.close()

    async def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_down:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await _connect(self.upstream)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, server_writer}
        self._open |= both
        lost = asyncio.Event()
        await asyncio.gather(
            self._pass_requests(reader, server_writer, lost), self._pass_answers(server_reader, writer, lost)
        )
        self._open -= both

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK):
                if COMMIT in piece and self._is_the_one():
                    lost.set()
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _pass_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK):
                if lost.is_set():  # the server has answered the COMMIT: it is done
                    self.commits_lost += 1
                    writer.transport.abort()
                    return
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                if not self._swallows_answers:
                    writer.write(piece)
                    await writer.drain()
        writer.close()

    def _is_the_one(self) -> bool:
        if self._lost_commit is None:
            return False
        self._lost_commit -= 1
        if self._lost_commit >= 0:
            return False
        self._lost_commit = None
        return True


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, int):
        return await asyncio.open_connection(HOST, address)
    return await asyncio.open_unix_connection(address)
