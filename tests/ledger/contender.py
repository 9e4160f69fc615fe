"""A process that pays 1.00 from an account again and again, for races between processes.

    python -m tests.ledger.contender ACCOUNT NAME TIMES

Prints how many payments passed. Each is one transaction, repeated on passing trouble, as in production.
"""

import os
import sys
from datetime import UTC, datetime
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")
django.setup()

from django.db import transaction  # noqa: E402  Django first

from billing_platform.transactions import repeated  # noqa: E402
from ledger.errors import InsufficientBalance  # noqa: E402
from ledger.posting import NewTransfer, Posted, post_payment  # noqa: E402


@transaction.atomic(durable=True)
def pay(account_id: int, cause: str) -> Posted:
    at = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
    return post_payment(NewTransfer(account_id, Decimal(-1), "revenue:plan", "order", cause, at))


def main(account_id: int, name: str, times: int) -> int:
    passed = 0
    for number in range(times):
        try:
            repeated(lambda number=number: pay(account_id, f"{name}-{number}"), seconds=30)  # type: ignore[misc]
        except InsufficientBalance:
            continue
        passed += 1
    return passed


if __name__ == "__main__":
    print(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))  # noqa: T201
