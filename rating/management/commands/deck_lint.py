from typing import Any

from django.core.management.base import CommandParser

from billing_platform import clock
from billing_platform.jobs import PlatformCommand, Run
from rating.decks import latest_version, load_deck, load_version
from rating.errors import DeckUnknown
from rating.findings import item_of
from rating.lint import find_faults
from rating.models import DeckVersion


class Command(PlatformCommand):
    help = "What looks wrong in a deck: gaps, ties, rows that never win, prices below cost. Exit 3 for any finding."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Here `--version` is a deck's version, not Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deck")
        parser.add_argument("--version", type=int, metavar="N", help="drafts too; default: the latest published one")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        version = _version(options["deck"], options["version"])
        findings = find_faults(version, clock.now())
        run.counts["rows"] = version.row_count
        run.counts["findings"] = findings.total
        run.counts.update(findings.counts)
        run.items.extend(item_of(finding) for finding in findings.items)
        if findings.total:
            run.fail("lint", f"{findings.total} findings", ref=f"{options['deck']} v{version.number}")

    def text_of(self, run: Run) -> str:
        """A table of the findings, then the counts."""
        rows = [[item["code"], item["prefix"], item["destination"], item["message"]] for item in run.items]
        widths = [max((len(row[place]) for row in rows), default=0) for place in range(3)]
        lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows]
        lines += [f"{name}: {count}" for name, count in sorted(run.counts.items())]
        lines += [f"! {error['code']} {error['ref']} {error['message']}" for error in run.errors]
        return "\n".join(lines)


def _version(code: str, number: int | None) -> DeckVersion:
    if number is not None:
        return load_version(code, number)
    latest = latest_version(load_deck(code))
    if latest is None:
        raise DeckUnknown(deck=code)
    return latest
