"""seal_ledger: seal the days that have ended; `--verify` reads every seal again."""

from typing import Any

from django.core.management.base import CommandParser

from billing_platform import clock
from billing_platform.jobs import PlatformCommand, Run, VerificationMismatch
from ledger.seals import find_broken_seals, seal_due_days


class Command(PlatformCommand):
    help = "Seal every ended day of transfers that has no seal."
    exclusive = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--verify", action="store_true", help="compare every seal with its day; seal nothing")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        if not options["verify"]:
            run.items += [{"sealed": day.isoformat()} for day in seal_due_days(at=clock.now())]
            run.counts["sealed"] = len(run.items)
            return
        run.items += [{"broken": text} for text in find_broken_seals()]
        run.counts["broken"] = len(run.items)
        if run.items:
            raise VerificationMismatch(seals=len(run.items))
