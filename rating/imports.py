"""Deck files: read, compare, and - once somebody has seen the difference - publish. 费率表导入.

A preview is the same code as the import, rolled back at the end: no file changes a price before its whole difference
has been shown.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.runs import GuardRail
from rating import differences
from rating.decks import Publication, VersionReceipt, latest_version, load_deck, open_draft, publish_draft
from rating.errors import ImportRefused
from rating.formats import native
from rating.formats.fields import FileContext, ParsedRow, RowError
from rating.messages import message_of
from rating.models import Carrier, Deck, DeckImport, DeckVersion
from rating.terms import BandTerms
from rating.versions import bands_of, export_head, store_bands

ERRORS_SHOWN = 20
ERRORS_STORED = 1000


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """A file for a deck. `merge` changes the listed prefixes only; `replace` ends those that are not listed."""

    deck: str
    content: bytes
    file_name: str = "deck.csv"
    mode: str = DeckImport.Mode.MERGE
    skip_errors: bool = False
    publication: Publication = field(default_factory=Publication)


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
    version: VersionReceipt | None = None


def preview_import(order: ImportOrder, *, caller: Caller) -> ImportReceipt:
    """What the file would change; nothing stays behind. Raises DeckUnknown."""
    deck, file = load_deck(order.deck), _read_file(order)
    with transaction.atomic():  # rolled back: the preview is the import without its end
        receipt = _draw_up(order, deck=deck, file=file, caller=caller)[1]
        transaction.set_rollback(True)
    return receipt


def apply_import(order: ImportOrder, *, caller: Caller, confirm: str = "") -> ImportReceipt:
    """Import the file and schedule the version it makes; a file without a difference makes none.

    Raises DeckUnknown, ImportRefused (error rows without `skip_errors`), GuardRail (repeat with its token), TooSoon.
    """
    deck, file = load_deck(order.deck), _read_file(order)  # outside the transaction: reading a large file takes seconds
    return _apply(order, deck=deck, file=file, caller=caller, confirm=confirm)


@transaction.atomic(durable=True)  # rows, version, receipt and event become true together
def _apply(order: ImportOrder, *, deck: Deck, file: native.DeckFile, caller: Caller, confirm: str) -> ImportReceipt:
    draft, receipt = _draw_up(order, deck=deck, file=file, caller=caller)
    _check_applicable(order, file, receipt, confirm=confirm)
    if not has_changes(receipt):
        transaction.set_rollback(True)
        return receipt
    version = publish_draft(draft, publication=order.publication, caller=caller)
    DeckImport.objects.create(
        deck=deck,
        version=draft,
        file_name=order.file_name[:200],
        sha256=receipt.sha256,
        mode=order.mode,
        counts=receipt.counts,
        errors=[error._asdict() for error in receipt.errors[:ERRORS_STORED]],
        created_by=caller.actor,
    )
    return replace(receipt, version=version)


@transaction.atomic  # temporary tables live as long as the transaction
def compare_versions(before: DeckVersion, after: DeckVersion) -> Mapping[str, int]:
    """What changed from one version to the other, counted as an import counts."""
    differences.load_version_rows(after)
    differences.compare(before)
    difference = differences.measured(ends_unlisted=True)
    read = difference.created + difference.changed + difference.same
    return differences.counts_of(difference, read=read, skipped=0, error=0)


def has_changes(receipt: ImportReceipt) -> bool:
    """Would publishing change anything?"""
    return any(receipt.counts[name] for name in ("created", "changed", "removed", "bands"))


def error_items(errors: Iterable[RowError]) -> list[dict[str, Any]]:
    """Row errors for people and programs: row, column, value, code, and the message in the language in use."""
    return [{**error._asdict(), "message": message_of(error.code)} for error in errors]


def _read_file(order: ImportOrder) -> native.DeckFile:
    deck = load_deck(order.deck)
    latest = latest_version(deck)
    known = bands_of(latest) if latest else []
    context = FileContext(
        zone=ZoneInfo(deck.zone),
        numbering=deck.numbering,
        carriers=frozenset(Carrier.objects.values_list("code", flat=True)),
        bands=frozenset(band.name for band in known),
    )
    file = native.parse(order.content, context)
    _check_head(deck, latest, file)
    refuse_duplicates(file)
    return file


def _check_head(deck: Deck, latest: DeckVersion | None, file: native.DeckFile) -> None:
    """A file that speaks of another currency, zone or numbering than its deck is not for this deck."""
    for name, value in export_head(latest or DeckVersion(deck=deck)).items():
        given = file.head.get(name, str(value))
        if given != str(value):
            file.errors.append(RowError(0, name, given, "E_CURRENCY" if name == "currency" else "E_HEADER"))


def refuse_duplicates(file: native.DeckFile) -> None:
    """Two rows for the same calls in overlapping periods: neither can be meant, so the later one is an error."""
    seen: dict[tuple[Any, ...], list[ParsedRow]] = {}
    kept: list[ParsedRow] = []
    for parsed in file.rows:
        terms = parsed.terms
        identity = (parsed.key, terms.carrier, terms.reach, terms.kind, terms.band, terms.priority)
        others = seen.setdefault(identity, [])
        twin = next((other for other in others if _overlap(parsed, other)), None)
        if twin is None:
            others.append(parsed)
            kept.append(parsed)
        else:
            file.refuse([RowError(parsed.row, "prefix", f"{terms.prefix} (row {twin.row})", "E_DUPLICATE")])
    file.rows = kept


def _overlap(one: ParsedRow, other: ParsedRow) -> bool:
    def before(end: datetime | None, start: datetime | None) -> bool:
        return end is not None and start is not None and end <= start

    return not (
        before(one.terms.effective_to, other.terms.effective_from)
        or before(other.terms.effective_to, one.terms.effective_from)
    )


def _draw_up(
    order: ImportOrder, *, deck: Deck, file: native.DeckFile, caller: Caller
) -> tuple[DeckVersion, ImportReceipt]:
    """The draft that the file makes, and the receipt."""
    draft = open_draft(deck, caller=caller, reason=order.publication.reason)
    ends_unlisted = order.mode == DeckImport.Mode.REPLACE
    differences.load_rows([] if file.is_unreadable else file.rows)
    differences.compare(draft)
    difference = differences.measured(ends_unlisted=ends_unlisted and not file.is_unreadable)
    if not file.is_unreadable:
        differences.write(draft, ends_unlisted=ends_unlisted)
    bands = _store_file_bands(draft, file)
    counts = {
        **differences.counts_of(difference, read=file.read, skipped=file.skipped, error=file.error),
        "bands": bands,
    }
    if file.is_unreadable:
        counts["skipped"] += len(file.rows)  # so that the sum holds: nothing was compared
    sha256 = hashlib.sha256(order.content).hexdigest()
    rails = tuple(_rails(difference, file)) if difference.rows_before else ()
    receipt = ImportReceipt(
        deck=deck.code,
        sha256=sha256,
        mode=order.mode,
        counts=counts,
        errors=tuple(file.errors),
        warnings=tuple(file.warnings),
        rails=rails,
        token=_token(sha256, counts, rails) if rails else "",
    )
    return draft, receipt


def _store_file_bands(draft: DeckVersion, file: native.DeckFile) -> int:
    """The draft's bands with those of the file; how many of them are new or changed."""
    before: dict[str, BandTerms] = {band.name: band for band in bands_of(draft)}
    given = {band.name: band for band in file.bands or []}
    changed = [name for name, band in given.items() if before.get(name) != band]
    if changed:
        store_bands(draft, (before | given).values())
    return len(changed)


def _rails(difference: differences.Difference, file: native.DeckFile) -> Iterable[str]:
    """The guard rails that the difference touches."""
    before = difference.rows_before
    after = before + difference.created - difference.removed
    if difference.removed * 10 > before:
        yield "removed_rows"
    if difference.rise > Decimal("0.2"):
        yield "average_rise"
    if difference.jumps:
        yield "rate_jump"
    if difference.below_cost:
        yield "below_cost"
    if abs(after - before) * 10 > before * 3:
        yield "row_count"
    if file.error * 100 > file.read:
        yield "error_rows"


def _token(sha256: str, counts: Mapping[str, int], rails: tuple[str, ...]) -> str:
    """A hash of the difference: a changed file, or a deck changed meanwhile, needs a new one."""
    told = json.dumps([sha256, dict(counts), rails], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _check_applicable(order: ImportOrder, file: native.DeckFile, receipt: ImportReceipt, *, confirm: str) -> None:
    if file.is_unreadable or (file.errors and not order.skip_errors):
        shown = error_items(receipt.errors[:ERRORS_SHOWN])
        raise ImportRefused(errors=shown, error_count=file.error or len(file.errors))
    if receipt.rails and confirm != receipt.token:
        raise GuardRail("; ".join(receipt.rails), token=receipt.token, rails=list(receipt.rails))
