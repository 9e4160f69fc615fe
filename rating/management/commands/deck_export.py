from typing import Any

from django.core.management.base import CommandParser

from billing_platform import clock
from billing_platform.jobs import PlatformCommand, Run
from rating.decks import find_version
from rating.formats import native
from rating.versions import bands_of, export_head, exported_rates


class Command(PlatformCommand):
    help = "Write a version of a deck as a native file to stdout; the same content gives the same bytes."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Here `--version` is a deck's version, not Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deck")
        parser.add_argument("--version", type=int, metavar="N", help="default: the version in force now")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        version = find_version(options["deck"], number=options["version"], at=clock.now())
        lines = native.render(export_head(version), bands=bands_of(version), rates=exported_rates(version))
        if options["format"] == "json":
            run.items.append({"deck": options["deck"], "version": version.number, "file": "".join(lines)})
            return
        for line in lines:
            self.stdout.write(line, ending="")

    def text_of(self, run: Run) -> str:
        return ""
