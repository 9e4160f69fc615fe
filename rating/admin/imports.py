"""The import wizard in the admin (S4): a file comes in, is mapped, checked by a worker, seen, and scheduled."""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.answers import asked_format, rows_file
from billing_platform.auth import caller_of_request
from billing_platform.errors import NotFound, PlatformError
from billing_platform.paging import page_request
from rating.admin.acts import Act, Done, act_page, named_rails
from rating.admin.pages import check_writer, deck_answer, may_write, read_deck
from rating.admin.publish import asked_publication, deck_address, next_midnight, published, subject_of
from rating.comparisons import compare
from rating.decks import Publication
from rating.differences import Tab, drawn_from
from rating.downloads import difference_rows, error_rows
from rating.errors import ImportNotReady
from rating.formats.fields import RowError
from rating.formats.reading import FileLook
from rating.formats.template import FileTemplate
from rating.importing import pages as import_pages
from rating.importing.forms import DELIMITER_NAMES, MappingForm, ScheduleForm, UploadForm
from rating.importing.imports import ImportOrder, error_items
from rating.importing.jobs import (
    Rereading,
    apply_received,
    discard_import,
    load_import,
    read_again,
    receive_import,
)
from rating.importing.templates import save_template
from rating.models import Deck, DeckImport, DeckVersion
from rating.rails import rails_of

State = DeckImport.State
WARNINGS_SHOWN = 20
STEPS: tuple[tuple[str, Any], ...] = (
    ("upload", _("Upload")),
    ("map", _("Detect and map")),
    ("check", _("Check")),
    ("difference", _("Difference")),
    ("schedule", _("Schedule")),
)


def upload_page(request: HttpRequest, deck_id: int) -> HttpResponse:
    """The first step: a form for the file, and the files that came before."""
    deck = read_deck(request, deck_id)
    if request.method != "POST":
        return _upload(request, deck, UploadForm(deck=deck))
    check_writer(request)
    form = UploadForm(request.POST, request.FILES, deck=deck)
    if not form.is_valid():
        return _upload(request, deck, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    asked = form.cleaned_data
    order = ImportOrder(
        deck=deck.code, content=asked["content"], file_name=str(asked["file"].name), mode=asked["mode"],
        publication=Publication(reason=asked["reason"]), template=asked["reading"], template_name=asked["template"],
    )  # fmt: skip
    try:
        ticket = receive_import(order, caller=caller_of_request(request), reference=_reference(order, asked["sending"]))
    except PlatformError as refused:
        form.add_error(None, f"{refused.title} {refused.detail}".strip())
        return _upload(request, deck, form, status=refused.http_status)
    return HttpResponseRedirect(_address("map", deck.pk, ticket.import_id))


def mapping_page(request: HttpRequest, deck_id: int, number: int) -> HttpResponse:
    """The second step: what the file is taken for; a POST goes on, and reads the file anew when something changed."""
    deck, story = _read(request, deck_id, number)
    if story.finished_at is not None:
        return HttpResponseRedirect(_address("story", deck.pk, story.pk))
    look = import_pages.look_of(story)
    columns = import_pages.shown_columns(look)
    before = FileTemplate.from_json(story.options)
    form = MappingForm(
        request.POST if request.method == "POST" else None,
        before=before, columns=columns, sheets=look.sheets, initial={"mode": story.mode},
    )  # fmt: skip
    if request.method != "POST":
        return _mapping(request, story, look, form)
    check_writer(request)
    if not form.is_valid():
        return _mapping(request, story, look, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        return HttpResponseRedirect(_address("story", deck.pk, _read_as_told(request, story, form)))
    except PlatformError as refused:
        form.add_error("code" if "code" in refused.fields.get("errors", {}) else None, refused.title)  # type: ignore[operator]
        return _mapping(request, story, look, form, status=refused.http_status)


def story_page(request: HttpRequest, deck_id: int, number: int) -> HttpResponse:
    """The third and fourth step: how far the check is; then what the file would change; at last what became of it.

    With `format` a tab's rows as a file.
    """
    _deck, story = _read(request, deck_id, number)
    kind = asked_format(request)
    if kind:
        return _file(story, request.GET.get("tab", import_pages.ERROR), kind)
    if story.state == State.READY:
        return _difference(request, story)
    progress = import_pages.progress_of(story, caller_of_request(request))
    step = "check" if story.state in (State.RECEIVED, State.CHECKING, State.REFUSED) else ""
    errors = import_pages.errors_of(story, page_request(request.GET, view=_errors_view(story)))
    return _answer(request, "import_check", story, {"step": step, "progress": progress, "errors": errors})


def progress_part(request: HttpRequest, deck_id: int, number: int) -> HttpResponse:
    """How far the check is, asked by the page every 2 s."""
    _deck, story = _read(request, deck_id, number)
    progress = import_pages.progress_of(story, caller_of_request(request))
    told = {"state": progress.state, "per_cent": progress.per_cent, "ended": progress.ended,
            "interrupted": progress.interrupted, "rows": progress.run.row.done if progress.run else 0}  # fmt: skip
    return JsonResponse(told, headers={"Cache-Control": "no-store"})


def again_page(request: HttpRequest, deck_id: int, number: int) -> HttpResponse:
    """Compare the same file with the rates of today."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    deck, story = _read(request, deck_id, number)
    check_writer(request)
    wishes = Rereading(story.mode, FileTemplate.from_json(story.options), story.template)
    ticket = read_again(story.pk, wishes, caller=caller_of_request(request))
    return HttpResponseRedirect(_address("story", deck.pk, ticket.import_id))


def schedule_page(request: HttpRequest, deck_id: int, number: int) -> HttpResponse:
    """The last step: when the file's draft takes effect."""
    _deck, story = _read(request, deck_id, number)
    return act_page(request, scheduling(request, story), allowed=may_write(request))


def discard_page(request: HttpRequest, deck_id: int, number: int) -> HttpResponse:
    """Throw a file and its draft away."""
    _deck, story = _read(request, deck_id, number)
    return act_page(request, discarding_import(request, story), allowed=may_write(request))


def scheduling(request: HttpRequest, story: DeckImport) -> Act:
    """Publish or propose the file's draft. Raises ImportNotReady when there is none that waits."""
    draft = story.version
    if story.state != State.READY or draft is None or draft.state != DeckVersion.State.DRAFT:
        raise ImportNotReady(state=story.state)
    zone = ZoneInfo(story.deck.zone)
    begins = next_midnight(zone)
    if story.effective_from is not None and story.effective_from > clock.now():
        begins = story.effective_from
    before, rails = drawn_from(draft), rails_of(draft, Publication(begins))

    def run(cleaned: Mapping[str, Any]) -> Done:
        receipt = apply_received(
            story.pk, caller=caller_of_request(request), confirm=cleaned["confirm"],
            skip_errors=cleaned.get("skip_errors", False), publication=asked_publication(cleaned),
        )  # fmt: skip
        return published(receipt, story.deck_id) if receipt else Done(deck_address(story.deck_id))

    return Act(
        title=_("Schedule"),
        subject=subject_of(draft),
        consequence=_("From its effective time on it prices every call. It can never be edited again."),
        form=lambda given: ScheduleForm(
            given, zone=zone, has_errors=bool(story.errors),
            initial={"effective_from": begins, "reason": story.reason, "skip_errors": story.skip_errors},
        ),
        run=run,
        counts=compare(before, draft).counts if before else {},
        template="import_schedule",
        more={
            **_frame(story, "schedule"),
            "draft": draft,
            "before": before,
            "rails": named_rails(rails.names),
            "token": rails.token,
            "second_person": rails.approvers,
        },
        deck=story.deck,
        again=_address("story", story.deck_id, story.pk),
    )  # fmt: skip


def discarding_import(request: HttpRequest, story: DeckImport) -> Act:
    """Throw away a file that changed nothing yet. Raises ImportNotReady."""
    if story.state not in (State.RECEIVED, State.READY, State.REFUSED):
        raise ImportNotReady(state=story.state)

    def run(cleaned: Mapping[str, Any]) -> Done:
        discard_import(story.pk, caller=caller_of_request(request))
        return Done(_address("import", story.deck_id))

    consequence = _("The file and the draft that it made are thrown away for good. No price has changed.")
    return Act(_("Discard the import"), story.file_name, consequence, forms.Form, run, deck=story.deck)


IMPORT_PAGES: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (
    ("<int:deck_id>/import/", "import", upload_page),
    ("<int:deck_id>/import/<int:number>/", "import_story", story_page),
    ("<int:deck_id>/import/<int:number>/map/", "import_map", mapping_page),
    ("<int:deck_id>/import/<int:number>/progress/", "import_progress", progress_part),
    ("<int:deck_id>/import/<int:number>/again/", "import_again", again_page),
    ("<int:deck_id>/import/<int:number>/schedule/", "import_schedule", schedule_page),
    ("<int:deck_id>/import/<int:number>/discard/", "import_discard", discard_page),
)


def _read(request: HttpRequest, deck_id: int, number: int) -> tuple[Deck, DeckImport]:
    deck = read_deck(request, deck_id)
    return deck, load_import(number, deck_id=deck.pk)


def _reference(order: ImportOrder, sending: str) -> str:
    """The same form with the same file and wishes is the same import, with another file it is another one."""
    wishes = repr((order.mode, order.template_name, order.publication.reason)).encode()
    return f"{sending}:{hashlib.sha256(order.content + wishes).hexdigest()}"


def _read_as_told(request: HttpRequest, story: DeckImport, form: MappingForm) -> int:
    """Keep the template if a code was given; the import to go on with: a new one when something changed."""
    asked, caller = form.cleaned_data, caller_of_request(request)
    template: FileTemplate = asked["reading"]
    if asked["code"]:
        save_template(asked["code"], template.to_json(), caller=caller, name=asked["name"])
    if (template.to_json(), asked["mode"]) == (story.options, story.mode):
        return story.pk
    return read_again(story.pk, Rereading(asked["mode"], template, asked["code"]), caller=caller).import_id


def _upload(request: HttpRequest, deck: Deck, form: UploadForm, *, status: int = HTTPStatus.OK) -> HttpResponse:
    page = import_pages.imports_of(deck, page_request(request.GET, view=import_pages.LIST_VIEW))
    context = {"form": form, "stories": page.items, "older": page.next_cursor, **_steps(None, "upload")}
    return deck_answer(request, "import_upload", deck, context, status=status)


def _mapping(
    request: HttpRequest, story: DeckImport, look: FileLook, form: MappingForm, *, status: int = HTTPStatus.OK
) -> HttpResponse:
    hidden = len(look.columns) - len(form.rows())
    faults = error_items(error for error in look.file.errors if error.row == 0 or error.column == "header")[:5]
    context = {
        "step": "map",
        "look": look,
        "delimiter": DELIMITER_NAMES.get(look.delimiter, look.delimiter),
        "form": form,
        "hidden_columns": hidden,
        "faults": faults,
    }
    return _answer(request, "import_mapping", story, context, status=status)


def _difference(request: HttpRequest, story: DeckImport) -> HttpResponse:
    below_cost = import_pages.below_cost_of(story)
    tabs = import_pages.tabs_of(story, below_cost)
    filled = next((one.name for one in tabs if one.count), Tab.NEW.value)
    tab = request.GET.get("tab", filled)
    if tab not in {one.name for one in tabs}:
        raise NotFound
    context: dict[str, Any] = {
        "step": "difference",
        "counts": import_pages.counts_shown(story, below_cost),
        "tabs": tabs,
        "tab": tab,
        "rails": named_rails(story.rails),
        "outdated": import_pages.is_outdated(story),
        "warnings": error_items(RowError(**one) for one in story.warnings[:WARNINGS_SHOWN]),
    }
    if tab == import_pages.ERROR:
        context["errors"] = import_pages.errors_of(story, page_request(request.GET, view=_errors_view(story)))
    else:
        context["page"] = import_pages.rows_of(story, tab, request.GET.get("cursor", ""))
    return _answer(request, "import_difference", story, context)


def _file(story: DeckImport, tab: str, kind: str) -> HttpResponse:
    """All rows of a tab, or all errors. Raises NotFound."""
    name = f"import-{story.pk}-{tab}"
    if tab == import_pages.ERROR:
        return rows_file(error_rows(story), name=name, kind=kind)
    if story.version is None or tab not in Tab.values:
        raise NotFound
    rows = difference_rows(drawn_from(story.version), story.version, tab=Tab(tab))
    return rows_file(rows, name=name, kind=kind)


def _answer(
    request: HttpRequest, template: str, story: DeckImport, context: Mapping[str, Any], *, status: int = HTTPStatus.OK
) -> HttpResponse:
    shared = _frame(story, str(context["step"]))
    return deck_answer(request, template, story.deck, {**shared, **context}, status=status)


def _frame(story: DeckImport, step: str) -> dict[str, Any]:
    """What every page about an import shows around its own content."""
    draft = story.version
    is_draft = draft is not None and draft.state == DeckVersion.State.DRAFT
    return {
        "story": story,
        "zone": ZoneInfo(story.deck.zone),
        "by": story.created_by.removeprefix("person:"),
        "can_schedule": story.state == State.READY and is_draft,
        "can_discard": story.state in (State.RECEIVED, State.REFUSED)
        or (story.state == State.READY and (draft is None or is_draft)),
        "proposed": draft is not None and draft.state == DeckVersion.State.PROPOSED,
        "can_map": story.finished_at is None,
        **_steps(story, step),
    }


def _steps(story: DeckImport | None, step: str) -> dict[str, Any]:
    """The steps with the addresses of those that were reached."""
    names = [name for name, _label in STEPS]
    now = names.index(step) if step else len(names)
    addresses = dict.fromkeys(names, "")
    if story is not None and story.finished_at is None:
        addresses["upload"] = _address("import", story.deck_id)
        addresses["map"] = _address("map", story.deck_id, story.pk)
        addresses["check" if story.state != State.READY else "difference"] = _address("story", story.deck_id, story.pk)
    return {
        "steps": [
            (name, label, addresses[name], "done" if place < now else "now" if place == now else "ahead")
            for place, (name, label) in enumerate(STEPS)
        ]
    }


def _errors_view(story: DeckImport) -> str:
    return f"{import_pages.ERRORS_VIEW} {story.pk}"


def _address(page: str, deck_id: int, number: int | None = None) -> str:
    names = {"map": "import_map", "story": "import_story"}
    arguments = [deck_id] if number is None else [deck_id, number]
    return reverse(f"admin:rating_deck_{names.get(page, page)}", args=arguments)
