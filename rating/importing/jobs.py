"""Deck files that wait: received, checked by a worker, applied or thrown away by a person. 导入任务.

The row is the queue. A worker that dies leaves it as it was, and the next one reads the file again from the database:
the draft appears together with the row's new state or not at all.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse

from billing_platform import clock, doorbell
from billing_platform.auth import Caller
from billing_platform.errors import IdempotencyConflict
from billing_platform.failpoints import failpoint
from billing_platform.models import JobRun
from billing_platform.runs import AlreadyRunning, RunCancelled, RunOver, open_run, taken_up
from billing_platform.states import claim
from billing_platform.trail import record_act
from billing_platform.watching import Subject
from rating.decks import Publication, VersionReceipt, load_deck, withdraw_draft
from rating.errors import ImportNotReady, ImportUnknown, NotADraft
from rating.formats.fields import RowError
from rating.formats.template import FileTemplate
from rating.importing.imports import (
    STEPS,
    ImportOrder,
    Progress,
    check_applicable,
    draw_up,
    new_import,
    publication_of,
    publish_import,
    read_file,
    stored_errors,
)
from rating.models import DeckImport, DeckImportPart, DeckVersion
from rating.rails import rails_of

JOB = "deck_import"
TASK = "rating.tasks.check_import_task"
PART_BYTES = 2**20
ATTEMPTS_MAX = 3
WAITS = timedelta(seconds=15)  # then the doorbell was not heard
KEPT = timedelta(days=7)
AT_ONCE = 50
_SWEEPER = Caller("task", "expire_imports")
State = DeckImport.State
_SAME = ("sha256", "mode", "template", "options", "skip_errors", "effective_from", "reason")


@dataclass(frozen=True, slots=True)
class ImportTicket:
    """A file that was received; `job_id` is the run that checks it."""

    import_id: int
    job_id: int
    deck: str
    state: str


@dataclass(frozen=True, slots=True)
class Rereading:
    """How a file that was received is to be read this time; `template_name` is "" for wishes that are not kept."""

    mode: str
    template: FileTemplate
    template_name: str = ""


def receive_import(order: ImportOrder, *, caller: Caller, reference: str = "") -> ImportTicket:
    """Keep the file and ring for a worker. The same file under the same reference again gives the same ticket.

    Raises DeckUnknown, IdempotencyConflict (another file or other wishes under this reference).
    """
    story = new_import(order, load_deck(order.deck), caller=caller)
    story.reference = reference
    try:
        _receive(story, order.content, caller=caller)
    except IntegrityError:
        first = DeckImport.objects.select_related("deck").filter(
            deck=story.deck, created_by=story.created_by, reference=reference
        )
        return _first_ticket(first.get(), story)
    return _ticket(story)


def check_import(import_id: int) -> None:
    """A worker reads the file, compares it and leaves a draft; when another one is at it, or has been, nothing.

    Cancelled on the way, the file waits as it was until somebody resumes its run.
    """
    story = DeckImport.objects.filter(pk=import_id, state__in=[State.RECEIVED, State.CHECKING]).first()
    if story is None or story.job_id is None:
        return
    try:
        with taken_up(story.job_id) as run:
            if _claim(story):
                run.counts.update(_check(story, progress=run.in_steps(STEPS)))
    except (AlreadyRunning, RunOver, RunCancelled):
        return


def subject_of_run(run_id: int) -> Subject | None:
    """The import that the run checks; while the file waits, a worker can be called to it again."""
    story = DeckImport.objects.filter(job_id=run_id).first()
    if story is None:
        return None
    path = reverse("admin:rating_deck_import_story", args=[story.deck_id, story.pk])
    return Subject(path, partial(_resume, story.pk) if story.state in (State.RECEIVED, State.CHECKING) else None)


def ring_for_waiting() -> int:
    """Ring again for files that nobody took up, or whose worker died; how many."""
    waiting = DeckImport.objects.filter(
        state__in=[State.RECEIVED, State.CHECKING], created_at__lt=clock.now() - WAITS
    ).order_by("created_at")
    cancelled = JobRun.objects.filter(pk=OuterRef("job_id"), cancel_asked_at__isnull=False)
    ids = list(waiting.exclude(Exists(cancelled)).values_list("id", flat=True)[:AT_ONCE])
    for import_id in ids:
        doorbell.ring(TASK, import_id)
    return len(ids)


@transaction.atomic(durable=True)  # prices, the import's state, event and audit row become true together
def apply_received(
    import_id: int,
    *,
    caller: Caller,
    confirm: str = "",
    skip_errors: bool = False,
    publication: Publication | None = None,
) -> VersionReceipt | None:
    """Publish the file's draft, or propose it to a second person; None when the file changes nothing.

    `publication` stands in place of what was asked for with the file. Raises ImportUnknown, ImportNotReady,
    ImportRefused, GuardRail, DraftOutdated, TooSoon.
    """
    story = load_import(import_id)
    if story.state != State.READY:
        raise ImportNotReady(state=story.state)
    errors = [RowError(**error) for error in story.errors]
    check_applicable(errors, counts=story.counts, skip_errors=skip_errors or story.skip_errors)
    if story.version is None:
        _end(story, State.APPLIED)
        return None
    publication = publication or publication_of(story)
    rails = rails_of(story.version, publication)
    return publish_import(story, rails, publication=publication, caller=caller, confirm=confirm)


@transaction.atomic(durable=True)  # the draft goes with its import
def discard_import(import_id: int, *, caller: Caller) -> None:
    """Throw the file and its draft away. Raises ImportUnknown, ImportNotReady, NotADraft (it was proposed)."""
    story = load_import(import_id)
    if story.version is not None:
        withdraw_draft(story.version, caller=caller)  # ends the import too
    elif not _end(story, State.DISCARDED):
        raise ImportNotReady(state=story.state)
    record_act(caller, "import.discard", target=("deckimport", story.pk), change=({"sha256": story.sha256}, None))


def read_again(import_id: int, wishes: Rereading, *, caller: Caller) -> ImportTicket:
    """Receive the same file anew: to be read in another way, or against the rates of today.

    The import before it is thrown away, unless a worker or a second person has it in hand. Raises ImportUnknown,
    ImportNotReady (its file is no longer kept).
    """
    story = load_import(import_id)
    content = content_of(story)
    if not content:
        raise ImportNotReady(state=story.state)
    order = ImportOrder(
        deck=story.deck.code,
        content=content,
        file_name=story.file_name,
        mode=wishes.mode,
        publication=Publication(reason=story.reason),
        template=wishes.template,
        template_name=wishes.template_name,
    )
    ticket = receive_import(order, caller=caller)
    with suppress(ImportNotReady, NotADraft):
        discard_import(import_id, caller=caller)
    return ticket


def expire_imports() -> int:
    """Throw away what nobody applied within 7 days, at most 50 a call; how many. Proposals wait on."""
    old = DeckImport.objects.filter(state__in=[State.READY, State.REFUSED], created_at__lt=clock.now() - KEPT).exclude(
        version__state=DeckVersion.State.PROPOSED
    )
    ids = list(old.order_by("created_at").values_list("id", flat=True)[:AT_ONCE])
    for import_id in ids:
        _expire(import_id)
    return len(ids)


def load_import(import_id: int, *, deck_id: int | None = None) -> DeckImport:
    """The import, of this deck if one is named. Raises ImportUnknown."""
    found = DeckImport.objects.select_related("deck__carrier", "version__deck__carrier").filter(pk=import_id)
    story = (found if deck_id is None else found.filter(deck_id=deck_id)).first()
    if story is None:
        raise ImportUnknown(number=import_id)
    return story


def content_of(story: DeckImport) -> bytes:
    """The file as it was received; empty when it is no longer kept."""
    return b"".join(_unpacked(story))


@transaction.atomic(durable=True)  # the file, its run and its audit row: either all of it was received or nothing
def _receive(story: DeckImport, content: bytes, *, caller: Caller) -> None:
    arguments = [f"--deck={story.deck.code}", f"--mode={story.mode}", story.file_name]
    story.job_id = open_run(JOB, arguments=arguments, started_by=story.created_by)
    story.save(force_insert=True)
    for number, part in enumerate(_packed(content)):
        DeckImportPart.objects.create(deck_import=story, number=number, content=part)
    facts = {"deck": story.deck.code, "file": story.file_name, "sha256": story.sha256, "mode": story.mode}
    record_act(caller, "import.receive", target=("deckimport", story.pk), change=(None, facts))
    transaction.on_commit(lambda: doorbell.ring(TASK, story.pk))


def _resume(import_id: int) -> None:
    """A person sends a worker: the attempts count anew."""
    DeckImport.objects.filter(pk=import_id).update(attempts=0)
    transaction.on_commit(lambda: doorbell.ring(TASK, import_id))


def _first_ticket(first: DeckImport, again: DeckImport) -> ImportTicket:
    if any(getattr(first, name) != getattr(again, name) for name in _SAME):
        raise IdempotencyConflict
    return _ticket(first)


def _ticket(story: DeckImport) -> ImportTicket:
    assert story.job_id is not None  # every received file has a run
    return ImportTicket(story.pk, story.job_id, story.deck.code, story.state)


def _claim(story: DeckImport) -> bool:
    """Begin to check; the run's lock keeps others away. A file at which workers keep dying is given up."""
    waiting = DeckImport.objects.filter(pk=story.pk)
    if story.attempts >= ATTEMPTS_MAX:
        error = RowError(0, "", str(story.attempts), "E_INTERRUPTED")
        claim(waiting, DeckImport.TRANSITIONS, State.CHECKING)
        claim(waiting, DeckImport.TRANSITIONS, State.REFUSED, errors=stored_errors([error]))
        return False
    return claim(waiting, DeckImport.TRANSITIONS, State.CHECKING, attempts=story.attempts + 1)


def _check(story: DeckImport, *, progress: Progress) -> dict[str, int]:
    story = load_import(story.pk)
    order = ImportOrder(
        deck=story.deck.code,
        content=content_of(story),
        file_name=story.file_name,
        mode=story.mode,
        template=FileTemplate.from_json(story.options),
    )
    file = read_file(order, progress=progress)
    kind, _, name = story.created_by.partition(":")
    with transaction.atomic(durable=True):  # the draft and what is known of it become true together
        draw_up(story, file, caller=Caller(kind, name, name=name), progress=progress)
        failpoint("rating.imports.before_commit")
    return dict(story.counts)


def _end(story: DeckImport, state: str) -> bool:
    ended = claim(DeckImport.objects.filter(pk=story.pk), DeckImport.TRANSITIONS, state, finished_at=clock.now())
    DeckImportPart.objects.filter(deck_import=story).delete()
    return ended


@transaction.atomic(durable=True)  # one import at a time
def _expire(import_id: int) -> None:
    story = load_import(import_id)
    if _end(story, State.EXPIRED) and story.version is not None:
        withdraw_draft(story.version, caller=_SWEEPER)


def _packed(content: bytes) -> Iterator[bytes]:
    """The compressed content in parts, so that no statement carries a whole file."""
    packer = zlib.compressobj(1)
    waiting = bytearray()
    for start in range(0, len(content), PART_BYTES):
        waiting += packer.compress(content[start : start + PART_BYTES])
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    yield bytes(waiting + packer.flush())


def _unpacked(story: DeckImport) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    parts = DeckImportPart.objects.filter(deck_import=story).order_by("number").values_list("content", flat=True)
    for part in parts.iterator(chunk_size=8):
        yield unpacker.decompress(bytes(part))
