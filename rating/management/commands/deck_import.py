import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing_platform.auth import Caller
from billing_platform.errors import Malformed, ValidationFailed
from billing_platform.jobs import PlatformCommand, Run
from rating.decks import Publication, load_deck
from rating.explaining.reading import read_instant
from rating.importing.imports import STEPS, ImportOrder, ImportReceipt, apply_import, error_items, preview_import
from rating.importing.templates import find_template
from rating.models import DeckImport
from rating.proposals import ask_second_person

BYTES_MAX = 100 * 2**20
ERRORS_SHOWN = 50
CALLER = Caller("command", "deck_import")


class Command(PlatformCommand):
    help = "Read a deck file, show what it would change, and with --apply schedule it as a new version."
    moves_money = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="a deck file; - = stdin")
        parser.add_argument("--deck", required=True, help="the deck's code")
        parser.add_argument("--template", default="", metavar="T", help="a saved template or a format; default: detect")
        parser.add_argument("--mode", choices=DeckImport.Mode.values, default=DeckImport.Mode.MERGE.value)
        parser.add_argument(
            "--effective",
            metavar="T",
            help="when it takes effect, with offset; default: the file's date, else now + 5 s",
        )
        parser.add_argument("--skip-errors", action="store_true", help="leave out rows with errors")
        parser.add_argument("--correction", action="store_true", help="allow an effective time in the past")
        parser.add_argument("--reason", default="")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        order = ImportOrder(
            deck=options["deck"],
            content=_content(options["file"]),
            file_name=Path(options["file"]).name,
            mode=options["mode"],
            skip_errors=options["skip_errors"],
            publication=Publication(
                _effective(options["effective"]), reason=options["reason"], correction=options["correction"]
            ),
            template=find_template(options["template"], deck=load_deck(options["deck"])),
            template_name=options["template"],
        )
        if run.dry_run:
            receipt = preview_import(order, caller=CALLER, progress=run.in_steps(STEPS))
        else:
            receipt = apply_import(order, caller=CALLER, confirm=options["confirm"], progress=run.in_steps(STEPS))
        _tell(run, receipt)
        ask_second_person(run, [receipt.version] if receipt.version is not None else [])


def _content(name: str) -> bytes:
    try:
        content = sys.stdin.buffer.read(BYTES_MAX + 1) if name == "-" else Path(name).read_bytes()
    except OSError as missing:
        raise Malformed(f"{name}: {missing.strerror}") from missing
    if len(content) > BYTES_MAX:
        raise Malformed(f"{name} is larger than {BYTES_MAX} bytes")
    return content


def _effective(text: str | None) -> datetime | None:
    try:
        return read_instant(text) if text else None
    except ValueError as unreadable:
        raise ValidationFailed(str(unreadable), effective=text) from unreadable


def _tell(run: Run, receipt: ImportReceipt) -> None:
    """Counts, then the version that was made, the guard rails, and the first errors."""
    run.counts.update(receipt.counts)
    if receipt.version is not None:
        version = receipt.version
        effective_from = _iso(version.effective_from)
        run.items.append({"deck": version.deck, "version": version.number, "effective_from": effective_from})
    if receipt.rails:
        run.items.append({"guard_rails": list(receipt.rails), "confirm": receipt.token})
    if receipt.version is None and receipt.effective_from is not None:
        run.items.append({"effective_from": _iso(receipt.effective_from)})
    run.items.extend({"warning": item} for item in error_items(receipt.warnings[:ERRORS_SHOWN]))
    for error in error_items(receipt.errors[:ERRORS_SHOWN]):
        run.fail(error["code"], f"{error['message']} {error['value']!r}", ref=f"row {error['row']} {error['column']}")


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
