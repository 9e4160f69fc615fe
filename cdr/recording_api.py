"""The doors of recordings: which calls have one, and the sound itself from our own address."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import IO, cast

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import reverse

from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Malformed
from billing_platform.models import Role, Scope
from callcontrol.charge_check import context_of
from callcontrol.wishes import placer_of
from cdr import recordings

LISTENERS = audience(
    roles=(Role.AGENT.value, Role.SUPERVISOR.value, Role.AUDITOR.value), scopes=(Scope.CDR_READ.value,)
)
PIECE_BYTES = 64 * 1024
_IDS = re.compile(r"[0-9]{1,18}(,[0-9]{1,18}){0,199}")
_RANGE = re.compile(r"bytes=([0-9]{1,15})-([0-9]{0,15})")


@door(LISTENERS)
def recordings_view(request: CallerRequest) -> HttpResponse:
    """Which of the records `ids` (at most 200, with commas) have a recording, and where it is heard."""
    ids = request.GET.get("ids", "")
    if not _IDS.fullmatch(ids):
        raise Malformed("ids are at most 200 numbers of records, with commas between them")
    placer = placer_of(context_of(request))
    found = recordings.list_recordings([int(one) for one in ids.split(",")], caller=request.caller, placer=placer)
    items = [
        {"cdr_id": str(row.id), "call_id": row.call_id, "href": reverse("cdr_recording", args=[row.id])}
        for row in found
    ]
    return JsonResponse({"items": items})


@door(LISTENERS)
def recording_view(request: CallerRequest, record_id: int) -> HttpResponse:
    """The sound, fetched from the platform for this listener; one `Range` is served."""
    placer = placer_of(context_of(request))
    recording = recordings.fetch_recording(record_id, caller=request.caller, placer=placer)
    first, last, status = _span(request.headers.get("Range", ""), recording.size)
    response = StreamingHttpResponse(
        _pieces(recording.file, first, last), status=status, content_type=recording.content_type
    )
    response.headers["Content-Length"] = str(last - first + 1)
    response.headers["Content-Disposition"] = f'inline; filename="{recording.name}"'
    response.headers["Accept-Ranges"] = "bytes"
    if status == HTTPStatus.PARTIAL_CONTENT:
        response.headers["Content-Range"] = f"bytes {first}-{last}/{recording.size}"
    return cast("HttpResponse", response)


def _span(header: str, size: int) -> tuple[int, int, HTTPStatus]:
    """First and last byte. What is no single range inside the file is answered with the whole."""
    asked = _RANGE.fullmatch(header)
    if asked is None or not int(asked[1]) < size or (asked[2] and int(asked[2]) < int(asked[1])):
        return 0, size - 1, HTTPStatus.OK
    return int(asked[1]), min(int(asked[2] or size), size - 1), HTTPStatus.PARTIAL_CONTENT


def _pieces(file: IO[bytes], first: int, last: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        left = last - first + 1
        while left and (piece := file.read(min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
