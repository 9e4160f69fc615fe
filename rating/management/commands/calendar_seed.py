from typing import Any

from billing_platform.auth import Caller
from billing_platform.jobs import PlatformCommand, Run
from rating.calendar import today_in_china
from rating.calendar_edits import change_items, load_changes, shipped_changes

CALLER = Caller("command", "calendar_seed")


class Command(PlatformCommand):
    help = "Load the holidays and make-up working days that ship with this release; days entered by hand stay."
    moves_money = True  # the class of a day decides about prices

    def work(self, run: Run, options: dict[str, Any]) -> None:
        changes, kept = shipped_changes()
        run.counts.update(changed=len(changes), kept=len(kept))
        run.items += change_items(changes, today=today_in_china())
        run.items += [{"date": one.entry.date.isoformat(), "kept": one.before, "shipped": one.after} for one in kept]
        if not run.dry_run and changes:
            run.items.append({"revision": load_changes(changes, caller=CALLER, reason="shipped days")})
