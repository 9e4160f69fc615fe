"""A seeded sender of call records, and the journal of what it sent and what it was told.

The journal is a file: one JSON line an event, handed to the kernel before the request leaves, so that nothing that was
sent is ever forgotten. An answer is accepted, refused, or unknown: no answer at all, or 503, "repeat the same content".
"""

import http.client
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.faults.clerk import Tenant
from tests.faults.supervisor import HOST

SENT, ANSWERED, REFUSED, UNKNOWN = "sent", "answered", "refused", "unknown"
STEP_SECONDS, STEP_COST, MICRO = 6, Decimal("0.0123457"), Decimal("0.000001")
ANSWER_SECONDS = 30.0
Record = dict[str, Any]


def cost_of(seconds: int) -> Decimal:
    """What the deck of the cases asks for a call, reckoned without the product. CNY."""
    return (-(-seconds // STEP_SECONDS) * STEP_COST).quantize(MICRO, rounding=ROUND_HALF_UP)


class Calls:
    """Records by number: the same seed and number make the same record."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self.ended = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)  # noqa: TID251  the sender's own clock

    def record(self, number: int, *, seconds: int | None = None) -> Record:
        """A callback that was answered; `seconds` of talk are diced unless given."""
        dice = random.Random(f"{self.seed}:{number}")
        talked = dice.randint(1, 900) if seconds is None else seconds
        end = self.ended - timedelta(seconds=dice.randint(0, 3600))
        answer = end - timedelta(seconds=talked)
        return {
            "provider": "switch", "provider_call_id": f"{self.seed}-{number}", "call_type": "callback",
            "caller": "13800000001", "called": f"139{dice.randrange(10**8):08d}",
            "start_time": (answer - timedelta(seconds=12)).isoformat(), "answer_time": answer.isoformat(),
            "end_time": end.isoformat(), "hangup_cause": "normal_clearing", "hangup_by": "customer",
        }  # fmt: skip


def key_of(record: Record) -> str:
    return str(record["provider_call_id"])


def talked_seconds(record: Record) -> int:
    answered, ended = (datetime.fromisoformat(record[name]) for name in ("answer_time", "end_time"))
    return (ended - answered) // timedelta(seconds=1)


def changed(record: Record) -> Record:
    """The same call reported otherwise: seven seconds longer."""
    end = datetime.fromisoformat(record["end_time"]) + timedelta(seconds=7)
    return record | {"end_time": end.isoformat()}


@dataclass
class Entry:
    """All that the journal knows about one content of one key. `answers` in their order."""

    organization: str
    record: Record
    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def is_unsettled(self) -> bool:
        return not self.answers and not self.refused


class Journal:
    """Written by any number of threads, a line at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, event: str, tenant: Tenant, record: Record, said: object = None) -> None:
        line = json.dumps({"event": event, "organization": tenant.organization, "record": record, "said": said})
        with self._lock:
            self._file.write(line + "\n")

    def entries(self) -> list[Entry]:
        """One for each content of each key, in the order of first sending."""
        found: dict[str, Entry] = {}
        with self._lock:
            lines = self.path.read_text().splitlines()
        for line in lines:
            noted = json.loads(line)
            name = f"{noted['organization']} {json.dumps(noted['record'], sort_keys=True)}"
            entry = found.setdefault(name, Entry(noted["organization"], noted["record"]))
            if noted["event"] == ANSWERED:
                entry.answers.append(noted["said"])
            elif noted["event"] == REFUSED:
                entry.refused.append(noted["said"])
        return list(found.values())


@dataclass(frozen=True)
class Reply:
    """What a request came to. `status` 0: the connection ended without an answer."""

    status: int
    body: dict[str, Any]

    @property
    def is_unknown(self) -> bool:
        return self.status == 0 or self.status == HTTPStatus.SERVICE_UNAVAILABLE


class Wire:
    """One kept connection to the site, opened again when it has ended."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)

    def post(self, path: str, body: object, *, key: str, **headers: str) -> Reply:
        try:
            self._connection.request(
                "POST", path, json.dumps(body), {"apikey": key, "Content-Type": "application/json", **headers}
            )
            response = self._connection.getresponse()
            return Reply(response.status, json.loads(response.read()))
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Reply(0, {})

    def close(self) -> None:
        self._connection.close()


class Sender:
    """Posts a tenant's records over one connection, each with its lines in the journal."""

    def __init__(self, port: int, tenant: Tenant, journal: Journal) -> None:
        self._wire, self._tenant, self._journal = Wire(port), tenant, journal

    def post(self, record: Record) -> Reply:
        self._journal.note(SENT, self._tenant, record)
        reply = self._wire.post("/api/v1/cdrs", record, key=self._tenant.key)
        note_reply(self._journal, self._tenant, record, reply.status, reply.body)
        return reply

    def post_batch(self, records: list[Record]) -> Reply:
        """Many in one body; each is answered by itself, or all are unknown together."""
        for record in records:
            self._journal.note(SENT, self._tenant, record)
        reply = self._wire.post("/api/v1/cdrs", records, key=self._tenant.key)
        told = reply.body.get("items", [reply.body] * len(records))
        for record, said in zip(records, told, strict=True):
            note_reply(self._journal, self._tenant, record, reply.status, said)
        return reply

    def close(self) -> None:
        self._wire.close()


def note_reply(journal: Journal, tenant: Tenant, record: Record, status: int, said: dict[str, Any]) -> str:
    """Which of the three answers it was. Fails on a 5xx that is no honest 503."""
    assert status < HTTPStatus.INTERNAL_SERVER_ERROR or (
        status == HTTPStatus.SERVICE_UNAVAILABLE and said.get("retryable") is True
    ), f"{status}: {said}"
    if status in (0, HTTPStatus.SERVICE_UNAVAILABLE):
        event, noted = UNKNOWN, said.get("code", "no answer")
    elif status == HTTPStatus.OK and said["result"] != "rejected":
        event, noted = ANSWERED, said
    else:
        event, noted = REFUSED, said.get("code", "")
    journal.note(event, tenant, record, noted)
    return event


@contextmanager
def load(port: int, tenant: Tenant, journal: Journal, calls: Calls, *, connections: int = 4) -> Iterator[None]:
    """Records are posted by that many connections while the block runs, each again until it is answered.

    Numbers start at 1,000. What is unknown when the block ends stays so in the journal.
    """
    stop, failures = threading.Event(), list[BaseException]()

    def post_on(first: int) -> None:
        sender = Sender(port, tenant, journal)
        number = first
        try:
            while not stop.is_set():
                if sender.post(calls.record(number)).is_unknown:
                    stop.wait(0.05)  # as a sender would: not at once
                else:
                    number += connections
        except BaseException as failure:  # noqa: BLE001  outermost loop of this thread: raised again by the block
            failures.append(failure)
        finally:
            sender.close()

    threads = [threading.Thread(target=post_on, args=(1000 + n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
