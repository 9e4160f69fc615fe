from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing_platform.auth import Caller
from billing_platform.errors import Malformed
from billing_platform.jobs import PlatformCommand, Run
from rating.messages import message_of
from rating.numbers.ported import SOURCE
from rating.numbers.segment_imports import import_segments, preview_segments

ERRORS_SHOWN = 50
PROGRESS_ROWS = 10_000
CALLER = Caller("command", "segments_import")


class Command(PlatformCommand):
    help = "Read ported numbers or segments from a CSV file, count what changes, and with --apply write them."
    moves_money = True  # the carrier decides about prices

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV: number,carrier[,valid_from,valid_to,kind,area,city_zh,city_en]")
        parser.add_argument(
            "--source", default=SOURCE, help="ported: whole numbers; any other name: beginnings of keys"
        )
        parser.add_argument("--skip-errors", action="store_true", help="leave out rows with errors")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        path = Path(options["file"])
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                total = sum(1 for _ in path.open("rb"))
                lines = _told(run, file, total)
                if run.dry_run:
                    counts = preview_segments(lines, source=options["source"])
                else:
                    counts = import_segments(
                        lines, caller=CALLER, source=options["source"], file_name=path.name,
                        skip_errors=options["skip_errors"],
                    )  # fmt: skip
        except OSError as missing:
            raise Malformed(f"{path}: {missing.strerror}") from missing
        for name in ("read", "created", "changed", "same", "error"):
            run.counts[name] = getattr(counts, name)
        for error in counts.errors[:ERRORS_SHOWN]:
            run.fail(error.code, f"{message_of(error.code)} {error.value!r}", ref=f"row {error.row} {error.column}")


def _told(run: Run, lines: Any, total: int) -> Iterator[str]:
    """The lines, telling how far the reading is."""
    for number, line in enumerate(lines, start=1):
        if number % PROGRESS_ROWS == 0 or number == total:
            run.progress(number, total)
        yield line
