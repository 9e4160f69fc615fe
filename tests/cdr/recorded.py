"""Call records with a recording, without the way that brought them here; and a platform that keeps recordings."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from callcontrol.models import Callback
from cdr.models import CallRecord, Provider
from cdr.numbering import new_ids

SOUND = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(200))
Answer = tuple[int, dict[str, str], bytes]


def make_record(call: Callback, url: str, *, provider: Provider) -> CallRecord:
    """The charged record of a call of ours, noted on the call."""
    (number,) = new_ids(1)
    record = CallRecord.objects.create(
        id=number, start_time=call.created_at, provider_id=provider.pk, provider_call_id=f"p-{number}", leg="call",
        call_id=call.reference, call_type="callback", caller=call.agent_number, called=call.customer_number,
        organization=call.organization, answer_time=call.answered_at, end_time=call.ended_at,
        billable_seconds=call.billable_seconds or 0, answer_basis="b_answer", hangup_cause="normal_clearing",
        recording_url=url, complete=True, delivery_id=0, received_at=call.created_at + timedelta(minutes=5),
        state="charged", charge_key=call.reference, billed=True,
    )  # fmt: skip
    Callback.objects.filter(pk=call.pk).update(record_id=str(number))
    return record


@contextmanager
def shelf(answer: Callable[[str], Answer]) -> Iterator[str]:
    """A web server of the platform's; `answer` gives status, headers and body for a path. Yields its address."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
