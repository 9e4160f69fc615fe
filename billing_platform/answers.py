"""Answers that nobody else keeps: pages of one person, JSON that is asked for again and again, rows as files."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import IO, cast

from django.core.serializers.json import DjangoJSONEncoder
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from billing_platform.errors import Malformed, TooLarge
from billing_platform.sheets import BOM, csv_row
from billing_platform.workbooks import MIME, workbook_of

CSV, XLSX = "csv", "xlsx"
WORKBOOK_ROWS = 100_000  # a workbook is sent when it is whole
Row = Sequence[str]


def own_page(
    request: HttpRequest, template: str, context: Mapping[str, object], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    """A page for this reader, stored nowhere."""
    response = render(request, template, dict(context), status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def tagged_json(request: HttpRequest, body: Mapping[str, object]) -> HttpResponse:
    """The body with an `ETag`; 304 without one when the asker has it already."""
    text = json.dumps(body, ensure_ascii=False, cls=DjangoJSONEncoder)
    headers = {"ETag": f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"', "Cache-Control": "no-cache, private"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(text, content_type="application/json", headers=headers)


def asked_format(request: HttpRequest, *, otherwise: str = "") -> str:
    """The kind of file that `?format=` asks for, `otherwise` when it asks for none. Raises Malformed."""
    asked = request.GET.get("format", otherwise)
    if asked not in {otherwise, CSV, XLSX}:
        raise Malformed("format is csv or xlsx")
    return asked


def rows_file(rows: Iterable[Row], *, name: str, kind: str, title: str = "") -> HttpResponse:
    """The rows as a file: CSV while they are read, a workbook when it is whole.

    Raises Malformed for another kind, TooLarge for a workbook of more than 100,000 rows.
    """
    if kind not in {CSV, XLSX}:
        raise Malformed("format is csv or xlsx")
    if kind == CSV:
        return sent_file(chain([BOM], map(csv_row, rows)), name=name, kind=CSV)
    return sent_file(workbook_of([(title or name, _fitting(rows))]), name=name, kind=XLSX)


def sent_file(content: IO[bytes] | Iterable[bytes] | Iterable[str], *, name: str, kind: str) -> HttpResponse:
    """A file, or the pieces of one that is made while it is sent. Signs that no file name should have become dashes."""
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{safe}.{kind}"'}
    if kind == CSV:
        answer: object = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
    else:
        answer = FileResponse(content, content_type=MIME, headers=headers)
    return cast("HttpResponse", answer)


def _fitting(rows: Iterable[Row]) -> Iterator[Row]:
    for place, row in enumerate(rows):
        if place >= WORKBOOK_ROWS:
            raise TooLarge(_("A workbook holds at most %(rows)s rows: take the CSV.") % {"rows": WORKBOOK_ROWS})
        yield row
