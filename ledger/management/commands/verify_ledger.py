"""verify_ledger: the oracle. Exit 0 when every invariant holds, 6 when one is broken."""

from typing import Any

from django.core.management.base import CommandParser

from billing_platform.jobs import PlatformCommand, Run
from ledger.audit import verify_all, verify_recent


class Command(PlatformCommand):
    help = "Check every invariant of the books in one snapshot."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--recent", action="store_true", help="only what is new since the last clean run")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        verification = verify_recent if options["recent"] else verify_all
        verification(run)

    def text_of(self, run: Run) -> str:
        lines = []
        for item in run.items:
            lines.append(f"invariant {item['invariant']:>2}: {item['breaches'] or 'holds'}")
            lines += [f"    {example}" for example in item["examples"]]
        lines += [f"! {error['code']} {error['ref']}" for error in run.errors]
        return "\n".join(lines)
