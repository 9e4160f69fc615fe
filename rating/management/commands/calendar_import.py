from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing_platform.auth import Caller
from billing_platform.errors import Malformed
from billing_platform.jobs import PlatformCommand, Run
from rating.calendar import today_in_china
from rating.calendar_edits import change_items, load_changes, notice_changes, read_notice
from rating.messages import message_of

CALLER = Caller("command", "calendar_import")


class Command(PlatformCommand):
    help = "Load a year's official holidays and make-up working days from CSV: date,class[,name_zh,name_en]."
    moves_money = True  # the class of a day decides about prices

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("year", type=int, choices=range(2004, 2100), metavar="YEAR")
        parser.add_argument("file", help="class: holiday or makeup_workday; other days are left out")
        parser.add_argument("--reason", default="")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        path = Path(options["file"])
        try:
            lines = path.read_bytes().decode("utf-8-sig").splitlines()
        except OSError as missing:
            raise Malformed(f"{path}: {missing.strerror}") from missing
        except UnicodeDecodeError as garbled:
            raise Malformed(f"{path}: not UTF-8") from garbled
        entries, errors = read_notice(lines, year=options["year"])
        for error in errors:
            run.fail(error.code, f"{message_of(error.code)} {error.value!r}", ref=f"row {error.row} {error.column}")
        if errors:
            return
        run.counts["read"] = len(entries)
        changes = notice_changes(options["year"], entries)
        run.counts["changed"] = len(changes)
        run.items += change_items(changes, today=today_in_china())
        if not run.dry_run and changes:
            revision = load_changes(changes, caller=CALLER, reason=options["reason"] or path.name)
            run.items.append({"revision": revision})
