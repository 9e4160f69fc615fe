"""manage.py rerate: price charges again; a dry run says what would change, --what-if asks about another version."""

from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from billing_platform.errors import Malformed, ValidationFailed
from billing_platform.jobs import GuardRail, PlatformCommand, Run
from billing_platform.kept import ROWS, SUMMARY, keep_result
from counter.charged import Scope, month_of, narrowed
from counter.rerate_report import (
    ACCOUNT,
    RERATING,
    TOTAL,
    WHAT_IF,
    Item,
    cell,
    csv_lines,
    rerating_items,
    what_if_items,
)
from counter.rerating import Order, Outcome, apply, compare
from counter.whatif import Question, what_if

ADJUST = "adjust"
PROCESSES_MAX = 16
USES_MAX = 1_000
SHOWN = 200  # rows of a kind that a page gets; its file has them all
SHARES = {"compare": 40, "write": 60}
EXAMPLES = """
examples:
  rerate --period 2026-10                                        what would change, by account and in total
  rerate --period 2026-10 --flag default_rate --apply            charge those anew that had no rate then
  rerate --period 2026-10 --account C00000017 --format json      one account, for programs
  rerate --period 2026-10 --include-closed adjust --apply        closed periods too, as adjustments of the open one
  rerate --period 2026-10 --what-if retail:8 --csv month.csv     what if version 8 had been in force
A run that was cut off is completed by the same command: what it has charged anew is not touched again.
"""


class Command(PlatformCommand):
    help = "Price the charged uses of a month again by today's tariffs, or ask what another deck version would do."
    moves_money = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog, parser.formatter_class = EXAMPLES, RawDescriptionHelpFormatter
        parser.add_argument("--period", required=True, metavar="YYYY-MM", help="the month in which the uses began")
        parser.add_argument("--what-if", default="", metavar="DECK:VERSION", help="a version, drafts too; only reports")
        parser.add_argument("--organization", default="", metavar="CODE", help="whose accounts; all without it")
        parser.add_argument("--account", action="append", default=[], metavar="ACCNO")
        parser.add_argument("--prefix", action="append", default=[], help="of the number's key: 8621")
        parser.add_argument("--carrier", action="append", default=[], help="as found when the use was charged")
        parser.add_argument("--deck-version", default="", metavar="DECK:VERSION", help="priced by this version")
        parser.add_argument("--flag", action="append", default=[], help="a warning of the charge: default_rate")
        parser.add_argument("--use", action="append", default=[], type=int, metavar="ID", help="this charged use alone")
        parser.add_argument("--include-closed", choices=[ADJUST], help="adjust closed periods in the open one")
        parser.add_argument("--reason", default="", help="for the audit trail")
        parser.add_argument("--processes", type=int, default=2)
        parser.add_argument("--csv", default="", metavar="FILE", help="every row of the result, what-if or not")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        if not 1 <= options["processes"] <= PROCESSES_MAX:
            raise ValidationFailed(errors={"processes": f"1 to {PROCESSES_MAX}"})
        if options["what_if"]:
            _ask(run, options)
            return
        order = Order(_scope(options), options["include_closed"] == ADJUST, options["processes"])
        outcome = compare(order, progress=run.progress) if run.dry_run else _apply(run, order, options)
        run.counts.update({name: count for name, count in outcome.counts.items() if count})
        for currency in sorted(outcome.totals):
            run.add_amount(currency, outcome.totals[currency].difference)
        run.items += rerating_items(outcome)
        _keep(run, run.items, RERATING, token=order.token(outcome), moved=f"{outcome.moved:f}")
        if options["csv"]:
            _write(Path(options["csv"]), csv_lines(run.items, RERATING))

    def text_of(self, run: Run) -> str:
        """Counts and a table; of single calls only JSON and the file tell."""
        asked = bool(run.items) and "revenue_now" in run.items[0]
        columns = WHAT_IF if asked else tuple(name for name in RERATING if name not in {"use", "start"})
        rows = [item for item in run.items if asked or item["by"] in {TOTAL, ACCOUNT}]
        lines = [f"{name}: {count}" for name, count in sorted(run.counts.items())]
        if rows:
            lines += ["  ".join(columns), *("  ".join(cell(row.get(name)) for name in columns) for row in rows)]
        lines += [f"! {error['code']} {error['ref']} {error['message']}" for error in run.errors]
        lines += (
            ["nothing was changed" if asked else "dry run: nothing was changed; add --apply"] if run.dry_run else []
        )
        return "\n".join(lines)


def _apply(run: Run, order: Order, options: dict[str, Any]) -> Outcome:
    """A look first, so that what is confirmed is what will be; a run that is taken up again goes on where it was."""
    cause, progress = f"rerate:{run.id}", run.in_steps(SHARES)
    outcome = compare(order, progress=partial(progress, "compare"), cause=cause)
    _confirm(order, outcome, options["confirm"])
    if not outcome.counts["changed"]:
        return outcome
    writing = partial(progress, "write")
    return apply(order, progress=writing, cause=cause, reason=options["reason"], seen=outcome.ranges)


def _scope(options: dict[str, Any]) -> Scope:
    if options["deck_version"]:
        _named_version(options["deck_version"])
    if len(options["use"]) > USES_MAX:
        raise ValidationFailed(errors={"use": f"at most {USES_MAX}"})
    return narrowed(
        month_of(options["period"]), organization=options["organization"], accounts=tuple(options["account"]),
        prefixes=tuple(options["prefix"]), carriers=tuple(options["carrier"]), deck_version=options["deck_version"],
        flags=tuple(options["flag"]), uses=tuple(options["use"]),
    )  # fmt: skip


def _named_version(text: str) -> tuple[str, int]:
    deck, _, number = text.rpartition(":")
    if not (deck and number.isascii() and number.isdigit() and len(number) < 10):
        raise ValidationFailed(errors={"version": "DECK:VERSION, such as retail:7"})
    return deck, int(number)


def _ask(run: Run, options: dict[str, Any]) -> None:
    """A what-if: the sums and the largest movers; its file and the page have every row."""
    if not run.dry_run:
        raise ValidationFailed(errors={"apply": "a what-if is never applied: publish the version, then re-rate"})
    deck, version = _named_version(options["what_if"])
    question = Question(_scope(options), deck, version)
    report = what_if(question, processes=options["processes"], progress=run.progress)
    for currency in sorted(report.totals):
        total = report.totals[currency]
        run.counts.update(calls=total.calls, lost=total.lost, unpriced=total.unpriced)
        run.add_amount(currency, total.change)
    run.items += what_if_items(report, report.movers())
    rows = what_if_items(report, report.rows())
    _keep(run, rows, WHAT_IF)
    if options["csv"]:
        _write(Path(options["csv"]), csv_lines(rows, WHAT_IF))


def _confirm(order: Order, outcome: Outcome, token: str) -> None:
    """A large difference must be confirmed with the token that this very difference gives; a wrong token never does."""
    is_large = outcome.moved > settings.RERATE_CONFIRM_AMOUNT
    if token != order.token(outcome) and (token or is_large):
        raise GuardRail(f"the differences add up to {outcome.moved:f}", token=order.token(outcome))


def _keep(run: Run, items: list[Item], columns: tuple[str, ...], **facts: str) -> None:
    """For the page: what it shows, and every row for its files."""
    seen: dict[str, int] = {}
    shown = []
    for item in items:
        seen[item["by"]] = seen.get(item["by"], 0) + 1
        if seen[item["by"]] <= SHOWN:
            shown.append(item)
    envelope = run.envelope() | {"items": shown}
    keep_result(run.id, SUMMARY, {"envelope": envelope, "rows": seen, "columns": columns, **facts})
    keep_result(run.id, ROWS, items)


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            file.writelines(lines)
    except OSError as failure:
        raise Malformed(f"{path}: {failure.strerror}") from failure
