"""Deck files: read, compare, and - once somebody has seen the difference - publish. 费率表导入.

Preview, import and the check of a file that waits are the same code with another end: no file changes a price before
its whole difference has been shown.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from billing_platform import clock, metrics
from billing_platform.auth import Caller
from billing_platform.runs import RunCancelled
from rating.decks import Publication, VersionReceipt, latest_version, load_deck, open_draft, submit_draft
from rating.errors import ImportRefused
from rating.formats.deck_file import DeckFile
from rating.formats.fields import FileContext, ParsedRow, RowError
from rating.formats.reading import read_deck_file
from rating.formats.template import AUTO, FileTemplate
from rating.importing import incoming
from rating.importing.file_rows import disagreements, lift_date, refuse_duplicates, refuse_unstorable, storable
from rating.ladder import TermsRefused
from rating.messages import message_of
from rating.models import Carrier, Deck, DeckImport, DeckVersion
from rating.rails import Rails, rails_of
from rating.terms import BandTerms
from rating.versions import bands_of, export_head, store_bands

ERRORS_SHOWN = 20
VALUE_MAX = 200  # letters of a faulty value that are kept
STEPS = {"read": 50, "compare": 20, "write": 20, "judge": 10}  # of a progress, and about how much of a hundred each is
TOLD_EACH = 2_000  # rows
Progress = Callable[[str, int, int], None]  # step, rows done, of how many
State = DeckImport.State


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """A file for a deck. `merge` changes the listed prefixes only; `replace` ends those that are not listed, `country`
    does so for the countries that occur in the file.

    `template` says how to read it, `template_name` under which name it is kept. Without `publication.effective_from`
    the date counts that all rows of a supplier's file bear, if they do.
    """

    deck: str
    content: bytes
    file_name: str = "deck.csv"
    mode: str = DeckImport.Mode.MERGE
    skip_errors: bool = False
    publication: Publication = field(default_factory=Publication)
    template: FileTemplate = AUTO
    template_name: str = ""


@dataclass(frozen=True, slots=True)
class ImportReceipt:
    """What a file changes, or changed. `token` confirms the guard rails that it touches; `version` is what it made."""

    deck: str
    sha256: str
    mode: str
    counts: Mapping[str, int]
    errors: tuple[RowError, ...]
    warnings: tuple[RowError, ...]
    rails: tuple[str, ...]
    token: str
    effective_from: datetime | None = None  # asked for, or the file's own; None: as soon as the rules allow
    version: VersionReceipt | None = None


def _unseen(_step: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def preview_import(order: ImportOrder, *, caller: Caller, progress: Progress = _unseen) -> ImportReceipt:
    """What the file would change; nothing stays behind. Raises DeckUnknown."""
    deck, file = load_deck(order.deck), read_file(order, progress=progress)
    with transaction.atomic():  # rolled back: the preview is the import without its end
        story = new_import(order, deck, caller=caller)
        draw_up(story, file, caller=caller, progress=progress)
        transaction.set_rollback(True)
    return _receipt(story, file)


def apply_import(
    order: ImportOrder, *, caller: Caller, confirm: str = "", progress: Progress = _unseen
) -> ImportReceipt:
    """Import the file and schedule the version it makes; a file without a difference makes none.

    When a second person must agree, the version is only proposed and its state says so. Raises DeckUnknown,
    ImportRefused (error rows without `skip_errors`), GuardRail (repeat with its token), TooSoon.
    """
    deck, file = load_deck(order.deck), read_file(order, progress=progress)  # takes seconds: outside the transaction
    with transaction.atomic(durable=True):  # rows, version, receipt and event become true together
        story = new_import(order, deck, caller=caller)
        rails = draw_up(story, file, caller=caller, progress=progress)
        check_applicable(file.errors, counts=story.counts, skip_errors=order.skip_errors)
        if rails is None:
            transaction.set_rollback(True)
            return _receipt(story, file)
        version = publish_import(story, rails, publication=publication_of(story), caller=caller, confirm=confirm)
    return replace(_receipt(story, file), version=version)


@transaction.atomic  # temporary tables live as long as the transaction
def compare_versions(before: DeckVersion, after: DeckVersion) -> Mapping[str, int]:
    """What changed from one version to the other, counted as an import counts."""
    incoming.load_version_rows(after)
    incoming.compare(before)
    incoming.find_unlisted(DeckImport.Mode.REPLACE)
    difference = incoming.measured()
    read = difference.created + difference.changed + difference.same
    return incoming.counts_of(difference, read=read, skipped=0, error=0)


def has_changes(counts: Mapping[str, int]) -> bool:
    """Would publishing change anything?"""
    return any(counts[name] for name in ("created", "changed", "removed", "bands"))


def error_items(errors: Iterable[RowError]) -> list[dict[str, Any]]:
    """Row errors for people and programs: row, column, value, code, and the message in the language in use."""
    return [{**error._asdict(), "message": message_of(error.code)} for error in errors]


def new_import(order: ImportOrder, deck: Deck, *, caller: Caller) -> DeckImport:
    """The story of a file at its beginning, not stored yet."""
    return DeckImport(
        deck=deck,
        file_name=storable(order.file_name)[:200],
        sha256=hashlib.sha256(order.content).hexdigest(),
        size=len(order.content),
        template=order.template_name,
        options=order.template.to_json(),
        mode=DeckImport.Mode(order.mode).value,
        skip_errors=order.skip_errors,
        effective_from=order.publication.effective_from,
        correction=order.publication.correction,
        reason=order.publication.reason,
        created_by=caller.actor,
    )


def read_file(order: ImportOrder, *, progress: Progress = _unseen) -> DeckFile:
    """The file's rows, all faults of single rows judged. Raises DeckUnknown."""
    deck = load_deck(order.deck)
    file = read_deck_file(
        order.content, file_context(deck), order.template, order.file_name, seen=partial(progress, "read")
    )
    _check_head(deck, latest_version(deck), file)
    refuse_unstorable(file)
    refuse_duplicates(file)
    progress("read", file.read, file.read)
    return file


def file_context(deck: Deck) -> FileContext:
    """What a file for this deck is read against, as of now."""
    latest = latest_version(deck)
    known = bands_of(latest) if latest else []
    return FileContext(
        zone=ZoneInfo(deck.zone),
        numbering=deck.numbering,
        carriers=frozenset(Carrier.objects.values_list("code", flat=True)),
        bands=frozenset(band.name for band in known),
        at=clock.now(),
    )


def draw_up(story: DeckImport, file: DeckFile, *, caller: Caller, progress: Progress) -> Rails | None:
    """Leave the draft that the file makes and store the story so far, inside the caller's transaction.

    None, and no draft, for a file that cannot be read or changes nothing.
    """
    publication = publication_of(story)
    if publication.effective_from is None:
        publication = lift_date(file, publication)
        story.effective_from, story.correction = publication.effective_from, publication.correction
    with transaction.atomic():  # a draft without a difference goes away again
        draft = open_draft(story.deck, caller=caller, reason=story.reason)
        story.counts = _write(draft, file, mode=story.mode, progress=progress)
        if has_changes(story.counts) and not file.is_unreadable:
            story.version = draft
        else:
            transaction.set_rollback(True)
    story.state = State.REFUSED if file.is_unreadable else State.READY
    story.errors, story.warnings = stored_errors(file.errors), stored_errors(file.warnings)
    story.save()
    progress("judge", 0, len(file.rows))
    rails = rails_of(story.version, publication) if story.version else None
    if rails is not None:
        story.rails, story.token = list(rails.names), rails.token
        story.save(update_fields=["rails", "token"])
    progress("judge", len(file.rows), len(file.rows))
    return rails


def check_applicable(errors: Iterable[RowError], *, counts: Mapping[str, int], skip_errors: bool) -> None:
    """Raises ImportRefused for a file with errors, unless its error rows are to be left out."""
    found = list(errors)
    unreadable = any(error.row == 0 or error.column == "header" for error in found)
    if unreadable or (found and not skip_errors):
        raise ImportRefused(errors=error_items(found[:ERRORS_SHOWN]), error_count=counts["error"] or len(found))


def publication_of(story: DeckImport) -> Publication:
    """When the file's draft is to take effect, and why."""
    return Publication(story.effective_from, story.reason, story.correction)


def publish_import(
    story: DeckImport, rails: Rails, *, publication: Publication, caller: Caller, confirm: str
) -> VersionReceipt:
    """Publish or propose the file's draft, inside the caller's transaction.

    Raises as `decks.publish_version`; ImportRefused when a row cannot be priced.
    """
    assert story.version is not None  # there are rails only where there is a draft
    try:
        version = submit_draft(story.version, rails, publication=publication, caller=caller, confirm=confirm)
    except TermsRefused as refused:
        error = RowError(0, "", str(refused)[:VALUE_MAX], refused.code)
        raise ImportRefused(errors=error_items([error]), error_count=1) from refused
    for action in ("created", "changed", "removed"):
        metrics.deck_import_rows.labels(action).inc(story.counts[action])
    return version


def stored_errors(errors: Iterable[RowError]) -> list[dict[str, Any]]:
    """Row errors as the story keeps them."""
    return [{**error._asdict(), "value": storable(error.value)[:VALUE_MAX]} for error in errors]


def _receipt(story: DeckImport, file: DeckFile) -> ImportReceipt:
    return ImportReceipt(
        deck=story.deck.code,
        sha256=story.sha256,
        mode=story.mode,
        counts=story.counts,
        errors=tuple(file.errors),
        warnings=tuple(file.warnings),
        rails=tuple(story.rails),
        token=story.token,
        effective_from=story.effective_from,
    )


def _check_head(deck: Deck, latest: DeckVersion | None, file: DeckFile) -> None:
    """A file that speaks of another currency, zone or numbering than its deck is not for this deck.

    The head of a deck is fixed by its first publish, so this is refused and not a matter of confirming.
    """
    for name, value in export_head(latest or DeckVersion(deck=deck)).items():
        given = file.head.get(name, str(value))
        if given != str(value):
            file.errors.append(RowError(0, name, given, "E_CURRENCY" if name == "currency" else "E_HEADER"))


def _write(draft: DeckVersion, file: DeckFile, *, mode: str, progress: Progress) -> dict[str, int]:
    """Put the file's differences into the draft; the counts of the receipt."""
    rows = [] if file.is_unreadable else file.rows
    incoming.load_rows(_told(rows, progress))
    incoming.compare(draft)
    progress("compare", len(rows), len(rows))
    incoming.find_unlisted(DeckImport.Mode.MERGE if file.is_unreadable else mode, unusable_keys=file.unusable_keys)
    difference = incoming.measured()
    file.warnings.extend(disagreements(file, incoming.outcomes()))
    progress("write", 0, len(rows))
    incoming.write(draft)
    progress("write", len(rows), len(rows))
    counts = incoming.counts_of(difference, read=file.read, skipped=file.skipped, error=file.error)
    if file.is_unreadable:
        counts["skipped"] += len(file.rows)  # so that the sum holds: nothing was compared
    return {**counts, "bands": _store_file_bands(draft, file)}


def _told(rows: list[ParsedRow], progress: Progress) -> Iterator[ParsedRow]:
    """The rows on their way to be compared, which is told as they go."""
    for done, row in enumerate(rows, 1):
        yield row
        if done % TOLD_EACH == 0:
            with suppress(RunCancelled):  # COPY is not left half-way: the next step says it again
                progress("compare", done, len(rows))


def _store_file_bands(draft: DeckVersion, file: DeckFile) -> int:
    """The draft's bands with those of the file; how many of them are new or changed."""
    before: dict[str, BandTerms] = {band.name: band for band in bands_of(draft)}
    given = {band.name: band for band in file.bands or []}
    changed = [name for name, band in given.items() if before.get(name) != band]
    if changed:
        store_bands(draft, (before | given).values())
    return len(changed)
