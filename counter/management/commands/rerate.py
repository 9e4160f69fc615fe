"""manage.py rerate: price charges again; a dry run says what would change, --what-if asks about another version."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from billing_platform.errors import Malformed, ValidationFailed
from billing_platform.jobs import GuardRail, PlatformCommand, Run
from billing_platform.sheets import Figure, csv_row
from counter.charged import Scope, month_of, narrowed
from counter.rerating import Difference, Order, Outcome, apply, compare
from counter.whatif import Question, Report, Row, Tally, what_if

ADJUST = "adjust"
NAMES = 3  # columns of the report that are text; the others are figures
PROCESSES_MAX = 16
HEADER = (
    "by", "name", "currency", "calls", "minutes", "revenue_now", "revenue_then", "change", "change_percent",
    "cost_now", "cost_then", "margin_now", "margin_then", "cost_unknown_now", "cost_unknown_then", "lost", "unpriced",
)  # fmt: skip


class Command(PlatformCommand):
    help = "Price the charged uses of a month again by today's tariffs, or ask what another deck version would do."
    moves_money = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--period", required=True, metavar="YYYY-MM", help="the month in which the uses began")
        parser.add_argument("--what-if", default="", metavar="DECK:VERSION", help="a version, drafts too; only reports")
        parser.add_argument("--account", action="append", default=[], metavar="ACCNO")
        parser.add_argument("--prefix", action="append", default=[], help="of the number's key: 8621")
        parser.add_argument("--carrier", action="append", default=[], help="as found when the use was charged")
        parser.add_argument("--deck-version", default="", metavar="DECK:VERSION", help="priced by this version")
        parser.add_argument("--flag", action="append", default=[], help="a warning of the charge: default_rate")
        parser.add_argument("--include-closed", choices=[ADJUST], help="adjust closed periods in the open one")
        parser.add_argument("--processes", type=int, default=2)
        parser.add_argument("--csv", default="", metavar="FILE", help="the whole report of a what-if")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        if not 1 <= options["processes"] <= PROCESSES_MAX:
            raise ValidationFailed(errors={"processes": f"1 to {PROCESSES_MAX}"})
        if options["what_if"]:
            _ask(run, options)
            return
        if options["csv"]:
            raise ValidationFailed(errors={"csv": "only with --what-if"})
        order = Order(_scope(options), options["include_closed"] == ADJUST, options["processes"])
        outcome = compare(order, progress=run.progress)
        if not run.dry_run and outcome.counts["changed"]:
            _confirm(order, outcome, options["confirm"])
            outcome = apply(order, cause=f"rerate:{run.id}", progress=run.progress)
        _tell(run, outcome)

    def text_of(self, run: Run) -> str:
        """Of a what-if a table; else as every command."""
        if not (run.items and "by" in run.items[0]):
            return super().text_of(run)
        lines = ["  ".join(HEADER), *("  ".join(_cell(item[name]) for name in HEADER) for item in run.items)]
        return "\n".join([*lines, "nothing was changed"])


def _scope(options: dict[str, Any]) -> Scope:
    if options["deck_version"]:
        _named_version(options["deck_version"])
    return narrowed(
        month_of(options["period"]), accounts=tuple(options["account"]), prefixes=tuple(options["prefix"]),
        carriers=tuple(options["carrier"]), deck_version=options["deck_version"], flags=tuple(options["flag"]),
    )  # fmt: skip


def _named_version(text: str) -> tuple[str, int]:
    deck, _, number = text.rpartition(":")
    if not (deck and number.isascii() and number.isdigit() and len(number) < 10):
        raise ValidationFailed(errors={"version": "DECK:VERSION, such as retail:7"})
    return deck, int(number)


# --- what if ----------------------------------------------------------------------------------------------------------


def _ask(run: Run, options: dict[str, Any]) -> None:
    if not run.dry_run:
        raise ValidationFailed(errors={"apply": "a what-if is never applied: publish the version, then re-rate"})
    deck, version = _named_version(options["what_if"])
    question = Question(_scope(options), deck, version)
    report = what_if(question, processes=options["processes"], progress=run.progress)
    if options["csv"]:
        _write(Path(options["csv"]), report)
    for currency, total in report.totals.items():
        run.counts.update(calls=total.calls, lost=total.lost, unpriced=total.unpriced)
        run.add_amount(currency, total.change)
        run.items.append(_facts(Row("total", "", currency, total)))
    run.items += [_facts(row) for row in report.movers()]


def _write(path: Path, report: Report) -> None:
    lines = ([_cell(value) for value in _facts(row).values()] for row in report.rows())
    rows = ([*cells[:NAMES], *map(Figure, cells[NAMES:])] for cells in lines)
    try:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            file.writelines(csv_row(cells) for cells in ([*HEADER], *rows))
    except OSError as failure:
        raise Malformed(f"{path}: {failure.strerror}") from failure


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _facts(row: Row) -> dict[str, object]:
    """A line of the report, in the order of HEADER."""
    tally = row.tally
    values = (
        row.by, row.name, row.currency, tally.calls, _ratio(tally.seconds, 60), _text(tally.revenue_now),
        _text(tally.revenue_then), _text(tally.change), _percent(tally), _text(tally.cost_now), _text(tally.cost_then),
        _text(tally.margin_now), _text(tally.margin_then), tally.unknown_now, tally.unknown_then, tally.lost,
        tally.unpriced,
    )  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def _percent(tally: Tally) -> str | None:
    """The change of the revenue; None where there was none."""
    return _ratio(tally.change * 100, tally.revenue_now) if tally.revenue_now else None


def _ratio(value: Decimal | int, by: Decimal | int) -> str:
    return f"{Decimal(value) / by:.2f}"


def _text(amount: Decimal) -> str:
    return f"{amount:f}"


# --- re-rating --------------------------------------------------------------------------------------------------------


def _confirm(order: Order, outcome: Outcome, token: str) -> None:
    """A large difference must be confirmed with the token that this very difference gives."""
    largest = max((abs(sum_.difference) for sum_ in outcome.totals.values()), default=Decimal(0))
    if largest > settings.RERATE_CONFIRM_AMOUNT and token != order.token(outcome):
        raise GuardRail(f"the differences add up to {largest:f}", token=order.token(outcome))


def _tell(run: Run, outcome: Outcome) -> None:
    """Counts, sums by currency, the accounts, then the first of the calls."""
    run.counts.update({name: count for name, count in outcome.counts.items() if count})
    for currency, sum_ in outcome.totals.items():
        run.add_amount(currency, sum_.difference)
    run.items += [
        {"account": accno, "currency": currency, "calls": sum_.calls, "old": _text(sum_.old), "new": _text(sum_.new),
         "difference": _text(sum_.difference)}
        for (accno, currency), sum_ in sorted(outcome.accounts.items())
    ]  # fmt: skip
    run.items += list(_calls(outcome.listed))
    run.items += [call | {"skipped": "closed"} for call in _calls(outcome.skipped)]


def _calls(differences: list[Difference]) -> Iterator[dict[str, object]]:
    for one in differences:
        yield {
            "use": str(one.record_id), "account": one.accno, "start": _utc(one.start), "currency": one.currency,
            "old": _text(one.old), "new": _text(one.new), "difference": _text(one.new - one.old),
        }  # fmt: skip


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
