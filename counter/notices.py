"""Telling the rate administrators, once per account, number head and day, that the default rate was used."""

import logging
from collections.abc import Iterable
from datetime import date

from django.db import connection

from billing_platform.outbox import NewEvent, record_events

_log = logging.getLogger(__name__)


def note_default_rates(uses: Iterable[tuple[str, str, str, date]]) -> None:
    """Count (organisation, accno, number head, day); the first of its kind leaves an event."""
    counted: dict[tuple[str, str, str, date], int] = {}
    for use in uses:
        counted[use] = counted.get(use, 0) + 1
    if not counted:
        return
    keys = sorted(counted)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO counter_defaultratenotice AS n (organization, accno, head, day, uses)
            SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::date[], %s::int[])
            ON CONFLICT (organization, accno, head, day) DO UPDATE SET uses = n.uses + excluded.uses
            RETURNING organization, accno, head, day, uses, xmax = 0
            """,
            [*[[key[n] for key in keys] for n in range(4)], [counted[key] for key in keys]],
        )
        first = [row for row in cursor.fetchall() if row[5]]
    for organization, accno, head, *_counted in first:
        _log.warning("no rate for %s* of account %s (%s): priced by the default deck", head, accno, organization)
    record_events(
        [
            NewEvent(
                "rating.default_rate_used", organization, f"{accno}:{head}:{day}",
                {"accno": accno, "head": head, "day": day.isoformat(), "uses": uses},
            )
            for organization, accno, head, day, uses, _ in first
        ]
    )  # fmt: skip
