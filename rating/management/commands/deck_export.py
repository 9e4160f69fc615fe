from pathlib import Path
from shutil import copyfileobj
from typing import Any

from django.core.management.base import CommandParser

from billing_platform import clock
from billing_platform.errors import Malformed
from billing_platform.jobs import PlatformCommand, Run
from rating.decks import find_version
from rating.formats import native
from rating.formats.workbook_writing import deck_workbook
from rating.models import DeckVersion
from rating.versions import bands_of, export_head, exported_rates


class Command(PlatformCommand):
    help = (
        "Write a version of a deck as a native CSV file to stdout, byte by byte the same each time, or as a workbook."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Here `--version` is a deck's version, not Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deck")
        parser.add_argument("--version", type=int, metavar="N", help="default: the version in force now")
        parser.add_argument("--xlsx", metavar="FILE", help="write a workbook to this file instead")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        version = find_version(options["deck"], number=options["version"], at=clock.now())
        facts = {"deck": options["deck"], "version": version.number}
        if options["xlsx"]:
            _write(Path(options["xlsx"]), version)
            run.items.append({**facts, "file": options["xlsx"]})
            return
        lines = native.render(export_head(version), bands=bands_of(version), rates=exported_rates(version))
        if options["format"] == "json":
            run.items.append({**facts, "file": "".join(lines)})
            return
        for line in lines:
            self.stdout.write(line, ending="")

    def text_of(self, run: Run) -> str:
        return ""


def _write(path: Path, version: DeckVersion) -> None:
    """The whole file or none: it appears under its name when it is complete."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as target:
            book = deck_workbook(export_head(version), bands=bands_of(version), rates=exported_rates(version))
            copyfileobj(book, target)
        unfinished.replace(path)
    except OSError as refused:
        raise Malformed(f"{path}: {refused.strerror}") from refused
