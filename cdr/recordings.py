"""Recordings of calls: the platform keeps them, we fetch one when somebody who may hear it asks, and keep nothing.

The listener's browser never learns where the platform keeps it. What comes back is judged by its first bytes: only
sound is passed on, under a type of our own.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO
from urllib.parse import urlsplit

from django.conf import settings

from billing_platform import limits, outside
from billing_platform.auth import Caller
from billing_platform.errors import RateLimited
from billing_platform.limits import Rate
from billing_platform.models import Role
from billing_platform.outside import AddressRefused, OutsideFailed
from billing_platform.trail import record_act
from callcontrol import history
from callcontrol.platforms import find_address
from callcontrol.wishes import Placer
from cdr.errors import RecordingGone, RecordingNotFound, RecordingTooLarge, RecordingUnreachable, RecordNotFound
from cdr.models import CallRecord, Provider
from cdr.providers import find_provider
from cdr.reading import read_record

BYTES_MAX = 64 * 1024 * 1024  # an hour of telephone sound without compression
IN_MEMORY_MAX = 1024 * 1024
SECONDS = 30.0
AT_ONCE = 4  # fetched at a time by a process: a slow platform must not take every web thread
ASKED_MAX = 200  # ids in one question
PER_LISTENER = Rate(60, 60)
ANYWHERE = ("0.0.0.0/0", "::/0")
HEARS_ALL = frozenset({Role.SUPERVISOR.value, Role.AUDITOR.value})
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED})
_HEADS: tuple[tuple[int, bytes, str, str], ...] = (  # where, which bytes, type, ending
    (8, b"WAVE", "audio/wav", "wav"),
    (0, b"ID3", "audio/mpeg", "mp3"),
    (0, b"\xff\xfb", "audio/mpeg", "mp3"),
    (0, b"\xff\xf3", "audio/mpeg", "mp3"),
    (0, b"\xff\xf2", "audio/mpeg", "mp3"),
    (0, b"OggS", "audio/ogg", "ogg"),
    (4, b"ftyp", "audio/mp4", "m4a"),
    (0, b"fLaC", "audio/flac", "flac"),
    (0, b"#!AMR", "audio/amr", "amr"),
)
_fetching = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Recording:
    """A fetched recording; the file stands at its beginning, `size` in bytes."""

    file: IO[bytes]
    size: int
    content_type: str
    name: str


def list_recordings(ids: Sequence[int], *, caller: Caller, placer: Placer) -> list[CallRecord]:
    """Those of these records that have a recording which this caller may hear; at most 200 are looked at."""
    rows = CallRecord.objects.filter(id__in=ids[:ASKED_MAX], organization=caller.organization)
    found = list(rows.exclude(recording_url="").exclude(call_id="").order_by("id"))
    if _hears_all(caller):
        return found
    own = history.find_visible([row.call_id for row in found], placer)
    return [row for row in found if row.call_id in own]


def fetch_recording(record_id: int, *, caller: Caller, placer: Placer) -> Recording:
    """The recording of one call, with an audit row of who listened.

    Raises RecordNotFound, RecordingNotFound, RecordingGone, RecordingTooLarge, RecordingUnreachable, RateLimited.
    """
    record = read_record(record_id, caller=caller)
    if not _hears_all(caller) and not (record.call_id and history.find_visible([record.call_id], placer)):
        raise RecordNotFound
    if not record.recording_url:
        raise RecordingNotFound
    limits.take(f"recording:{caller.actor}", PER_LISTENER)
    with _place():
        fetched = _fetch(record)
    record_act(caller, "recording.listen", target=("cdr", record.id))
    return fetched


def _hears_all(caller: Caller) -> bool:
    return caller.kind == "key" or bool(HEARS_ALL & caller.roles)


@contextmanager
def _place() -> Iterator[None]:
    if not _fetching.acquire(blocking=False):
        raise RateLimited(retry_after=2)
    try:
        yield
    finally:
        _fetching.release()


def _fetch(record: CallRecord) -> Recording:
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_MAX)  # noqa: SIM115  the response closes it
    try:
        return _recording(_saved(record, file), file, record)
    except BaseException:
        file.close()
        raise


def _saved(record: CallRecord, file: IO[bytes]) -> int:
    """The status under which the platform sent what now stands in the file."""
    try:
        target = outside.judged_target(record.recording_url, exceptions=_exceptions(record))
        headers = {"Accept": "audio/*", "User-Agent": "billing-platform"}
        return outside.save(target, file, headers=headers, seconds=SECONDS, body_max=BYTES_MAX).status
    except AddressRefused as refused:
        raise RecordingUnreachable from refused
    except OutsideFailed as failed:
        if failed.fields.get("reason") == "too_large":
            raise RecordingTooLarge(limit=BYTES_MAX) from failed
        raise RecordingUnreachable from failed


def _recording(status: int, file: IO[bytes], record: CallRecord) -> Recording:
    if status in GONE:
        raise RecordingGone
    size = file.tell()
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    known = next(((kind, end) for at, mark, kind, end in _HEADS if head[at : at + len(mark)] == mark), None)
    if status != HTTPStatus.OK or known is None:
        raise RecordingUnreachable
    return Recording(file, size, known[0], f"recording-{record.id}.{known[1]}")


def _exceptions(record: CallRecord) -> Sequence[str]:
    """Which private networks may be entered: the operator's, and wherever our own account with the platform leads."""
    provider = find_provider(record.provider_id)
    if provider is not None and provider.platform != Provider.Platform.NATIVE:
        own = find_address(provider.code)
        if own and _origin(own) == _origin(record.recording_url):
            return ANYWHERE
    return settings.OUTSIDE_ALLOWED_PRIVATE_NETS


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme, parts.netloc.lower()
