"""REST of deck files: send one, look at what it would change, apply it or throw it away. Thin."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from billing_platform.api import read_json
from billing_platform.auth import audience
from billing_platform.doors import CallerRequest, door
from billing_platform.errors import Malformed, TooLarge, ValidationFailed
from billing_platform.idempotency import idempotency_key, idempotent
from billing_platform.models import Role, Scope
from billing_platform.paging import page_request
from billing_platform.sheets import BOM, csv_row
from rating.api import DECK_READERS
from rating.decks import Publication, VersionReceipt
from rating.downloads import error_rows
from rating.errors import DeckUnknown
from rating.explaining.reading import read_instant
from rating.formats.fields import RowError
from rating.importing.imports import ERRORS_SHOWN, ImportOrder, error_items, publication_of
from rating.importing.jobs import ImportTicket, apply_received, discard_import, load_import, receive_import
from rating.importing.templates import find_template
from rating.models import Deck, DeckImport

BYTES_MAX = 100 * 2**20
IMPORTERS = audience(roles=(Role.RATE_ADMIN.value,), scopes=(Scope.RATE_WRITE.value,))
SENT = frozenset({"mode", "template", "effective_from", "skip_errors", "correction", "reason", "file_name"})
APPLIED = frozenset({"confirm", "effective_from", "skip_errors", "correction", "reason"})


@door({"GET": DECK_READERS, "POST": IMPORTERS})
def imports_view(request: CallerRequest, deck: str) -> HttpResponse:
    """Receive a file: it is checked by a worker. Or the files of this deck, the last one first."""
    found = _deck(deck)
    return _receive(request, found) if request.method == "POST" else _listed(request, found)


@door(DECK_READERS)
def import_view(request: CallerRequest, deck: str, number: int) -> HttpResponse:
    """Where the import stands, what it would change, and the first of its errors."""
    return JsonResponse(_shown(load_import(number, deck_id=_deck(deck).pk)))


@door(DECK_READERS)
def errors_view(request: CallerRequest, deck: str, number: int) -> HttpResponse:
    """The import's row errors and warnings, the first 10,000 of each, as CSV."""
    story = load_import(number, deck_id=_deck(deck).pk)
    rows = map(csv_row, error_rows(story))
    headers = {"Content-Disposition": f'attachment; filename="import-{story.pk}-errors.csv"'}
    return HttpResponse(BOM + "".join(rows), content_type="text/csv; charset=utf-8", headers=headers)


@door(IMPORTERS, methods=("POST",))
def apply_view(request: CallerRequest, deck: str, number: int) -> HttpResponse:
    """Publish the import's draft, or propose it to a second person (202)."""
    story = load_import(number, deck_id=_deck(deck).pk)

    def run() -> HttpResponse:
        wishes = _wishes(read_json(request) if request.body else {})
        publication = replace(publication_of(story), **_publication(wishes))
        version = apply_received(
            story.pk, caller=request.caller, confirm=str(wishes.get("confirm", "")),
            skip_errors=_flag(wishes, "skip_errors"), publication=publication,
        )  # fmt: skip
        status = HTTPStatus.ACCEPTED if version and version.approvers else HTTPStatus.OK
        return JsonResponse({"import": story.pk, "version": _version(version)}, status=status)

    return idempotent(request, run)


@door(IMPORTERS, methods=("POST",))
def discard_view(request: CallerRequest, deck: str, number: int) -> HttpResponse:
    """Throw the file and its draft away."""
    story = load_import(number, deck_id=_deck(deck).pk)

    def run() -> HttpResponse:
        discard_import(story.pk, caller=request.caller)
        return JsonResponse({"import": story.pk, "state": DeckImport.State.DISCARDED.value})

    return idempotent(request, run)


def _deck(name: str) -> Deck:
    """By id or by code. Raises DeckUnknown."""
    found = Deck.objects.filter(pk=int(name)).first() if name.isascii() and name.isdigit() and len(name) < 18 else None
    found = found or Deck.objects.filter(code=name).first()
    if found is None:
        raise DeckUnknown(deck=name)
    return found


def _receive(request: CallerRequest, deck: Deck) -> HttpResponse:
    reference = idempotency_key(request, request.caller)
    file_name, content, wishes = _upload(request)
    order = ImportOrder(
        deck=deck.code,
        content=content,
        file_name=wishes.get("file_name") or file_name,
        mode=_mode(wishes),
        skip_errors=_flag(wishes, "skip_errors"),
        publication=Publication(**_publication(wishes)),
        template=find_template(wishes.get("template", ""), deck=deck),
        template_name=wishes.get("template", ""),
    )
    ticket = receive_import(order, caller=request.caller, reference=reference)
    links = _links(deck, ticket)
    body = {"import": ticket.import_id, "job": ticket.job_id, "state": ticket.state, "links": links}
    return JsonResponse(body, status=HTTPStatus.ACCEPTED, headers={"Location": links["import"]})


def _upload(request: CallerRequest) -> tuple[str, bytes, dict[str, str]]:
    """The file's name and bytes, and what is asked for: from a form with one file, or a raw body and the query."""
    if request.content_type == "multipart/form-data":
        sent = {**request.GET.dict(), **request.POST.dict()}
        sent.pop("csrfmiddlewaretoken", None)
        file = request.FILES.get("file")
        if file is None or len(request.FILES) != 1:
            raise ValidationFailed(errors={"file": ["exactly one"]})
        name, content = str(file.name), file.read(BYTES_MAX + 1)
    else:
        sent, name, content = request.GET.dict(), "deck", request.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise TooLarge(limit=BYTES_MAX)
    if not content:
        raise Malformed("the file is empty")
    _check_names(sent, SENT)
    return name, content, {key: str(value) for key, value in sent.items()}


def _wishes(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Malformed("send an object")
    _check_names(given, APPLIED)
    return given


def _check_names(given: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = {str(name): ["unknown field"] for name in given if name not in known}
    if unknown:
        raise ValidationFailed(errors=unknown)


def _mode(wishes: Mapping[str, Any]) -> str:
    mode = wishes.get("mode", DeckImport.Mode.MERGE.value)
    if mode not in DeckImport.Mode.values:
        raise ValidationFailed(errors={"mode": [", ".join(DeckImport.Mode.values)]})
    return str(mode)


def _publication(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Publication that are asked for."""
    readers: dict[str, Callable[[], datetime | str | bool]] = {
        "effective_from": lambda: _instant(wishes["effective_from"]),
        "reason": lambda: str(wishes["reason"])[:300],
        "correction": lambda: _flag(wishes, "correction"),
    }
    return {name: read() for name, read in readers.items() if wishes.get(name) not in (None, "")}


def _instant(value: object) -> datetime:
    try:
        return read_instant(value)
    except ValueError as unreadable:
        raise ValidationFailed(errors={"effective_from": [str(unreadable)]}) from unreadable


def _flag(wishes: Mapping[str, Any], name: str) -> bool:
    value = str(wishes.get(name, "false")).lower()
    if value not in {"true", "1", "false", "0", ""}:
        raise ValidationFailed(errors={name: ["true or false"]})
    return value in {"true", "1"}


def _listed(request: CallerRequest, deck: Deck) -> HttpResponse:
    asked = page_request(request.GET, view="imports")
    stories = DeckImport.objects.filter(deck=deck).select_related("deck", "version").defer("errors", "warnings")
    if asked.after is not None:
        stories = stories.filter(pk__lt=asked.after[0])
    found = list(stories.order_by("-pk")[: asked.limit + 1])
    page = asked.page(found, lambda story: [story.pk], view="imports")
    return JsonResponse({"items": [_summary(story) for story in page.items], "next_cursor": page.next_cursor})


def _shown(story: DeckImport) -> dict[str, Any]:
    return {
        **_summary(story),
        "skip_errors": story.skip_errors,
        "errors": error_items(_errors(story.errors[:ERRORS_SHOWN])),
        "warnings": error_items(_errors(story.warnings[:ERRORS_SHOWN])),
        "links": _links(story.deck, ImportTicket(story.pk, story.job_id or 0, story.deck.code, story.state)),
    }


def _summary(story: DeckImport) -> dict[str, Any]:
    version = story.version
    return {
        "import": story.pk, "deck": story.deck.code, "state": story.state, "job": story.job_id,
        "file_name": story.file_name, "sha256": story.sha256, "size": story.size, "mode": story.mode,
        "template": story.template, "effective_from": story.effective_from, "reason": story.reason,
        "counts": story.counts, "rails": story.rails, "token": story.token,
        "version": version and {"number": version.number, "id": version.pk, "state": version.state},
        "created_at": story.created_at, "created_by": story.created_by, "finished_at": story.finished_at,
    }  # fmt: skip


def _version(receipt: VersionReceipt | None) -> dict[str, Any] | None:
    if receipt is None:
        return None
    return {
        "deck": receipt.deck, "number": receipt.number, "id": receipt.version_id, "state": receipt.state,
        "effective_from": receipt.effective_from, "rows": receipt.rows, "content_hash": receipt.content_hash,
        "approvers": list(receipt.approvers),
    }  # fmt: skip


def _links(deck: Deck, ticket: ImportTicket) -> dict[str, str]:
    place = {"deck": deck.pk, "number": ticket.import_id}
    names = {"import": "deck_import", "errors": "deck_import_errors", "apply": "deck_import_apply",
             "discard": "deck_import_discard"}  # fmt: skip
    return {name: reverse(view, kwargs=place) for name, view in names.items()} | {
        "job": reverse("job", args=[ticket.job_id])
    }


def _errors(stored: list[dict[str, Any]]) -> list[RowError]:
    return [RowError(**error) for error in stored]
