"""What the page of a re-rating shows, as a file: every row of the run, figures as figures."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from billing_platform.answers import rows_file
from billing_platform.sheets import Figure
from cdr.errors import RerateNotFound
from cdr.rerating.runs import Item, Rerate, read_rows
from cdr.rerating.wording import COLUMNS, KINDS, PARTS

TEXTS = frozenset({"by", "account", "use", "start", "currency", "name"})


def result_file(asked: Rerate, kind: str) -> HttpResponse:
    """CSV, a workbook, or JSON as the command prints it. Raises Malformed, RerateNotFound, TooLarge."""
    if asked.result is None:  # swept a moment before its rows
        raise RerateNotFound
    items = read_rows(asked)
    if kind == "json":
        return JsonResponse(asked.result["envelope"] | {"items": items})
    return rows_file(_rows(asked, items), name=f"rerate-{asked.question.period}-{asked.row.pk}", kind=kind)


def _rows(asked: Rerate, items: Sequence[Item]) -> Iterator[Sequence[str]]:
    """Below a head that names the question, the run and the zone."""
    assert asked.result is not None
    columns: list[str] = asked.result["columns"]
    question = asked.question
    narrowed = [*question.account, *question.prefix, *question.carrier, question.deck, question.flag, question.use]
    yield [
        str(KINDS[asked.kind]), question.period, question.what_if, *filter(None, narrowed), question.closed,
        _("run %(number)s") % {"number": asked.row.pk}, _instant(asked.row.finished_at), settings.TIME_ZONE,
    ]  # fmt: skip
    yield [str(COLUMNS[name]) for name in columns]
    for item in items:
        yield [_cell(name, item) for name in columns]


def _cell(name: str, item: Mapping[str, Any]) -> str:
    value = item.get(name)
    if name == "by":
        return str(PARTS[str(value)])
    if name == "start" and value:
        return _instant(datetime.fromisoformat(str(value)))
    text = "" if value is None else str(value)
    return text if name in TEXTS or not text else Figure(text)


def _instant(at: datetime | None) -> str:
    return "" if at is None else f"{localtime(at):%Y-%m-%d %H:%M:%S}"
