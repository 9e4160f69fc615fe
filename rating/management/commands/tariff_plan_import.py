import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing_platform.auth import Caller
from billing_platform.errors import Malformed
from billing_platform.jobs import PlatformCommand, Run
from rating.comparisons import percent_text
from rating.formats import cgrates
from rating.importing.plans import PlanOrder, PlanReceipt, apply_plan, fault_items, preview_plan
from rating.proposals import ask_second_person

BYTES_MAX = 100 * 2**20  # of each file
SHOWN = 50
CALLER = Caller("command", "tariff_plan_import")
LAYOUTS = {"cgrates": cgrates}


class _Format(argparse.Action):
    """`--format` names the folder's layout and, given again, that of the output."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, value: Any, _option: str | None = None) -> None:
        setattr(namespace, "layout" if value in LAYOUTS else "format", value)


class Command(PlatformCommand):
    help = "Read a tariff plan's folder, show what it would change, and with --apply make the plan what it says."
    moves_money = True

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)
        parser.add_argument(
            "--format",
            action=_Format,
            choices=(*LAYOUTS, "text", "json"),
            default="text",
            help="the folder's layout; given twice, also the output's: --format cgrates --format json",
        )
        parser.set_defaults(layout="")
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", help="a folder of CSV files")
        parser.add_argument("--plan", metavar="ID", help="default: the folder's name; main is live")
        parser.add_argument("--zone", default="UTC", help="in which its time bands are judged")
        parser.add_argument("--currency", default="CNY")
        parser.add_argument("--replace", action="store_true", help="also where the plan's prices are live")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        if not options["layout"]:
            raise Malformed(f"say how the folder is laid out: --format {' or '.join(LAYOUTS)}")
        directory = Path(options["directory"])
        order = PlanOrder(
            plan=directory.resolve().name if options["plan"] is None else options["plan"],
            zone=options["zone"],
            currency=options["currency"],
            replaces_live=options["replace"],
        )
        folder = LAYOUTS[options["layout"]].parse(_files(directory))
        if run.dry_run:
            receipt = preview_plan(folder, order, caller=CALLER)
        else:
            receipt = apply_plan(folder, order, caller=CALLER, confirm=options["confirm"])
        _tell(run, receipt)
        if not run.dry_run:
            ask_second_person(run, receipt.versions)


def _files(directory: Path) -> Mapping[str, bytes]:
    try:
        paths = [path for path in sorted(directory.iterdir()) if path.suffix == ".csv" and path.is_file()]
        for path in paths:
            if path.stat().st_size > BYTES_MAX:
                raise Malformed(f"{path} is larger than {BYTES_MAX} bytes")
        return {path.name: path.read_bytes() for path in paths}
    except OSError as missing:
        raise Malformed(f"{directory}: {missing.strerror}") from missing


def _tell(run: Run, receipt: PlanReceipt) -> None:
    """Counts, what became of the plan, its decks and guard rails, then warnings and errors by file and line."""
    run.counts.update(receipt.counts)
    if not receipt.errors:
        run.items.append({"plan": receipt.plan, "result": _result(run, receipt), "sha256": receipt.sha256})
    for version in receipt.versions[:SHOWN]:
        difference = receipt.differences.get(version.deck)
        told = {**difference.counts, "average_change": percent_text(difference.average)} if difference else {}
        run.items.append({"deck": version.deck, "version": version.number, "rows": version.rows, **told})
    if receipt.rails:
        run.items.append({"guard_rails": list(receipt.rails), "confirm": receipt.token})
    run.items.extend({"warning": item} for item in fault_items(receipt.warnings[:SHOWN]))
    for fault in fault_items(receipt.errors[:SHOWN]):
        ref = f"{fault['file']} line {fault['line']} {fault['column']}".strip()
        run.fail(fault["code"], f"{fault['message']} {fault['value']!r}", ref=ref)


def _result(run: Run, receipt: PlanReceipt) -> str:
    if not receipt.is_changed:
        return "nothing to do"
    if receipt.waits:
        return "would wait for a second person" if run.dry_run else "waits for a second person"
    return "would be replaced" if run.dry_run else "replaced"
