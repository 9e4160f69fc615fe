from typing import Any

from django.core.management.base import CommandParser

from billing_platform.jobs import PlatformCommand, Run
from rating.decks import load_version
from rating.importing.imports import compare_versions


class Command(PlatformCommand):
    help = "What changed from version A to version B of a deck: the same counts as an import shows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deck")
        parser.add_argument("a", type=int)
        parser.add_argument("b", type=int)

    def work(self, run: Run, options: dict[str, Any]) -> None:
        before, after = load_version(options["deck"], options["a"]), load_version(options["deck"], options["b"])
        run.counts.update(compare_versions(before, after))
