"""wallet: look at one account, and move its money, state or limits by hand."""

import argparse
import zlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandParser

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.errors import ValidationFailed
from billing_platform.jobs import GuardRail, PlatformCommand, Run
from billing_platform.money import parse_amount
from ledger import accounts, limits
from ledger.accounts import Account
from ledger.adjustments import needs_second_person
from ledger.amounts import require_amount
from ledger.funding import Funding, adjust, grant, top_up
from ledger.limits import Limits
from ledger.models import CreditLot

OPERATOR = Caller("command", "wallet")
STATES: dict[str, Callable[..., Account]] = {
    "suspend": accounts.suspend_account,
    "resume": accounts.resume_account,
    "close": accounts.close_account,
}


class Command(PlatformCommand):
    help = "Show an account; top up, adjust, grant; suspend, resume, close; set its limits."
    moves_money = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=("show", "top-up", "adjust", "grant", *STATES, "limits"))
        parser.add_argument("accno")
        parser.add_argument("amount", nargs="?", type=_amount, help="for top-up, adjust (may be negative) and grant")
        parser.add_argument("--reference", default="", help="of the payment or the decision; the same one posts once")
        parser.add_argument("--reason", default="")
        parser.add_argument("--expires", type=_instant, help="of granted credit: ISO 8601 with offset")
        parser.add_argument("--kind", choices=CreditLot.Kind.values, default=CreditLot.Kind.GIFT.value)
        parser.add_argument("--priority", type=int, default=50, help="of granted credit; smaller is spent first")
        parser.add_argument("--credit-limit", type=_amount)
        parser.add_argument("--warning-threshold", type=_amount)

    def work(self, run: Run, options: dict[str, Any]) -> None:
        account = accounts.load_account(options["accno"])
        act = options["act"]
        if act == "show":
            run.dry_run = False  # there is nothing to apply
            run.items.append(_shown(account))
        elif act in STATES:
            _change(run, account, lambda: STATES[act](account.accno, by=OPERATOR, reason=options["reason"]))
        elif act == "limits":
            _set_limits(run, account, options)
        else:
            _move(run, account, options)


def _move(run: Run, account: Account, options: dict[str, Any]) -> None:
    """The three acts that move money. A dry run says what the balance would be."""
    funding = _funding(account, options)
    if options["act"] == "adjust":
        _require_confirmed(funding, confirmed=options["confirm"])
    if run.dry_run:
        run.items.append(
            {"accno": account.accno, "balance": account.balance, "after": account.balance + funding.amount}
        )
        return
    if options["act"] == "grant":
        posted = grant(funding, expires_at=options["expires"], kind=options["kind"], priority=options["priority"])
    else:
        posted = (top_up if options["act"] == "top-up" else adjust)(funding)
    run.counts["repeated" if posted.repeated else "posted"] += 1
    run.add_amount(account.currency, Decimal(0) if posted.repeated else funding.amount)
    run.items.append({"accno": account.accno, **asdict(posted)})


def _funding(account: Account, options: dict[str, Any]) -> Funding:
    amount, reference = options["amount"], options["reference"]
    if not amount or not reference:
        raise ValidationFailed("give an amount and a --reference")
    if amount < 0 and options["act"] != "adjust":
        raise ValidationFailed("the amount is more than 0")
    return Funding(account.accno, amount, reference, clock.now(), memo=options["reason"], by=OPERATOR)


def _require_confirmed(funding: Funding, *, confirmed: str) -> None:
    """No second person sits at a command line: above the limit the operator repeats what the guard rail says."""
    if needs_second_person(funding.amount):
        _require_token(f"{funding.accno} {funding.amount} {funding.reference}", confirmed=confirmed)


def _require_token(content: str, *, confirmed: str) -> None:
    token = f"{zlib.crc32(content.encode()):08x}"
    if confirmed != token:
        raise GuardRail("above the amount that one person decides", token=token)


def _set_limits(run: Run, account: Account, options: dict[str, Any]) -> None:
    credit_limit = account.credit_limit if options["credit_limit"] is None else options["credit_limit"]
    threshold = account.warning_threshold if options["warning_threshold"] is None else options["warning_threshold"]
    if credit_limit < 0 or threshold < 0:
        raise ValidationFailed("limits are 0 or more")
    if limits.needs_second_person(account, Limits(credit_limit, threshold)):
        _require_token(f"{account.accno} {credit_limit}", confirmed=options["confirm"])
    _change(
        run,
        account,
        lambda: accounts.set_limits(
            account.accno, credit_limit=credit_limit, warning_threshold=threshold, by=OPERATOR,
            reason=options["reason"],
        ),
    )  # fmt: skip


def _change(run: Run, account: Account, change: Callable[[], Account]) -> None:
    if run.dry_run:
        run.items.append(_shown(account))
        return
    run.items.append(_shown(change()))
    run.counts["changed"] += 1


def _shown(account: Account) -> dict[str, Any]:
    return {**asdict(account), "available": account.available}


def _amount(text: str) -> Decimal:
    try:
        amount = parse_amount(text)
        if amount != 0:
            require_amount(amount)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return amount


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("write the offset, like +08:00")
    return instant
