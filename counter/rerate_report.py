"""What a re-rating and a what-if found, as rows: the same ones for the command, its file and the page.

Amounts and shares are texts with every digit, None where there is nothing to tell.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing_platform.sheets import Figure, csv_row
from counter.replacing import Difference
from counter.rerating import Outcome, Sum
from counter.whatif import Report, Row

Item = dict[str, Any]
TOTAL, ACCOUNT, CALL, SKIPPED = "total", "account", "call", "skipped"
RERATING = (
    "by", "account", "use", "start", "currency", "calls", "old", "new", "difference", "margin_old", "margin_new",
    "cost_unknown",
)  # fmt: skip
WHAT_IF = (
    "by", "name", "currency", "calls", "minutes", "revenue_now", "revenue_then", "change", "change_percent",
    "cost_now", "cost_then", "margin_now", "margin_then", "cost_unknown_now", "cost_unknown_then", "lost", "unpriced",
)  # fmt: skip
TEXTS = frozenset({"by", "account", "use", "start", "currency", "name"})


def rerating_items(outcome: Outcome) -> list[Item]:
    """The sum of each currency, every account, the 50 calls that change most, the 50 that their period holds back.

    Accounts that change most come first.
    """
    accounts = sorted(outcome.accounts.items(), key=lambda entry: (-abs(entry[1].difference), entry[0]))
    return [
        *(_sum_item(TOTAL, "", currency, outcome.totals[currency]) for currency in sorted(outcome.totals)),
        *(_sum_item(ACCOUNT, accno, currency, sum_) for (accno, currency), sum_ in accounts),
        *(_call_item(CALL, one) for one in outcome.changed),
        *(_call_item(SKIPPED, one) | {"skipped": "closed"} for one in outcome.skipped),
    ]


def what_if_items(report: Report, rows: Iterable[Row]) -> list[Item]:
    """The sum of each currency, then these rows of the report."""
    totals = [Row(TOTAL, "", currency, report.totals[currency]) for currency in sorted(report.totals)]
    return [_what_if_item(row) for row in (*totals, *rows)]


def csv_lines(items: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    """The items as lines of a CSV file, its head first; figures as figures."""
    yield csv_row(columns)
    for item in items:
        cells = [(name, cell(item.get(name))) for name in columns]
        yield csv_row([text if name in TEXTS else Figure(text) for name, text in cells])


def cell(value: object) -> str:
    """A value of a row as text; "" for what there is not."""
    return "" if value is None else str(value)


def _sum_item(by: str, accno: str, currency: str, sum_: Sum) -> Item:
    item = {} if by == TOTAL else {"account": accno}
    return {
        "by": by, **item, "currency": currency, "calls": sum_.calls, "old": _text(sum_.old), "new": _text(sum_.new),
        "difference": _text(sum_.difference), "margin_old": _text(sum_.margin_old),
        "margin_new": _text(sum_.margin_new), "cost_unknown": sum_.cost_unknown,
    }  # fmt: skip


def _call_item(by: str, one: Difference) -> Item:
    return {
        "by": by, "use": str(one.record_id), "account": one.accno, "start": _utc(one.start), "currency": one.currency,
        "old": _text(one.old), "new": _text(one.new), "difference": _text(one.new - one.old),
    }  # fmt: skip


def _what_if_item(row: Row) -> Item:
    tally = row.tally
    values = (
        row.by, row.name, row.currency, tally.calls, _ratio(tally.seconds, 60), _text(tally.revenue_now),
        _text(tally.revenue_then), _text(tally.change),
        _ratio(tally.change * 100, tally.revenue_now) if tally.revenue_now else None,
        _text(tally.cost_now), _text(tally.cost_then), _text(tally.margin_now), _text(tally.margin_then),
        tally.unknown_now, tally.unknown_then, tally.lost, tally.unpriced,
    )  # fmt: skip
    return dict(zip(WHAT_IF, values, strict=True))


def _ratio(value: Decimal | int, by: Decimal | int) -> str:
    return f"{Decimal(value) / by:.2f}"


def _text(amount: Decimal) -> str:
    return f"{amount:.6f}"  # as the ledger has it: nothing is rounded away


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
