"""Partitions of the transfers: made ahead, so that the default one stays empty; rows in it are an alarm."""

import logging
from datetime import datetime

from django.db import connection, transaction

from billing_platform.transactions import limit_waiting

MONTHS_AHEAD = 3
STRAYS_SHOWN = 1000
_log = logging.getLogger(__name__)


@transaction.atomic(durable=True)  # a partition is there with its triggers or not at all
def make_partitions(*, at: datetime) -> list[str]:
    """Make the partitions of the month of `at` and the three after it; answers the new ones.

    Waits at most 2 s for locks. Fails while the default partition holds rows of a month that is to be made.
    """
    limit_waiting()
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_make_partitions(%s, %s)", [at, MONTHS_AHEAD])
        return [row[0] for row in cursor.fetchall()]


def count_strays() -> int:
    """Transfers that found no month's partition, counted up to 1,000. More than 0 is logged as an error."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM ledger_transfer_default LIMIT %s) strays", [STRAYS_SHOWN])
        strays = int(cursor.fetchone()[0])
    if strays:
        _log.error("%s transfers lie in ledger_transfer_default: no partition was there for their month", strays)
    return strays
