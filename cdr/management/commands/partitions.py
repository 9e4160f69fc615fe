"""manage.py partitions: make the months ahead; with --detach take months older than two years out of their tables."""

from argparse import ArgumentParser
from typing import Any

from billing_platform.jobs import PlatformCommand, Run
from cdr.partitions import TABLES, default_is_empty, detach_partitions, make_partitions


class Command(PlatformCommand):
    help = "Make missing monthly partitions of deliveries and call records."
    exclusive = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--detach", action="store_true", help="take months older than 24 out; they stay as tables")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        """Make, perhaps detach, and tell when rows lie outside of any month."""
        run.items += [{"made": name} for name in make_partitions()]
        if options["detach"]:
            run.items += [{"detached": name} for name in detach_partitions()]
        run.counts["partitions"] = len(run.items)
        for table in TABLES:
            if not default_is_empty(table):
                run.fail("default_partition_used", "rows lie outside of any month", ref=table)
