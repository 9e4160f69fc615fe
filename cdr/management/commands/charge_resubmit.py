"""manage.py charge_resubmit: send failed charges again; a dry run says which, and what they would cost."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from billing_platform.errors import Unavailable
from billing_platform.jobs import PlatformCommand, Run
from cdr.charging import quoted_amount
from cdr.receipts import outcome_of
from cdr.records import CHARGED
from cdr.resubmission import BATCH, Selection, claim_rows, find_selected, settle_records
from counter import client

LIMIT_DEFAULT, LIMIT_MAX = 1000, 100_000


def instant(text: str) -> datetime:
    """ISO 8601 with offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text}: not ISO 8601") from None
    if found.tzinfo is None:
        raise ArgumentTypeError(f"{text}: has no offset")
    return found


class Command(PlatformCommand):
    help = "Charge records again that were not charged: pending ones, and with --include-review refused ones too."
    moves_money = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=instant, help="start of the call, ISO 8601 with offset")
        parser.add_argument("--until", type=instant)
        parser.add_argument("--provider", default="", help="code of the provider")
        parser.add_argument("--organization", default="")
        parser.add_argument("--record", type=int, action="append", default=[], metavar="ID")
        parser.add_argument("--include-review", action="store_true", help="records that were refused, too")
        parser.add_argument("--limit", type=int, default=LIMIT_DEFAULT)

    def work(self, run: Run, options: dict[str, Any]) -> None:
        """List what would be sent, or send it in batches of 200."""
        selection = Selection(
            options["since"], options["until"], options["provider"], options["organization"],
            tuple(options["record"]), include_review=options["include_review"],
        )  # fmt: skip
        limit = max(1, min(options["limit"], LIMIT_MAX))
        if not client.ready_part().ok:
            raise Unavailable("the counter does not answer")
        if run.dry_run:
            _list(run, selection, limit)
        else:
            _send(run, selection, limit)


def _list(run: Run, selection: Selection, limit: int) -> None:
    rows = find_selected(selection, limit=limit)
    for done, row in enumerate(rows, 1):
        amount, currency = quoted_amount(row)
        run.counts[row.state] += 1
        if amount is not None:
            run.add_amount(currency, amount)
        run.items.append({
            "cdr_id": str(row.id), "key": row.charge_key, "organization": row.organization, "state": row.state,
            "seconds": row.billable_seconds, "quoted": f"{amount:f}" if amount is not None else None,
            "error": row.bill_error or None,
        })  # fmt: skip
        run.progress(done, len(rows))


def _send(run: Run, selection: Selection, limit: int) -> None:
    rows = find_selected(selection, limit=limit)
    for begin in range(0, len(rows), BATCH):
        for row in settle_records(claim_rows(rows[begin : begin + BATCH])):
            run.counts[row.state] += 1
            if row.state == CHARGED:
                run.add_amount(row.currency, row.cost)
            elif row.bill_error:
                told = outcome_of("accepted", row)
                run.fail(told.code, told.detail, ref=str(row.id))
        run.progress(min(begin + BATCH, len(rows)), len(rows))
